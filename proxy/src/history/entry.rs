//! One line of a log, whichever of our shapes it has, as what somebody did.

use std::net::IpAddr;

use portcullis_config::Timestamp;
use portcullis_incident::event::millis;
use serde_json::{Value, json};

use super::combined;
use crate::log::rfc3339;

/// Which log tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The request log.
    Request,
    /// The event log.
    Event,
}

/// What somebody did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) source: Source,
    /// The type of an event; empty for a request.
    pub(crate) kind: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: Option<u64>,
    /// What was done: `passed`, the reason of a refusal, or an event's action.
    pub(crate) decision: String,
    pub(crate) is_refused: bool,
    pub(crate) bytes_out: Option<u64>,
    pub(crate) objects: Vec<String>,
    pub(crate) attempted_tenant: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: Option<String>,
    pub(crate) incident_id: Option<String>,
    /// How many of its like it stands for.
    pub(crate) count: u64,
}

impl Entry {
    /// Reads a line; `None` for one that is none of ours. Beside it stands the line itself where it is an object.
    pub(crate) fn of_line(line: &[u8]) -> Option<(Self, Value)> {
        if line.first() != Some(&b'{') {
            return combined::entry(line).map(|entry| (entry, Value::Null));
        }
        let value: Value = serde_json::from_slice(line).ok()?;
        let entry = if value.get("httpRequest").is_some() {
            Self::of_cloud_logging(&value)
        } else if value.get("client_address").is_some() {
            Self::of_flat(&value)
        } else {
            Self::of_event(&value)
        }?;
        Some((entry, value))
    }

    fn of_cloud_logging(line: &Value) -> Option<Self> {
        let url = text(line, "/httpRequest/requestUrl")?;
        // What follows the host.
        let after = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let target = after.find('/').and_then(|at| after.get(at..)).unwrap_or("/");
        let reason = text(line, "/reason");
        Some(Self {
            method: text(line, "/httpRequest/requestMethod")?,
            path: path(target),
            status: line.pointer("/httpRequest/status")?.as_u64(),
            bytes_out: text(line, "/httpRequest/responseSize")?.parse().ok(),
            attempted_tenant: text(line, "/attemptedTenant"),
            subject: text(line, "/identity/subject"),
            tenant: text(line, "/identity/tenant"),
            address: address(line, "/jsonPayload/remoteIp"),
            request_id: text(line, "/requestId"),
            ..Self::request(time(line, "/timestamp")?, line, reason)
        })
    }

    fn of_flat(line: &Value) -> Option<Self> {
        Some(Self {
            method: text(line, "/method")?,
            path: path(&text(line, "/uri")?),
            status: line.get("status")?.as_u64(),
            bytes_out: line.get("response_bytes")?.as_u64(),
            attempted_tenant: text(line, "/attempted_tenant"),
            subject: text(line, "/subject"),
            tenant: text(line, "/tenant"),
            address: address(line, "/client_address"),
            request_id: text(line, "/request_id"),
            ..Self::request(time(line, "/time")?, line, text(line, "/reason"))
        })
    }

    fn request(at: Timestamp, line: &Value, reason: Option<String>) -> Self {
        let is_refused = reason.is_some();
        let decision = reason.unwrap_or_else(|| "passed".to_owned());
        Self { decision, is_refused, ..Self::empty(at, Source::Request, line) }
    }

    fn of_event(line: &Value) -> Option<Self> {
        let kind = text(line, "/type").or_else(|| text(line, "/event"))?;
        let action = text(line, "/response/action").or_else(|| text(line, "/reason"));
        let address = ["/source_ip", "/ip", "/clientIp"];
        let request_id = text(line, "/request/id").or_else(|| text(line, "/requestId"));
        Some(Self {
            kind,
            method: text(line, "/request/method").unwrap_or_default(),
            path: text(line, "/request/path").unwrap_or_default(),
            status: number(line, "/response/status_code").filter(|status| *status != 0),
            is_refused: action.as_deref() == Some("BLOCKED"),
            decision: action.unwrap_or_default(),
            bytes_out: number(line, "/response/bytes_out"),
            attempted_tenant: text(line, "/attempted_tenant"),
            subject: text(line, "/user_id").or_else(|| text(line, "/userId")),
            tenant: text(line, "/tenant_id"),
            address: address.iter().find_map(|pointer| self::address(line, pointer)),
            request_id,
            incident_id: text(line, "/incident_id"),
            count: number(line, "/count").unwrap_or(1),
            ..Self::empty(time(line, "/timestamp")?, Source::Event, line)
        })
    }

    /// An entry of which nothing but the time and the objects is known.
    pub(super) fn empty(at: Timestamp, source: Source, line: &Value) -> Self {
        let objects = line.get("objects").and_then(Value::as_array);
        let texts = objects.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        Self {
            at,
            source,
            kind: String::new(),
            method: String::new(),
            path: String::new(),
            status: None,
            decision: String::new(),
            is_refused: false,
            bytes_out: None,
            objects: texts.collect(),
            attempted_tenant: None,
            subject: None,
            tenant: None,
            address: None,
            request_id: None,
            incident_id: None,
            count: 1,
        }
    }

    /// Writes it for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "time": rfc3339(self.at),
            "source": match self.source { Source::Request => "request", Source::Event => "event" },
            "type": (!self.kind.is_empty()).then_some(&self.kind),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "decision": self.decision,
            "refused": self.is_refused,
            "bytes_out": self.bytes_out,
            "objects": self.objects,
            "attempted_tenant": self.attempted_tenant,
            "subject": self.subject,
            "tenant": self.tenant,
            "address": self.address.map(|address| address.to_string()),
            "request_id": self.request_id,
            "incident_id": self.incident_id,
            "count": self.count,
        })
    }
}

/// A target without its query.
pub(super) fn path(target: &str) -> String {
    target.split('?').next().unwrap_or_default().to_owned()
}

fn text(line: &Value, pointer: &str) -> Option<String> {
    line.pointer(pointer)?.as_str().map(str::to_owned)
}

fn number(line: &Value, pointer: &str) -> Option<u64> {
    line.pointer(pointer)?.as_u64()
}

fn time(line: &Value, pointer: &str) -> Option<Timestamp> {
    millis(line.pointer(pointer)?.as_str()?).map(Timestamp::from_millis)
}

fn address(line: &Value, pointer: &str) -> Option<IpAddr> {
    line.pointer(pointer)?.as_str()?.parse().ok()
}
