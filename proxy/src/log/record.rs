//! What a worker hands to the logs. Plain values; bytes from the network stay bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::Timestamp;
use portcullis_config::model::LogFormat;
use portcullis_policy::ClientCertificate;

use crate::reason::Reason;

/// One finished request.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// How its line is written.
    pub format: LogFormat,
    /// When the request's head was read.
    pub time: Timestamp,
    /// The id that the client, the origin and the log share.
    pub request_id: String,
    /// The generation of the snapshot that decided.
    pub generation: u64,
    /// The address that accepted the connection.
    pub server: Option<SocketAddr>,
    /// Who asked.
    pub client: ClientRecord,
    /// The method as sent.
    pub method: Bytes,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// The host as sent.
    pub host: Bytes,
    /// Path and query as sent.
    pub uri: Bytes,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub protocol: &'static str,
    /// The first `User-Agent` as sent.
    pub user_agent: Option<Bytes>,
    /// The first `Referer` as sent.
    pub referer: Option<Bytes>,
    /// Bytes of the request's body that were read.
    pub request_bytes: u64,
    /// The status that the client got; 0 if the connection broke before one was sent.
    pub status: u16,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// From the request's head to the answer's end.
    pub latency: Duration,
    /// Why the edge answered itself; `None` if the origin's answer went out.
    pub refusal: Option<Reason>,
    /// What the client must not read: which part was malformed, why a token failed, what the socket said.
    pub detail: Option<String>,
    /// The prefix of the route that was chosen.
    pub route: Option<String>,
    /// The backend of that route, whether or not it was asked.
    pub backend: Option<String>,
    /// The server of the backend that answered, if one was asked.
    pub server_asked: Option<String>,
    /// The load test whose limits were lifted. What learns from the log leaves such lines out.
    pub load_test: Option<Arc<str>>,
    /// Who the token says the client is.
    pub identity: Option<IdentityRecord>,
    /// The objects that it named, as `KIND:ID`, bounded.
    pub objects: Vec<String>,
    /// The other tenant whose object it asked for.
    pub attempted_tenant: Option<String>,
    /// The policy's verdict.
    pub enforced: Option<PolicyRecord>,
    /// What the preview rules would have done; the first one stands in `previewSecurityPolicy`.
    pub previews: Vec<PolicyRecord>,
    /// Rules whose expression met an error, such as a missing header, and so did not match.
    pub rule_errors: Vec<u32>,
    /// Rules that matched in the origin's answer.
    pub answer_rules: Vec<u32>,
    /// The address from the configured headers, and the header that gave it.
    pub user_ip: Option<(String, IpAddr)>,
    /// Body bytes that the policy saw.
    pub inspected_body_bytes: u64,
    /// How the TLS connection was made, if it was.
    pub tls: Option<&'static str>,
}

/// Who asked.
#[derive(Clone, Debug)]
pub struct ClientRecord {
    /// The client's address, after trusted hops were followed.
    pub address: IpAddr,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// ISO 3166 code; empty if unknown.
    pub region_code: String,
    /// Autonomous system number; 0 if unknown.
    pub asn: u32,
    /// JA3 fingerprint; empty if not taken.
    pub ja3: Arc<str>,
    /// JA4 fingerprint; empty if not taken.
    pub ja4: Arc<str>,
    /// What the client's certificate says, if it showed one.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Who the token says the client is.
#[derive(Clone, Debug)]
pub struct IdentityRecord {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The token's subject.
    pub subject: String,
    /// The token's tenant.
    pub tenant: Option<String>,
}

/// What one policy rule decided, in Cloud Armor's words.
#[derive(Clone, Debug, Default)]
pub struct PolicyRecord {
    /// The policy's name.
    pub name: String,
    /// The rule's priority.
    pub priority: u32,
    /// `ALLOW`, `DENY`, `THROTTLE`, `RATE_BASED_BAN`, `EXTERNAL_302`, `LOG`.
    pub configured_action: String,
    /// `ACCEPT`, `DENY`, `REDIRECT`, `EXEMPT`.
    pub outcome: String,
    /// The signatures that made the rule match.
    pub preconfigured_expr_ids: Vec<String>,
    /// What the rule's limit said.
    pub rate_limit: Option<RateLimitRecord>,
    /// Where the first signature matched; only where the policy's log is verbose.
    pub matched: Option<WafRecord>,
    /// Address groups and lists that held the client.
    pub address_groups: Vec<String>,
    /// Threat feeds that held the client.
    pub threat_categories: Vec<String>,
    /// Every signature with each field that it matched, bounded.
    pub signatures: Vec<SignatureRecord>,
    /// The rule could not be judged because the request was over before its input was read.
    pub not_evaluated: bool,
}

/// One signature in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRecord {
    /// The preconfigured set, as the rule names it.
    pub set: String,
    /// The signature's number.
    pub id: u32,
    /// The signature as the log names it.
    pub signature: String,
    /// `ARG_VALUES`, `HEADER_VALUES`, `BODY`, …
    pub field_type: String,
    /// The key of the pair; empty if the field has none.
    pub field_name: Bytes,
}

/// What a rule's limit said.
#[derive(Clone, Debug)]
pub struct RateLimitRecord {
    /// The key, as bounded text.
    pub key: String,
    /// `RATE_LIMIT_THRESHOLD_CONFORM`, `RATE_LIMIT_THRESHOLD_EXCEED`, `BAN_THRESHOLD_EXCEED`.
    pub outcome: String,
}

/// Where a signature matched.
#[derive(Clone, Debug, Default)]
pub struct WafRecord {
    /// `ARG_VALUES`, `HEADER_VALUES`, `BODY`, …
    pub field_type: String,
    /// The key of the pair; empty if the field has none.
    pub field_name: Bytes,
    /// The start of what matched, bounded.
    pub value: Bytes,
    /// Length of the whole field's value in bytes.
    pub field_length: u64,
    /// Where in the value the match begins, in bytes.
    pub offset: u64,
    /// Length of the match in bytes.
    pub length: u64,
}
