//! What a browser reports of a content security policy.

use std::net::IpAddr;

use bytes::Bytes;
use portcullis_config::Timestamp;

use serde_json::{Value, json};

use super::rfc3339;

/// One report. What it says is a stranger's word.
#[derive(Clone, Debug)]
pub struct CspRecord {
    /// When the request's head was read.
    pub time: Timestamp,
    /// The request.
    pub request_id: String,
    /// The client.
    pub client: IpAddr,
    /// The host as sent.
    pub host: Bytes,
    /// The page.
    pub document: Vec<u8>,
    /// The directive that kept it from something.
    pub directive: Vec<u8>,
    /// What it was kept from.
    pub blocked: Vec<u8>,
    /// `enforce` or `report`.
    pub disposition: Vec<u8>,
}

impl CspRecord {
    /// Writes it as the line of the event log.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        json!({
            "timestamp": rfc3339(self.time), "type": "csp_violation", "action": "logged",
            "source": "edge", "requestId": self.request_id, "clientIp": self.client.to_string(),
            "host": text(&self.host), "documentUri": text(&self.document),
            "directive": text(&self.directive), "blockedUri": text(&self.blocked),
            "disposition": text(&self.disposition),
        })
    }
}
