//! The policy as it was meant: what `portcullis-policy` compiles.

use ipnet::IpNet;

use super::place::Expression;
use crate::{Location, Timestamp};

/// The default rule's priority: every policy has one there, and it matches everything.
pub const DEFAULT_PRIORITY: u32 = 2_147_483_647;

/// A security policy.
#[derive(Clone, Debug)]
pub struct SecurityPolicy {
    /// The name, as logs give it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Which of Cloud Armor's kinds it was.
    pub policy_type: PolicyType,
    /// The rules by ascending priority; the default rule is the last.
    pub rules: Vec<Rule>,
    /// What is not a rule.
    pub advanced: Advanced,
    /// Where it stands.
    pub at: Location,
}

/// Cloud Armor's kinds that a reverse proxy can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyType {
    /// `CLOUD_ARMOR`: a backend's policy.
    Backend,
    /// `CLOUD_ARMOR_EDGE`: before a cache on Google; here it runs where it is attached.
    Edge,
}

/// `advancedOptionsConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// How bodies of a JSON type are read.
    pub json_parsing: JsonParsing,
    /// Further media types that are JSON, in lower case.
    pub json_content_types: Vec<String>,
    /// How many bytes of a body are inspected; `None` leaves it to the route.
    pub body_inspection_bytes: Option<u32>,
    /// How much the log says of a match.
    pub log_level: LogLevel,
    /// Headers that give `origin.user_ip`, in lower case, tried in order.
    pub user_ip_headers: Vec<String>,
}

/// `jsonParsing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonParsing {
    /// `DISABLED`.
    Disabled,
    /// `STANDARD`.
    Standard,
    /// `STANDARD_WITH_GRAPHQL`.
    StandardWithGraphql,
}

/// `logLevel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `NORMAL`.
    Normal,
    /// `VERBOSE`: with the matched field.
    Verbose,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its place in the order, unique; [`DEFAULT_PRIORITY`] is the default rule's.
    pub priority: u32,
    /// What happens when it matches.
    pub action: Action,
    /// Whether a match is only logged.
    pub preview: bool,
    /// What it is for.
    pub description: String,
    /// When it matches.
    pub condition: Condition,
    /// Headers that are set on the request when it lets it pass.
    pub headers: Vec<HeaderToAdd>,
    /// What its WAF questions leave out.
    pub exclusions: Vec<Exclusion>,
    /// When its WAF questions are answered with yes (extension).
    pub scoring: Scoring,
    /// The JSON object that a refused client reads in place of the usual one (extension).
    pub deny_body: Option<String>,
    /// From when on the rule does nothing (extension).
    pub expires: Option<Timestamp>,
    /// Where it stands.
    pub at: Location,
}

/// When the WAF questions of a rule are answered with yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// `any`: one signature is enough, as on Google.
    Any,
    /// `anomaly`: the scores of all signatures that the rule asks for and that match add up to the threshold.
    Anomaly {
        /// The sum from which on it is yes; the Core Rule Set's own is 5, one critical signature.
        threshold: u32,
    },
}

/// What happens on a match.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ends evaluation; the request passes.
    Allow,
    /// Refuses with the status.
    Deny(DenyStatus),
    /// Refuses what exceeds the rate.
    Throttle(RateLimit),
    /// Refuses what exceeds the rate, and for a while everything of the key. The limit has a ban.
    RateBasedBan(RateLimit),
    /// Answers 302 with this target.
    Redirect(String),
    /// Writes the match to the log and goes on (extension).
    Log,
}

/// 403, 404, 429 or 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenyStatus(pub(super) u16);

impl DenyStatus {
    /// Returns the HTTP status.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

/// When a rule matches.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Every request: `*`.
    Any,
    /// The client's address is in one of these.
    SourceRanges(Vec<IpNet>),
    /// The expression is true.
    Expression(Box<Expression>),
}

/// `rateLimitOptions`.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// How many requests of one key pass.
    pub threshold: Rate,
    /// What a request under the limit does.
    pub conform: Conform,
    /// What a request over the limit gets.
    pub exceed: Exceed,
    /// What is counted by; all of them together make the key.
    pub keys: Vec<RateKey>,
    /// The ban; present exactly in `rate_based_ban`.
    pub ban: Option<Ban>,
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many pass.
    pub count: u32,
    /// In any window of so many seconds.
    pub interval_secs: u32,
}

/// What a request under the limit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conform {
    /// Ends evaluation, as on Google: no rule below is asked.
    Allow,
    /// Goes on with the next rule (extension).
    Continue,
}

/// What a request over the limit gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exceed {
    /// A refusal.
    Deny(DenyStatus),
    /// A 302 with this target.
    Redirect(String),
}

/// `banDurationSec` and `banThreshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// How long, after the request that caused it.
    pub duration_secs: u32,
    /// Bans only above this rate, throttles below; `None` bans at the first excess.
    pub threshold: Option<Rate>,
}

/// One part of a rate key.
#[derive(Clone, Debug)]
pub struct RateKey {
    /// What it is.
    pub kind: RateKeyKind,
    /// What takes its place where it is absent; `None` is Cloud Armor's choice for the kind.
    pub fallback: Option<Fallback>,
}

/// `enforceOnKey`.
#[derive(Clone, Debug)]
pub enum RateKeyKind {
    /// One counter for everyone.
    All,
    /// The client's address; IPv6 by /64.
    Ip,
    /// A header's value, up to 128 bytes. The name is in lower case.
    HttpHeader(String),
    /// A cookie's value, up to 128 bytes.
    HttpCookie(String),
    /// The first address of X-Forwarded-For. The client chooses it.
    XffIp,
    /// The path, up to 128 bytes.
    HttpPath,
    /// The TLS server name, up to 128 bytes.
    Sni,
    /// The country; unknown is one of its own.
    RegionCode,
    /// The JA3 fingerprint.
    Ja3,
    /// The JA4 fingerprint.
    Ja4,
    /// `origin.user_ip`.
    UserIp,
    /// The autonomous system.
    Asn,
    /// The valid token's tenant (extension).
    Tenant,
    /// The valid token's subject (extension).
    User,
    /// `license_key` of a JSON body (extension).
    LicenseKey,
    /// What an expression yields (extension).
    Expression(Box<Expression>),
}

/// What takes an absent key's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// One counter for everyone without a key.
    All,
    /// The client's address.
    Ip,
    /// The rule does not match.
    Skip,
    /// The request exceeds at once.
    Deny,
}

/// A header that is added to the request or replaced in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderToAdd {
    /// The name, as written.
    pub name: String,
    /// The value.
    pub value: String,
}

/// One of `preconfiguredWafConfig.exclusions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The set that it belongs to.
    pub set: String,
    /// The signatures; empty means all of the set.
    pub signatures: Vec<u32>,
    /// The fields whose values are left out.
    pub fields: Vec<FieldPattern>,
    /// Where it stands.
    pub at: Location,
}

/// Which fields of one kind are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPattern {
    /// The kind.
    pub field: ExclusionField,
    /// How the name is compared, ASCII case folded.
    pub operator: ExclusionOperator,
}

/// The kinds of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExclusionField {
    /// A header's value.
    Header,
    /// A cookie's value.
    Cookie,
    /// A query or form parameter's value.
    QueryParam,
    /// The whole URI.
    Uri,
}

/// How a field's name is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExclusionOperator {
    /// `EQUALS`
    Equals(String),
    /// `STARTS_WITH`
    StartsWith(String),
    /// `ENDS_WITH`
    EndsWith(String),
    /// `CONTAINS`
    Contains(String),
    /// `EQUALS_ANY`
    Any,
}
