//! The gate's side of the sign-in of people: who a session's cookie speaks for, and the three answers of the edge's own:
//! to the issuer, back from it, and out.
//!
//! What the edge answers stands in the form of refusals, so that it is logged and counted by the same code.

use std::sync::Arc;

use http::header::{ACCEPT, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use pingora::http::RequestHeader;
use portcullis_config::Timestamp;
use portcullis_identity::Identity;

use super::Gate;
use super::csrf::cookies;
use super::refusal::Refusal;
use super::sanity::Target;
use super::work::Work;
use crate::login::{
    self, CALLBACK, LOGOUT, Login, PENDING_COOKIE, Pending, SESSION_COOKIE, Session,
};
use crate::reason::Reason;
use crate::router::RouteEntry;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a request brings of the host's sign-in.
#[derive(Debug, Default)]
pub(super) struct Brought {
    login: Option<Arc<Login>>,
    session: Option<Session>,
    pending: Option<Vec<u8>>,
    /// Who the session speaks for.
    pub(super) identity: Option<Arc<Identity>>,
}

/// A path of the edge's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum At {
    Callback,
    Logout,
}

impl Brought {
    /// Takes the edge's cookies off a request's head, and opens the session. Origins never get them.
    pub(super) fn of(
        gate: &Gate,
        work: &Work,
        head: &mut RequestHeader,
        entry: &RouteEntry,
        now: Timestamp,
    ) -> pingora::Result<Self> {
        let Some(login) = work.snapshot.logins.get(entry.host.as_str()).cloned() else {
            return Ok(Self::default());
        };
        let session = only(&head.headers, SESSION_COOKIE);
        let session = session.and_then(|cookie| login::opened(&login, cookie, now));
        let session = session.filter(|one| !gate.shared.logins.has_ended(&one.sid));
        let pending = only(&head.headers, PENDING_COOKIE).map(<[u8]>::to_vec);
        let identity = session.as_ref().map(|session| Arc::new(session.identity(&login)));
        take_off(head)?;
        Ok(Self { login: Some(login), session, pending, identity })
    }

    /// Says whether the path is the edge's own.
    pub(super) fn at(&self, target: &Target) -> Option<At> {
        self.login.as_ref()?;
        match &*target.path {
            CALLBACK => Some(At::Callback),
            LOGOUT => Some(At::Logout),
            _ => None, // the origin's
        }
    }

    /// Answers on a path of the edge's own.
    pub(super) async fn answer(
        &self,
        gate: &Gate,
        work: &Work,
        at: At,
        method: &Method,
        target: &Target,
    ) -> Refusal {
        let Some(login) = &self.login else { return Refusal::of(Reason::UnknownRoute) };
        match at {
            At::Callback => match self.back(gate, work, login, target).await {
                Ok(answer) | Err(answer) => answer,
            },
            At::Logout if *method == Method::POST => self.out(gate),
            At::Logout => Refusal::of(Reason::MethodNotAllowed),
        }
    }

    /// Sends a person to the issuer, who asked for a page without being signed in; any other refusal stands.
    pub(super) async fn or_sign_in(
        &self,
        gate: &Gate,
        work: &Work,
        headers: &HeaderMap,
        target: &Target,
        refusal: Refusal,
    ) -> Refusal {
        let Some(login) = self.login.as_ref().filter(|_| refusal.reason == Reason::MissingAuth)
        else {
            return refusal;
        };
        if *work.asked.method != *b"GET" || !is_page(headers) {
            return refusal;
        }
        let (Ok(authority), Ok(back)) =
            (std::str::from_utf8(&target.authority), std::str::from_utf8(&target.uri))
        else {
            return refusal;
        };
        let now = gate.shared.clock.now();
        let egress = &work.snapshot.egress;
        let endpoints = match login::endpoints(login, &gate.shared.logins, egress, now).await {
            Ok(endpoints) => endpoints,
            Err(error) => return Refusal::because(Reason::LoginUnavailable, error.to_string()),
        };
        match login::begin(login, &endpoints, authority, back, now) {
            Some((location, cookie)) => redirect(Reason::LoginRequired, location, [cookie]),
            None => Refusal::because(Reason::Internal, "no sign-in can be sealed"),
        }
    }

    /// Takes a person in who comes back from the issuer.
    async fn back(
        &self,
        gate: &Gate,
        work: &Work,
        login: &Login,
        target: &Target,
    ) -> Result<Refusal, Refusal> {
        let failed = |why: &'static str| Refusal::because(Reason::LoginFailed, why);
        let now = gate.shared.clock.now();
        let pending = self.pending.as_deref().and_then(|one| Pending::open(login, one, now));
        let pending = pending.ok_or_else(|| failed("no sign-in is under way here"))?;
        let state = param(&target.query, b"state").ok_or_else(|| failed("no `state`"))?;
        if !is_same(state.as_bytes(), pending.state.as_bytes()) {
            return Err(failed("another `state` than the one that was sent"));
        }
        // RFC 9207: an issuer that says who it is has to be the one that was asked.
        if param(&target.query, b"iss").is_some_and(|issuer| issuer != login.issuer) {
            return Err(failed("the answer is of another issuer"));
        }
        let code =
            param(&target.query, b"code").ok_or_else(|| failed("the issuer gave no code"))?;
        let authority = std::str::from_utf8(&target.authority);
        let authority = authority.map_err(|_| failed("a host that is no text"))?;
        let identity = identify(gate, work, login, &code, &pending, authority, now).await?;
        let cookie = Session::of(login, &identity, now);
        let cookie = cookie.ok_or_else(|| failed("the session is too large for a cookie"))?;
        let cookies = [cookie, login::cleared(PENDING_COOKIE)];
        Ok(redirect(Reason::LoggedIn, pending.back, cookies))
    }

    /// Ends the session here and takes its cookie away.
    fn out(&self, gate: &Gate) -> Refusal {
        if let Some(session) = &self.session {
            gate.shared.logins.end(&session.sid, session.exp, gate.shared.clock.now());
        }
        let cookies = [login::cleared(SESSION_COOKIE), login::cleared(PENDING_COOKIE)];
        Refusal { cookies: cookies.into(), ..Refusal::of(Reason::LoggedOut) }
    }
}

/// Exchanges the code, and verifies what comes as any token of the provider.
async fn identify(
    gate: &Gate,
    work: &Work,
    login: &Login,
    code: &str,
    pending: &Pending,
    authority: &str,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let failed = |why: &str| Refusal::because(Reason::LoginFailed, why.to_owned());
    let told = |error: login::ExchangeError| {
        let reason = if error.is_ours() { Reason::LoginUnavailable } else { Reason::LoginFailed };
        Refusal::because(reason, error.to_string())
    };
    let (logins, egress) = (&gate.shared.logins, &work.snapshot.egress);
    let endpoints = login::endpoints(login, logins, egress, now).await.map_err(told)?;
    let asked = login::Asked { code, verifier: &pending.verifier, authority };
    let token = login::exchange(login, logins, egress, &endpoints, asked).await.map_err(told)?;
    let verifiers = &work.snapshot.verifiers;
    let provider = verifiers.iter().find(|(id, _)| id.as_str() == login.provider);
    let (_, verifiers) = provider.ok_or_else(|| failed("the provider is not there"))?;
    let verified = verifiers.at(now).verify(token.as_bytes(), now);
    let identity = verified.map_err(|refusal| {
        // The next sign-in finds a key that the issuer has just begun to use.
        verifiers.ring().into_iter().for_each(|ring| ring.miss());
        failed(refusal.reason())
    })?;
    let nonce = identity.claims.get("nonce").and_then(serde_json::Value::as_str);
    if nonce.is_none_or(|nonce| !is_same(nonce.as_bytes(), pending.nonce.as_bytes())) {
        return Err(failed("the token has another `nonce` than the one that was sent"));
    }
    Ok(identity)
}

fn redirect(reason: Reason, location: String, cookies: impl Into<Vec<String>>) -> Refusal {
    Refusal { location: Some(location), cookies: cookies.into(), ..Refusal::of(reason) }
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// The cookie of a name, if there is one of it.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut found = cookies(headers).filter(|(one, _)| *one == name.as_bytes());
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value)
}

/// Takes the edge's cookies out of `Cookie`, and leaves the others as they are.
fn take_off(head: &mut RequestHeader) -> pingora::Result<()> {
    let is_ours = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        [SESSION_COOKIE, PENDING_COOKIE].iter().any(|ours| ours.as_bytes() == name)
    };
    let Some(value) = head.headers.get(COOKIE).cloned() else { return Ok(()) };
    let pairs = || value.as_bytes().split(|byte| *byte == b';');
    if !pairs().any(|pair| is_ours(&pair)) {
        return Ok(());
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| !is_ours(pair)).map(<[u8]>::trim_ascii).collect();
    if kept.is_empty() {
        head.remove_header(&COOKIE);
        return Ok(());
    }
    head.insert_header(COOKIE, super::heads::value(&kept.join(&b"; "[..]))?)
}

/// Whether a person waits for a page.
fn is_page(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    match says(&SEC_FETCH_MODE) {
        Some(mode) => mode == b"navigate",
        None => says(&ACCEPT).is_some_and(|kinds| {
            kinds.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"))
        }),
    }
}

/// A parameter of a query that is there once, decoded.
fn param(query: &[u8], name: &[u8]) -> Option<String> {
    let mut found = query.split(|byte| *byte == b'&').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        (key == name).then(|| value.get(1..).unwrap_or_default())
    });
    let value = found.next()?;
    if found.next().is_some() {
        return None;
    }
    String::from_utf8(crate::sign_in::decoded(value)).ok().filter(|text| !text.is_empty())
}
