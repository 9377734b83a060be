//! Hosts, their routes, and what a route does.

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Access, BackendId, Browser, HeaderProfile, HostName, LicenseCall, Login, PolicyId, ProviderId,
    SignIn,
};

/// A host name with its routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// The name clients ask for; `*.` and a domain stands for every name one label below it.
    pub name: HostName,
    /// Whose certificates its clients show; none means that nobody is asked.
    pub client_certificates: Option<ClientCertificates>,
    /// Where browsers report what a content security policy kept a page from.
    pub csp_reports: Option<String>,
    /// How people sign in to it at the edge.
    pub login: Option<Login>,
    /// Its routes, longest path first, so that the first that matches is the right one; never empty.
    pub routes: Vec<Route>,
}

/// Mutual TLS of one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificates {
    /// The file with the certificates of the authorities that sign clients' certificates, in PEM.
    pub ca: PathBuf,
    /// The file with their revocation lists, in PEM; none means that no certificate is revoked.
    pub crl: Option<PathBuf>,
    /// What becomes of a client that shows none. One that does not verify never gets a connection.
    pub without: WithoutCertificate,
    /// The header that tells origins of the certificate, in lower case.
    pub header: Option<String>,
}

/// What becomes of a client without a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WithoutCertificate {
    /// Its handshake fails.
    Refuse,
    /// It is served; policies see that it showed none.
    Admit,
}

/// Requests under one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The prefix, in whole segments: `/health` is for `/health` and `/health/live`, not for `/healthy`.
    pub path: String,
    /// How their paths are read.
    pub path_form: PathForm,
    /// The response headers of its answers; none means the file's usual ones.
    pub headers: Option<Arc<HeaderProfile>>,
    /// What is done with them.
    pub action: RouteAction,
}

/// How the path of a request is read before it is judged and forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PathForm {
    /// As the client sent it.
    #[default]
    AsSent,
    /// Refused where servers disagree about its meaning.
    Plain,
    /// The same, and brought into its normal form.
    Normalized,
}

impl Route {
    /// Says whether `path` (without the query) is under this route's prefix, segment by segment.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let prefix = self.path.as_bytes();
        match path.strip_prefix(prefix) {
            Some(rest) => rest.is_empty() || prefix.ends_with(b"/") || rest.first() == Some(&b'/'),
            None => false,
        }
    }
}

impl Route {
    /// Returns what is done for browsers, if something is.
    #[must_use]
    pub const fn browser(&self) -> Option<&Arc<Browser>> {
        match &self.action {
            RouteAction::Forward { browser, .. } => browser.as_ref(),
            RouteAction::Redirect { .. } => None,
        }
    }

    /// Returns that accounts sign in here, if they do.
    #[must_use]
    pub const fn sign_in(&self) -> Option<&Arc<SignIn>> {
        match &self.action {
            RouteAction::Forward { sign_in, .. } => sign_in.as_ref(),
            RouteAction::Redirect { .. } => None,
        }
    }

    /// Returns that license keys are used here, if they are.
    #[must_use]
    pub const fn license_call(&self) -> Option<&Arc<LicenseCall>> {
        match &self.action {
            RouteAction::Forward { license_call, .. } => license_call.as_ref(),
            RouteAction::Redirect { .. } => None,
        }
    }

    /// Returns how its answers are inspected.
    #[must_use]
    pub const fn inspection(&self) -> Option<&AnswerInspection> {
        match &self.action {
            RouteAction::Forward { answer, .. } => answer.inspection.as_ref(),
            RouteAction::Redirect { .. } => None,
        }
    }
}

/// What is done with the answers of a route.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AnswerPlan {
    /// The rules that judge them before the client hears anything.
    pub inspection: Option<AnswerInspection>,
    /// Headers set on them, over whatever the origin and the profile say; names in lower case.
    pub set: Vec<(String, String)>,
    /// Headers taken away from them; names in lower case.
    pub remove: Vec<String>,
    /// Whether the body of an origin's error of the 500s is replaced by the edge's own.
    pub replace_errors: bool,
}

/// How answers are inspected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerInspection {
    /// The rule set: a key of [`super::Config::rulesets`].
    pub ruleset: String,
    /// Bytes of the body that are held and judged; none means the head only.
    pub body: Option<u64>,
    /// What happens to an answer that the rules refuse.
    pub on_match: OnMatch,
}

/// What happens to an answer that the rules refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnMatch {
    /// The client gets 403 instead.
    Deny,
    /// It is sent, and the log says so.
    Log,
}

/// What a route does.
#[expect(clippy::large_enum_variant, reason = "one for each route, made once; nearly all forward")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteAction {
    /// Forwards to a backend.
    Forward {
        /// The backend.
        backend: BackendId,
        /// The security policy in place of the backend's.
        policy: Option<PolicyId>,
        /// Whose token is asked for.
        identity: IdentityRule,
        /// What it must grant.
        access: Box<Access>,
        /// What is done with the request's body.
        body: BodyPlan,
        /// What is done with the answer.
        answer: AnswerPlan,
        /// What is done for browsers.
        browser: Option<Arc<Browser>>,
        /// That accounts sign in here.
        sign_in: Option<Arc<SignIn>>,
        /// That license keys are used here.
        license_call: Option<Arc<LicenseCall>>,
    },
    /// Answers with a redirect.
    Redirect {
        /// The status.
        status: RedirectStatus,
        /// The value of `Location`, or its beginning.
        to: String,
        /// Whether the path and query that were asked for follow `to`.
        keeps_target: bool,
    },
}

/// The status of a redirect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedirectStatus {
    /// 301: the client may change the method to GET.
    MovedPermanently,
    /// 308: the client keeps the method.
    PermanentRedirect,
}

impl RedirectStatus {
    /// Returns the number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::PermanentRedirect => 308,
        }
    }
}

/// Whose token a route asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IdentityRule {
    /// Nobody's; what a client sends is not looked at, unless the policy asks.
    None,
    /// A valid token of one of these providers; never empty.
    Any(Vec<ProviderId>),
    /// A valid token of each of these providers; never empty.
    All(Vec<ProviderId>),
}

/// What is done with a request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyPlan {
    /// It is forwarded unread, up to [`super::Limits::body_bytes`].
    Skip,
    /// It is read and judged before the origin sees a byte.
    Inspect {
        /// Bytes of the whole body; one more is answered with 413.
        limit: u64,
        /// Bytes from its start that the policy reads; at most `limit`.
        inspect: u64,
        /// What happens to a body that is longer than `inspect`.
        oversize: Oversize,
        /// What happens to a compressed body.
        compressed: Compressed,
    },
    /// It is passed through as it comes: the origin may see it before any verdict on it.
    Stream,
}

/// What happens to a compressed body. What is forwarded is always what the client sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compressed {
    /// It is refused with 415.
    Refuse,
    /// It is inflated for the policy: gzip, deflate, br or zstd, up to `inspect` bytes.
    Inflate {
        /// Inflated bytes for each byte of the body; a body that grows beyond is refused with 413.
        ratio: u32,
    },
}

/// What happens to a body that is longer than what the policy reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oversize {
    /// It is refused with 413.
    Deny,
    /// Its start is judged, the rest passes.
    Pass,
    /// Like `Pass`, and the log says so.
    Log,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        for (prefix, path, expected) in [
            ("/", "/", true),
            ("/", "/anything", true),
            ("/health", "/health", true),
            ("/health", "/health/live", true),
            ("/health", "/healthy", false),
            ("/health", "/heal", false),
            ("/api/v1/auth/", "/api/v1/auth/login", true),
            ("/api/v1/auth/", "/api/v1/auth", false),
        ] {
            let to = RouteAction::Redirect {
                status: RedirectStatus::PermanentRedirect,
                to: "/".into(),
                keeps_target: false,
            };
            let route = Route {
                path: prefix.into(),
                path_form: PathForm::AsSent,
                headers: None,
                action: to,
            };
            assert_eq!(route.matches(path.as_bytes()), expected, "{prefix} {path}");
        }
    }
}
