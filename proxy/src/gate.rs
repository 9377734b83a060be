//! The gate: what happens to one request between TLS and the origin.
//!
//! Pingora's phases are kept thin here; each is a short function in a file of its own. The way of a request:
//! [`work`] pins the snapshot and finds out who asks ([`client_address`]) → [`sanity`] → [`routing`] → [`judge`]
//! (policy, identity, [`body`]) → [`forward`] to the [`upstream`](crate::upstream), for a large body by [`replay`] →
//! [`record`]. Every refusal leaves by [`answer`].
//!
//! The origin sees nothing of a refused request: Pingora connects upstream only after [`judge`] has let it go.

mod answer;
mod answers;
mod arrival;
mod attempts;
mod banned;
mod body;
mod browser;
mod budget;
mod bypass;
mod caller;
mod capture;
mod certificate;
mod claims;
mod client_address;
mod cookies;
mod cors;
mod csrf;
mod decide;
mod everyday;
mod exchange;
mod failure;
mod forward;
mod heads;
mod heavy;
mod in_work;
mod inflate;
mod inward;
mod judge;
mod learning;
mod login;
mod malformed;
mod messages;
mod presented;
mod reading;
mod record;
mod redirect;
mod refusal;
mod replay;
mod reports;
mod routing;
mod sanity;
mod sign_in;
mod spare;
mod stream;
mod tenancy;
mod tightened;
mod told;
mod verdict;
mod work;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::apps::HttpServerOptions;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use portcullis_config::model::Limits;

use self::budget::Budget;
use self::heavy::Heavy;
use self::in_work::InWork;
use self::refusal::Refusal;
use self::spare::Spare;
use self::work::{Context, Work};
use crate::edge::{Connection, Manner};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::upstream::{PeerError, Turns};

pub(crate) use body::DRAIN_BYTES_MAX;
pub(crate) use client_address::HOPS_MAX;
pub(crate) use learning::ANSWER_BYTES_MAX;
pub(crate) use malformed::{malformed_answer, malformed_stream};
pub(crate) use tenancy::OBJECTS_MAX;
pub(crate) use told::TOLD_BYTES_MAX;
pub(crate) use work::request_id;

/// Judges requests and forwards those that may pass. One per edge.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    heavy: Heavy,
    in_work: Arc<InWork>,
    turns: Arc<Turns>,
    spare: Spare,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// The first try, as many further ones as the configuration can grant, and one for a pooled connection that was just
/// being closed.
const TRIES_MAX: usize = 5;
/// Idle connections to origins that are kept.
pub(crate) const POOLED_CONNECTIONS: usize = 128;
/// Requests at one time on one HTTP/2 connection.
pub(crate) const H2_STREAMS_MAX: u32 = 100;
/// Streams that a client reset before we took them; beyond it the connection ends.
pub(crate) const H2_PENDING_RESETS_MAX: usize = 20;
/// How long a client may take to read one write of ours.
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may let us wait for the rest of a body that nobody reads.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes the proxy that the edge hands its connections to; it asks the servers whose turn `turns` says it is.
pub(crate) fn proxy(
    shared: &Arc<Shared>,
    limits: &Limits,
    turns: &Arc<Turns>,
) -> Arc<HttpProxy<Gate>> {
    let conf = ServerConf {
        max_retries: TRIES_MAX,
        upstream_keepalive_pool_size: POOLED_CONNECTIONS,
        ..ServerConf::default()
    };
    let gate = Gate {
        shared: Arc::clone(shared),
        budget: Budget::new(shared.metrics.body_bytes_held.clone()),
        heavy: Heavy::new(shared.metrics.heavy_bodies.clone()),
        in_work: InWork::new(),
        turns: Arc::clone(turns),
        spare: Spare::default(),
    };
    let mut proxy = http_proxy(&Arc::new(conf), gate);
    let mut options = HttpServerOptions::default();
    // CONNECT is refused by the gate, in our shape, instead of by Pingora in its own.
    options.allow_connect_method_proxying = true;
    options.h2_idle_timeout = Some(limits.idle_timeout);
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(H2_STREAMS_MAX);
    h2.max_header_list_size(
        u32::try_from(limits.header_bytes.saturating_mul(2)).unwrap_or(u32::MAX),
    );
    h2.max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX);
    proxy.h2_options = Some(h2);
    Arc::new(proxy)
}

impl Gate {
    /// The present moment by the steady clock.
    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }
}

/// Ends a request that has had its time.
fn overdue(ctx: &Context, now: Duration) -> pingora::Result<()> {
    let overdue = ctx.forward().filter(|forward| forward.attempts.is_overdue(now));
    let Some(forward) = overdue else { return Ok(()) };
    let why = "the request has had its time";
    forward.fail(Refusal::because(Reason::UpstreamTimeout, why));
    Err(Error::explain(ErrorType::Custom("Overdue"), why).into_down())
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::New
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if let Some(forward) = replay::unseal(session) {
            *ctx = Context::Replay(forward);
            return Ok(());
        }
        let connection = Connection::of(session);
        let connection =
            connection.ok_or_else(|| Error::explain(ErrorType::InternalError, "no connection"))?;
        session.set_write_timeout(Some(CLIENT_WRITE_TIMEOUT));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        if connection.manner != Manner::Serve {
            session.set_keepalive(None);
        }
        self.shared.metrics.requests_in_flight.inc();
        *ctx =
            Context::Request(Box::new(Work::begin(&self.shared, connection, session.req_header())));
        Ok(())
    }

    fn allow_spawning_subrequest(&self, _session: &Session, ctx: &Context) -> bool {
        matches!(ctx, Context::Request(_))
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        let Context::Request(work) = ctx else { return Ok(false) };
        let outcome = match judge::judge(self, session, work).await {
            Ok(judge::Pass::Direct) => return Ok(false),
            Ok(judge::Pass::Proof(proof)) => {
                work.remark = Some("the proof of a name for an ACME authority".into());
                answer::prove(session, &work.id, proof).await?;
                return Ok(true);
            }
            Ok(judge::Pass::Preflight) => {
                work.remark = Some("a preflight, answered at the edge".into());
                answer::preflight(session, work).await?;
                return Ok(true);
            }
            Ok(judge::Pass::Replay { forward, body }) => {
                replay::send(session, &forward, body).await
            }
            Ok(judge::Pass::Exchange { forward, body }) => {
                exchange::send(self, session, work, &forward, body).await
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            work.refuse(session, refusal).await?;
        }
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        let forward = ctx
            .forward()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing to forward"))?;
        match forward.attempts.next(self.now()).await {
            Ok(peer) => Ok(Box::new(peer)),
            Err(error) => {
                let none_up = matches!(error, PeerError::NoneUp { .. });
                let reason =
                    if none_up { Reason::NoHealthyUpstream } else { Reason::UpstreamUnreachable };
                forward.fail(Refusal::because(reason, error.to_string()));
                Err(Error::explain(ErrorType::ConnectError, error.to_string()))
            }
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let retry = ctx.forward().is_some_and(|forward| {
            let now = self.now();
            forward.attempts.failed(now);
            // No server has seen the request, so the next one may, whatever its method.
            forward.attempts.may_retry(now)
        });
        error.set_retry(retry);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let retry = ctx.forward().is_some_and(|forward| {
            failure::may_retry(session, &error, &forward.attempts, client_reused, self.now())
        });
        error.set_retry(retry);
        error
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            // An HTTP/2 body that ends with an empty frame. Pingora would write it as the last chunk and then write the
            // last chunk, and the origin would take the second one for the next request.
            *body = None;
        }
        let now = self.now();
        overdue(ctx, now)?;
        let Context::Request(work) = ctx else { return Ok(()) };
        let Some(bytes) = body.as_ref() else { return Ok(()) };
        let Err(refusal) = work.pass(bytes, now) else { return Ok(()) };
        session.set_keepalive(None);
        let status = ErrorType::HTTPStatus(refusal.status());
        let error = Error::explain(status, "what the client sends is above its limits");
        work.fail(refusal);
        // As the client's fault it ends the request at once; otherwise Pingora waits for an HTTP/2 server's answer.
        Err(error.into_down())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        ctx.forward().map_or(Ok(()), |forward| forward.upstream_head(head))
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let Some(forward) = ctx.forward() else { return Ok(()) };
        if let Some(learning) = &forward.learning {
            learning.begin(head);
        }
        forward.response_head(head, self.now())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let Context::Request(work) = ctx else { return Ok(()) };
        answers::judge_head(self, session, work, head).await
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> pingora::Result<Option<Duration>> {
        overdue(ctx, self.now())?;
        if let Some(forward) = ctx.forward() {
            if let Some(learning) = &forward.learning {
                learning.take(&self.shared, body.as_deref(), end);
            }
            if let (Some(told), Some(bytes)) = (&forward.told, body.as_ref()) {
                told.body(bytes);
            }
            forward.replace_body(body);
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        failure::answer(session, error, ctx).await
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        // The request log has it, with the reason.
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Context) {
        if let Context::Request(work) = ctx {
            self.shared.metrics.requests_in_flight.dec();
            record::finish(&self.shared, session, work);
        }
    }
}
