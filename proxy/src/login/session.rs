//! What stands in the two cookies, and the beginning of a sign-in.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_config::Timestamp;
use portcullis_identity::Identity;
use portcullis_identity::authorization::Endpoints;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Login, PENDING_COOKIE, PENDING_TIME, SESSION_COOKIE};

/// The longest target that a person is sent back to.
const BACK_BYTES_MAX: usize = 1024;
/// Claims that are kept for policies (`token.claims`); the others would make the cookie too long.
const KEPT: [&str; 6] = ["email", "email_verified", "name", "hd", "tenant_id", "auth_time"];

/// A sign-in that is under way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) back: String,
    /// In seconds since the Unix epoch.
    exp: u64,
}

/// A person who is signed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sid: String,
    sub: String,
    tenant: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    iat: u64,
    pub(crate) exp: u64,
    claims: Map<String, Value>,
}

/// Random text that nobody guesses.
fn random() -> Option<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Begins a sign-in: where the browser is sent, and the cookie that it takes along.
pub(crate) fn begin(
    login: &Login,
    endpoints: &Endpoints,
    authority: &str,
    back: &str,
    now: Timestamp,
) -> Option<(String, String)> {
    let back = if is_own(back) { back } else { "/" };
    let pending = Pending {
        state: random()?,
        nonce: random()?,
        verifier: random()?,
        back: back.to_owned(),
        exp: now.plus(PENDING_TIME).as_secs(),
    };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, pending.verifier.as_bytes()));
    let fields = [
        ("response_type", "code"),
        ("client_id", &login.client_id),
        ("redirect_uri", &redirect_uri(authority)),
        ("scope", &login.scopes),
        ("state", &pending.state),
        ("nonce", &pending.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let to = endpoints.authorization.as_str();
    let joint = if to.contains('?') { '&' } else { '?' };
    let location = format!("{to}{joint}{}", form(&fields));
    let sealed = login.sealer.seal(PENDING_COOKIE, &pending)?;
    Some((location, set(PENDING_COOKIE, &sealed, PENDING_TIME.as_secs())))
}

/// Where the issuer sends the browser back to.
pub(crate) fn redirect_uri(authority: &str) -> String {
    format!("https://{authority}/.portcullis/callback")
}

/// Only a path of the host itself: two slashes would lead to another one.
fn is_own(back: &str) -> bool {
    back.len() <= BACK_BYTES_MAX
        && back.starts_with('/')
        && !back.starts_with("//")
        && !back.starts_with("/\\")
        && back.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Writes fields as a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

/// Percent-encodes everything but what is unreserved (RFC 3986 section 2.3).
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes all text");
        }
        out
    })
}

fn set(name: &str, value: &str, secs: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={secs}; Secure; HttpOnly; SameSite=Lax")
}

/// The cookie that takes another one away.
pub(crate) fn cleared(name: &str) -> String {
    set(name, "", 0)
}

impl Pending {
    /// Opens the cookie of a sign-in that is under way and has not taken too long.
    pub(crate) fn open(login: &Login, cookie: &[u8], now: Timestamp) -> Option<Self> {
        let pending: Self = login.sealer.open(PENDING_COOKIE, cookie)?;
        (now.as_secs() < pending.exp).then_some(pending)
    }
}

impl Session {
    /// Makes the session of a person whom a verified token names, and its cookie.
    pub(crate) fn of(login: &Login, identity: &Identity, now: Timestamp) -> Option<String> {
        let exp = now.plus(login.lifetime).as_secs();
        let kept = identity.claims.iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
        let session = Self {
            sid: random()?,
            sub: identity.subject.clone(),
            tenant: identity.tenant.clone(),
            roles: identity.roles.clone(),
            scopes: identity.scopes.clone(),
            iat: now.as_secs(),
            exp,
            claims: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        let bare = || Self { claims: Map::new(), ..session.clone() };
        let sealed = login.sealer.seal(SESSION_COOKIE, &session);
        let sealed = sealed.or_else(|| login.sealer.seal(SESSION_COOKIE, &bare()))?;
        Some(set(SESSION_COOKIE, &sealed, login.lifetime.as_secs()))
    }

    /// Who is signed in, as a token of the provider would say it.
    pub(crate) fn identity(&self, login: &Login) -> Identity {
        Identity {
            provider: login.provider.clone(),
            subject: self.sub.clone(),
            tenant: self.tenant.clone(),
            roles: self.roles.clone(),
            scopes: self.scopes.clone(),
            token_id: Some(self.sid.clone()),
            issuer: login.issuer.clone(),
            key_id: None,
            issued: Some(Timestamp::from_secs(self.iat)),
            expires: Timestamp::from_secs(self.exp),
            claims: self.claims.clone(),
        }
    }
}

/// Opens the cookie of a session that has not ended.
pub(crate) fn opened(login: &Login, cookie: &[u8], now: Timestamp) -> Option<Session> {
    let session: Session = login.sealer.open(SESSION_COOKIE, cookie)?;
    (now.as_secs() < session.exp).then_some(session)
}
