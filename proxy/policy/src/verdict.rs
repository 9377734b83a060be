//! What a policy decided, with everything that Cloud Armor's log says of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The end of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What happens to the request.
    pub decision: Decision,
    /// The rule that decided.
    pub enforced: Hit,
    /// Preview and log rules that matched, by ascending priority, above and below the rule that decided.
    pub previews: Vec<Hit>,
    /// Priorities of preview rules below the rule that decided that would have needed what was not fetched.
    pub not_evaluated: Vec<u32>,
    /// Priorities of rules whose expression met an error, such as a missing header, and so did not match.
    pub errors: Vec<u32>,
    /// What a refusal is counted as; `None` where the request passes.
    pub security_event: Option<EventKind>,
    /// Headers to set on the request before it is forwarded.
    pub request_headers_to_add: Vec<HeaderToSet>,
    /// How many bytes of the body were inspected.
    pub inspected_body_bytes: usize,
    /// The JSON that a refused client reads in place of the usual body, where the rule has one.
    pub deny_body: Option<Arc<str>>,
    /// The address from the configured headers, where one was given.
    pub user_ip: Option<UserIp>,
    /// Whether the log wants the fields in which signatures matched.
    pub is_verbose: bool,
}

/// `userIpInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIp {
    /// The header that gave it, in lower case.
    pub source: Box<str>,
    /// The address.
    pub address: IpAddr,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passes.
    Allow,
    /// It is refused.
    Deny {
        /// With this status.
        status: u16,
    },
    /// It exceeds a rate or is banned.
    TooMany {
        /// Refused with this status.
        status: u16,
        /// When to try again; a day for a ban without end.
        retry_after_secs: u32,
        /// Whether a ban stands.
        ban: bool,
    },
    /// It is sent elsewhere.
    Redirect {
        /// With this status.
        status: u16,
        /// To this location.
        location: Arc<str>,
    },
}

impl Decision {
    /// Whether the client is told no.
    #[must_use]
    pub const fn refuses(&self) -> bool {
        matches!(self, Self::Deny { .. } | Self::TooMany { .. })
    }

    /// Whether the request goes on to the backend.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// A header to set, replacing what the client sent under the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderToSet {
    /// The name.
    pub name: Arc<str>,
    /// The value.
    pub value: Arc<str>,
}

/// One rule's match, in the words of Cloud Armor's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The rule's priority.
    pub priority: u32,
    /// The action as written.
    pub configured_action: ConfiguredAction,
    /// What it did, or, in preview, would have done.
    pub outcome: Outcome,
    /// Whether the rule is in preview.
    pub preview: bool,
    /// Every signature that triggered the rule.
    pub preconfigured_expr_ids: Vec<String>,
    /// What the rate rule found.
    pub rate_limit: Option<RateHit>,
    /// The first field that a signature matched.
    pub matched_field: Option<MatchedField>,
    /// Every signature with each field that it matched, up to [`Hit::SIGNATURES_MAX`].
    pub signatures: Vec<SignatureHit>,
    /// Address groups that held the address.
    pub address_groups: Vec<Arc<str>>,
    /// Threat feeds that held the address.
    pub threat_categories: Vec<Arc<str>>,
    /// What kind of refusal it is or would be.
    pub event: Option<EventKind>,
}

impl Hit {
    /// How many pairs of signature and field a hit names.
    pub const SIGNATURES_MAX: usize = 16;
}

/// One signature in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHit {
    /// The preconfigured set, as the rule names it.
    pub set: Box<str>,
    /// The signature's number.
    pub id: u32,
    /// The signature as the log names it.
    pub signature: String,
    /// `ARG_VALUES`, `RAW_URI`, ….
    pub field_type: &'static str,
    /// The name of the pair, else empty; the client's bytes, cut.
    pub name: Vec<u8>,
}

/// `configuredAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfiguredAction {
    /// `ALLOW`
    Allow,
    /// `DENY`
    Deny,
    /// `THROTTLE`
    Throttle,
    /// `RATE_BASED_BAN`
    RateBasedBan,
    /// `EXTERNAL_302`
    External302,
    /// `LOG`, an extension.
    Log,
}

impl ConfiguredAction {
    /// Returns the log's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Throttle => "THROTTLE",
            Self::RateBasedBan => "RATE_BASED_BAN",
            Self::External302 => "EXTERNAL_302",
            Self::Log => "LOG",
        }
    }
}

/// `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `ACCEPT`
    Accept,
    /// `DENY`
    Deny,
    /// `REDIRECT`
    Redirect,
    /// `EXEMPT`: the rate rule did not count the request.
    Exempt,
}

impl Outcome {
    /// Returns the log's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Deny => "DENY",
            Self::Redirect => "REDIRECT",
            Self::Exempt => "EXEMPT",
        }
    }
}

/// `rateLimitAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateHit {
    /// The key, escaped and cut after 36 bytes.
    pub key: String,
    /// The headers, cookies and fields of the body whose values the key holds: a log may have to leave them out.
    pub fields: Arc<[Box<str>]>,
    /// What was found.
    pub outcome: RateWord,
}

/// `rateLimitAction.outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateWord {
    /// `RATE_LIMIT_THRESHOLD_CONFORM`
    Conform,
    /// `RATE_LIMIT_THRESHOLD_EXCEED`
    Exceed,
    /// `BAN_THRESHOLD_EXCEED`
    Ban,
}

impl RateWord {
    /// Returns the log's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conform => "RATE_LIMIT_THRESHOLD_CONFORM",
            Self::Exceed => "RATE_LIMIT_THRESHOLD_EXCEED",
            Self::Ban => "BAN_THRESHOLD_EXCEED",
        }
    }
}

/// Where a signature matched; the value is the client's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedField {
    /// `ARG_VALUES`, `RAW_URI`, ….
    pub field_type: &'static str,
    /// The name of the pair, else empty.
    pub name: Vec<u8>,
    /// Up to 16 bytes of the part that matched.
    pub value: Vec<u8>,
    /// The length of the whole field.
    pub length: usize,
    /// Where in the field the match starts.
    pub offset: usize,
    /// How long the match is.
    pub matched_length: usize,
}

/// What a refusal is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// `sql_injection`
    SqlInjection,
    /// `xss`
    Xss,
    /// `lfi`: a local file.
    Lfi,
    /// `rfi`: a remote file.
    Rfi,
    /// `rce`: a command.
    Rce,
    /// `scanner`
    Scanner,
    /// `protocol_attack`
    ProtocolAttack,
    /// `method_enforcement`
    MethodEnforcement,
    /// `php_injection`
    PhpInjection,
    /// `java_attack`
    JavaAttack,
    /// `session_fixation`
    SessionFixation,
    /// `generic_attack`
    GenericAttack,
    /// `rate_limit`
    RateLimit,
    /// `ban`
    Ban,
    /// `geo_block`
    GeoBlock,
    /// `ip_block`
    IpBlock,
    /// `waf_limit`: more than the WAF inspects.
    WafLimit,
    /// `policy_deny`: any other rule.
    PolicyDeny,
}

impl EventKind {
    /// All of them, in the order of the metric's page.
    pub const ALL: &'static [Self] = &[
        Self::SqlInjection,
        Self::Xss,
        Self::Lfi,
        Self::Rfi,
        Self::Rce,
        Self::Scanner,
        Self::ProtocolAttack,
        Self::MethodEnforcement,
        Self::PhpInjection,
        Self::JavaAttack,
        Self::SessionFixation,
        Self::GenericAttack,
        Self::RateLimit,
        Self::Ban,
        Self::GeoBlock,
        Self::IpBlock,
        Self::WafLimit,
        Self::PolicyDeny,
    ];

    /// Returns the metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SqlInjection => "sql_injection",
            Self::Xss => "xss",
            Self::Lfi => "lfi",
            Self::Rfi => "rfi",
            Self::Rce => "rce",
            Self::Scanner => "scanner",
            Self::ProtocolAttack => "protocol_attack",
            Self::MethodEnforcement => "method_enforcement",
            Self::PhpInjection => "php_injection",
            Self::JavaAttack => "java_attack",
            Self::SessionFixation => "session_fixation",
            Self::GenericAttack => "generic_attack",
            Self::RateLimit => "rate_limit",
            Self::Ban => "ban",
            Self::GeoBlock => "geo_block",
            Self::IpBlock => "ip_block",
            Self::WafLimit => "waf_limit",
            Self::PolicyDeny => "policy_deny",
        }
    }

    /// Returns the kind of a WAF category in Cloud Armor's word.
    pub(crate) fn of_category(category: &str) -> Self {
        match category {
            "sqli" => Self::SqlInjection,
            "xss" => Self::Xss,
            "lfi" => Self::Lfi,
            "rfi" => Self::Rfi,
            "rce" => Self::Rce,
            "scannerdetection" => Self::Scanner,
            "protocolattack" => Self::ProtocolAttack,
            "methodenforcement" => Self::MethodEnforcement,
            "php" => Self::PhpInjection,
            "java" => Self::JavaAttack,
            "sessionfixation" => Self::SessionFixation,
            _ => Self::GenericAttack,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
