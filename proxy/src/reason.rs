//! Why the edge refuses: one table chooses status, public code, text, metric label and log level of every refusal.
//!
//! What the client reads never holds rule text, key ids or internal errors; the log records those beside the reason.

mod body;

pub use body::error_body;

/// How loud the log is about a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// An everyday answer to a client.
    Info,
    /// Something an operator may want to look at.
    Warning,
    /// Something that is ours to mend.
    Error,
}

impl LogLevel {
    /// Returns the word in the log's `severity` field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// One row of [`REASONS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The reason that the row is for.
    pub reason: Reason,
    /// The HTTP status. A policy verdict may carry the operator's own (`deny(404)`).
    pub status: u16,
    /// The `error` field that the client reads.
    pub code: &'static str,
    /// The `message` and `detail` fields that the client reads.
    pub message: &'static str,
    /// Whether the same request may succeed later without being changed.
    pub retryable: bool,
    /// Whether a client may stop working on this answer. The edge is never conclusive about a license.
    pub conclusive: bool,
    /// The `reason` label of `edge_refusals_total`.
    pub label: &'static str,
    /// The request log's `statusDetails`, in a load balancer's words where there is one.
    pub status_details: &'static str,
    /// The request log's severity.
    pub level: LogLevel,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $status:literal $code:literal $message:literal
        $retryable:ident $label:literal $details:literal $level:ident;)*) => {
        /// Every reason for which the edge itself answers instead of the origin.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        /// One row per reason, in the order of the enum.
        pub const REASONS: &[Row] = &[$(*Reason::$name.row(),)*];

        impl Reason {
            /// Returns the reason's row of [`REASONS`].
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self { $(Self::$name => &Row {
                    reason: Reason::$name,
                    status: $status,
                    code: $code,
                    message: $message,
                    retryable: reasons!(@retry $retryable),
                    conclusive: false,
                    label: $label,
                    status_details: $details,
                    level: LogLevel::$level,
                },)* }
            }
        }
    };
    (@retry retry) => { true };
    (@retry final) => { false };
}

reasons! {
    // name: status code message retry|final metric-label statusDetails level
    /// The request line, a header, the target or the framing is not HTTP as we accept it.
    MalformedRequest: 400 "bad_request" "the request is malformed" final "malformed_request" "client_bad_request" Info;
    /// The body is not what its content type says (JSON, form), or its framing broke off.
    MalformedBody: 400 "bad_request" "the request body is malformed" final "malformed_body" "client_bad_request" Info;
    /// No credential where the route requires one.
    MissingAuth: 401 "missing_auth" "authentication is required" final "missing_auth" "denied_by_identity" Info;
    /// A credential that does not verify, whatever the cause.
    InvalidToken: 401 "invalid_token" "the token is not valid" final "invalid_token" "denied_by_identity" Info;
    /// More than one credential, or one that is spelled ambiguously.
    AmbiguousCredential: 401 "invalid_token" "exactly one bearer token is expected" final "ambiguous_credential" "denied_by_identity" Info;
    /// A browser's reports about a content security policy are taken.
    ReportTaken: 202 "accepted" "thank you" final "report_taken" "response_sent_by_edge" Info;
    /// A person is sent to the issuer to sign in.
    LoginRequired: 302 "redirected" "see the location header" final "login_required" "redirected_by_identity" Info;
    /// A person has signed in, and is sent back to what was asked for.
    LoggedIn: 302 "redirected" "see the location header" final "logged_in" "redirected_by_identity" Info;
    /// A person has signed out.
    LoggedOut: 200 "signed_out" "you are signed out" final "logged_out" "response_sent_by_identity" Info;
    /// A sign-in did not succeed: the issuer gave no token, or it is not for the sign-in that was begun.
    LoginFailed: 403 "sign_in_failed" "the sign-in did not succeed; ask for the page again" final "login_failed" "denied_by_identity" Warning;
    /// The issuer cannot be asked.
    LoginUnavailable: 503 "unavailable" "the service is not available; try again later" retry "login_unavailable" "denied_by_identity" Error;
    /// A valid token without a tenant.
    MissingTenant: 403 "missing_tenant" "the token names no tenant" final "missing_tenant" "denied_by_identity" Info;
    /// A valid token that does not grant what the route asks for: a scope, or one of the roles.
    InsufficientScope: 403 "insufficient_scope" "the token does not grant this" final "insufficient_scope" "denied_by_identity" Info;
    /// A request that names another tenant than its token's, or an object of one; the same whether or not it is there.
    TenantAccess: 403 "tenant_access_denied" "Tenant access denied" final "tenant_access" "denied_by_identity" Warning;
    /// A body that may name a tenant or an object, and is neither JSON nor a form.
    UnsupportedMedia: 415 "unsupported_media_type" "a body of this type is not accepted here" final "unsupported_media" "client_bad_request" Info;
    /// The keys of the token's issuer have never been fetched, or are too old to be believed.
    KeysUnavailable: 503 "unavailable" "the service is not available; try again later" retry "keys_unavailable" "denied_by_identity" Error;
    /// Another site made a browser send the request, with the cookies of the person before it.
    CrossSiteRequest: 403 "cross_site_request" "the request came from another site" final "cross_site_request" "denied_by_security_policy" Warning;
    /// A policy rule refused the request on its head.
    DeniedByPolicy: 403 "forbidden" "the request was refused" final "denied_by_policy" "denied_by_security_policy" Warning;
    /// A policy rule refused the request on its body.
    BodyDeniedByPolicy: 403 "forbidden" "the request was refused" final "body_denied_by_policy" "body_denied_by_security_policy" Warning;
    /// The inspection ran out of its step budget, so nobody can say that the request is harmless.
    InspectionExhausted: 403 "forbidden" "the request was refused" final "inspection_exhausted" "denied_by_security_policy" Warning;
    /// A `throttle` rule refused the excess.
    RateLimited: 429 "rate_limited" "too many requests" retry "rate_limited" "denied_by_security_policy" Info;
    /// The account or the address has failed to sign in too often.
    SignInLimited: 429 "rate_limited" "too many requests" retry "sign_in_limited" "denied_by_security_policy" Warning;
    /// A ban stands against the client.
    Banned: 429 "banned" "too many requests; try again later" retry "banned" "denied_by_security_policy" Info;
    /// A policy rule or a route redirects.
    RedirectedByPolicy: 302 "redirected" "see the location header" final "redirected_by_policy" "redirected_by_security_policy" Info;
    /// The host is served here, the path is not.
    UnknownRoute: 404 "not_found" "there is nothing here" final "unknown_route" "no_route" Info;
    /// The host is not served here.
    UnknownHost: 404 "not_found" "there is nothing here" final "unknown_host" "no_route" Info;
    /// The host is not one that the connection's certificate was chosen for.
    Misdirected: 421 "misdirected_request" "this connection is for another host" final "misdirected" "misdirected_request" Info;
    /// The host asks for client certificates, and the connection's client was not asked for that host.
    CertificateRequired: 421 "client_certificate_required" "a new connection for this host is required, on which a client certificate is asked for" final "client_certificate_required" "denied_by_identity" Info;
    /// CONNECT, TRACE, or a method that is no token.
    MethodNotAllowed: 405 "method_not_allowed" "this method is not allowed" final "method_not_allowed" "client_bad_request" Info;
    /// The body did not arrive within its deadline.
    BodyTimeout: 408 "request_timeout" "the request body took too long" retry "body_timeout" "client_timed_out" Info;
    /// The body is larger than the route allows.
    BodyTooLarge: 413 "body_too_large" "the request body is too large" final "body_too_large" "body_too_large" Info;
    /// A compressed body grows beyond the ratio that the route allows.
    BodyTooDense: 413 "body_too_large" "the request body is too large" final "body_too_dense" "body_too_large" Warning;
    /// The target is longer than we read.
    UriTooLong: 414 "uri_too_long" "the request target is too long" final "uri_too_long" "client_bad_request" Info;
    /// The body is encoded in a way that cannot be inspected.
    UnsupportedEncoding: 415 "unsupported_encoding" "this content encoding is not accepted" final "unsupported_encoding" "client_bad_request" Info;
    /// An `Expect` other than `100-continue`.
    ExpectationFailed: 417 "expectation_failed" "this expectation is not supported" final "expectation_failed" "client_bad_request" Info;
    /// The header section is larger, or has more fields, than we read.
    HeaderTooLarge: 431 "header_too_large" "the request header is too large" final "header_too_large" "client_bad_request" Info;
    /// Something that is not built: an upgrade on a route that does not allow one.
    UpgradeRefused: 501 "not_implemented" "upgrades are not supported here" final "upgrade_refused" "client_bad_request" Info;
    /// The origin refused the connection or cannot be reached.
    UpstreamUnreachable: 502 "upstream_unreachable" "the service cannot be reached" retry "upstream_unreachable" "failed_to_connect_to_backend" Error;
    /// The origin broke off, or answered with something that is not HTTP.
    UpstreamFailed: 502 "upstream_failed" "the service gave no valid answer" retry "upstream_failed" "backend_connection_closed_before_data_sent_to_client" Error;
    /// A request to a gRPC backend that is not a call of gRPC over HTTP/2.
    NotGrpc: 415 "not_grpc" "this service speaks gRPC over HTTP/2" final "not_grpc" "client_bad_request" Info;
    /// A message on a stream is larger than the backend allows.
    MessageTooLarge: 413 "message_too_large" "a message is too large" final "message_too_large" "body_too_large" Info;
    /// More messages in a second on a stream than the backend allows.
    TooManyMessages: 429 "too_many_messages" "too many messages" retry "too_many_messages" "denied_by_security_policy" Info;
    /// The backend has as many requests in work as it may have.
    UpstreamBusy: 503 "overloaded" "the service is busy" retry "upstream_busy" "overloaded" Warning;
    /// The rules for answers refuse what the origin said.
    AnswerDenied: 403 "answer_withheld" "the answer of the service is withheld" final "answer_denied" "denied_by_security_policy" Warning;
    /// No server of the backend is healthy.
    NoHealthyUpstream: 503 "upstream_unavailable" "the service is not available" retry "no_healthy_upstream" "failed_to_pick_backend" Error;
    /// We are full: permits or the process-wide body budget are used up.
    Overloaded: 503 "overloaded" "the service is busy" retry "overloaded" "overloaded" Warning;
    /// An operator has closed the route for a while.
    LockedDown: 503 "locked_down" "this service is closed for now" retry "locked_down" "locked_down" Warning;
    /// We are stopping.
    ShuttingDown: 503 "shutting_down" "the service is restarting" retry "shutting_down" "shutting_down" Info;
    /// The origin did not answer within the backend's timeout.
    UpstreamTimeout: 504 "upstream_timeout" "the service took too long" retry "upstream_timeout" "backend_timeout" Error;
    /// A defect of ours.
    Internal: 500 "internal_error" "something went wrong" retry "internal" "internal_error" Error;
}

impl Reason {
    /// Returns the HTTP status of the reason's row.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_reason_and_reads_well() {
        assert!(REASONS.len() >= 30);
        for row in REASONS {
            assert_eq!(row, row.reason.row());
            assert!((200..600).contains(&row.status), "{row:?}");
            for word in [row.code, row.label, row.status_details] {
                assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{word}");
            }
            assert!(!row.message.ends_with('.') && row.message.is_ascii(), "{row:?}");
            assert!(!row.conclusive, "the edge never decides about a license: {row:?}");
        }
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::BTreeSet<_> = REASONS.iter().map(|row| row.label).collect();
        assert_eq!(labels.len(), REASONS.len());
    }

    #[test]
    fn the_codes_of_the_public_contract_stand() {
        for (reason, status, code) in [
            (Reason::MissingAuth, 401, "missing_auth"),
            (Reason::InvalidToken, 401, "invalid_token"),
            (Reason::MissingTenant, 403, "missing_tenant"),
            (Reason::TenantAccess, 403, "tenant_access_denied"),
            (Reason::InsufficientScope, 403, "insufficient_scope"),
            (Reason::BodyTooLarge, 413, "body_too_large"),
            (Reason::RateLimited, 429, "rate_limited"),
            (Reason::Misdirected, 421, "misdirected_request"),
            (Reason::CertificateRequired, 421, "client_certificate_required"),
            (Reason::HeaderTooLarge, 431, "header_too_large"),
        ] {
            assert_eq!((reason.row().status, reason.row().code), (status, code));
        }
    }
}
