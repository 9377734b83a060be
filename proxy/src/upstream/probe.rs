//! The task that probes servers: one `GET` each, in the backend's own protocol and TLS; 200 is good.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Uri, Version};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{Error, ErrorType, OrErr};
use portcullis_config::model::{Health, Protocol};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::member::Standing;
use super::{LOOK, Turns, Upstream, Upstreams};
use crate::shared::Shared;

/// Probes the servers of the published snapshot until `stopping`.
pub(super) async fn forever(
    shared: Arc<Shared>,
    turns: Arc<Turns>,
    mut stopping: watch::Receiver<bool>,
) {
    let connector: Arc<Connector> = Arc::new(Connector::new(None));
    let mut due: HashMap<String, Instant> = HashMap::new();
    loop {
        let upstreams = turns.of(&shared.snapshot.load());
        due.retain(|id, _| upstreams.by_id.contains_key(id));
        turns.table.retain(|backend, server| upstreams.names(backend, server));
        let probing = probe_what_is_due(&shared, &connector, &upstreams, &mut due);
        tokio::select! {
            () = probing => {}
            _ = stopping.changed() => return,
        }
        show(&shared, &upstreams);
        let next = due.values().min().copied().unwrap_or_else(|| Instant::now() + LOOK);
        tokio::select! {
            () = tokio::time::sleep_until(next.min(Instant::now() + LOOK)) => {}
            _ = stopping.changed() => return,
        }
    }
}

async fn probe_what_is_due(
    shared: &Arc<Shared>,
    connector: &Arc<Connector>,
    upstreams: &Upstreams,
    due: &mut HashMap<String, Instant>,
) {
    let mut probes = JoinSet::new();
    for (id, upstream) in &upstreams.by_id {
        let Some(health) = &upstream.backend.health else { continue };
        let now = Instant::now();
        if due.get(id).is_some_and(|due| *due > now) {
            continue;
        }
        due.insert(id.clone(), now + health.every);
        for index in 0..upstream.members.len() {
            let (shared, connector) = (Arc::clone(shared), Arc::clone(connector));
            probes.spawn(probe(shared, connector, Arc::clone(upstream), index, health.clone()));
        }
    }
    while let Some(ended) = probes.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a probe's task broke");
        }
    }
}

fn show(shared: &Shared, upstreams: &Upstreams) {
    let now = shared.clock.monotonic();
    for upstream in upstreams.by_id.values() {
        let up = upstream.members.iter().filter(|member| member.standing(now) == Standing::Up);
        let up = i64::try_from(up.count()).unwrap_or(i64::MAX);
        let room = upstream.backend.capacity.as_ref().map_or(0, |one| upstream.breaker.room(one));
        let id = [upstream.id.as_str()];
        shared.metrics.backend_up.with_label_values(&id).set(up);
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        shared.metrics.backend_room.with_label_values(&id).set(room);
    }
}

async fn probe(
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    upstream: Arc<Upstream>,
    index: usize,
    health: Health,
) {
    let Some(member) = upstream.members.get(index) else { return };
    let asking = ask(&connector, &upstream, index, &health);
    let answer = tokio::time::timeout(health.timeout, asking).await;
    let is_good = matches!(answer, Ok(Ok(200)));
    if member.probed(&health, is_good, shared.clock.monotonic()) {
        let why = match answer {
            Ok(Ok(status)) => format!("it answered {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        let (backend, server) = (upstream.id.as_str(), member.name.as_str());
        tracing::warn!(backend, server, is_up = is_good, why, "a server's health changed");
    }
}

async fn ask(
    connector: &Connector,
    upstream: &Upstream,
    index: usize,
    health: &Health,
) -> pingora::Result<u16> {
    let peer = upstream.peer(index, health.timeout).await;
    let (peer, _) = peer.or_err(ErrorType::ConnectError, "no address")?;
    let head = head(upstream, index, &health.path)?;
    let (mut session, _) = connector.get_http_session(&peer).await?;
    session.write_request_header(Box::new(head)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map(|head| head.status.as_u16());
    // An HTTP/1 connection is closed by dropping it; one of HTTP/2 serves the next probe.
    if matches!(session, HttpSession::H2(_)) {
        connector.release_http_session(session, &peer, peer.options.idle_timeout).await;
    }
    status.ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "no status"))
}

fn head(upstream: &Upstream, index: usize, path: &str) -> pingora::Result<RequestHeader> {
    let host = upstream.host_of(index);
    let mut head = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    match upstream.backend.protocol {
        Protocol::Http1 => {
            head.insert_header("Host", host)?;
            head.insert_header("Connection", "close")?;
        }
        Protocol::Http2 => {
            let scheme = if upstream.tls.is_some() { "https" } else { "http" };
            let uri: Result<Uri, _> = format!("{scheme}://{host}{path}").parse();
            head.set_uri(uri.or_err(ErrorType::InternalError, "the path of a probe")?);
            head.set_version(Version::HTTP_2);
        }
    }
    head.insert_header("User-Agent", "portcullis")?;
    Ok(head)
}
