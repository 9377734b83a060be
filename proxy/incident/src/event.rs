//! One security event: what happened, to whom, from where, what was done. Its JSON is a superset of the first seed's,
//! with its field names unchanged.

use std::net::IpAddr;

use portcullis_config::Timestamp;
use serde_json::{Map, Value, json};

use crate::category::{Category, Priority};
use crate::mask;
use crate::travel::Place;

/// The version of the JSON's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// What was done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Taken {
    /// Refused.
    Blocked,
    /// Let through and noted.
    Logged,
    /// Would have been refused by a rule in preview.
    Previewed,
}

impl Taken {
    /// Returns the word in an event's `response.action`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::Logged => "LOGGED",
            Self::Previewed => "PREVIEWED",
        }
    }
}

/// Who did it, as far as is known. A subject is only ever that of a verified token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Actor {
    /// The verified token's subject.
    pub subject: Option<String>,
    /// The verified token's tenant.
    pub tenant: Option<String>,
    /// The provider whose token it is.
    pub provider: Option<String>,
    /// The verified token's id.
    pub token_id: Option<String>,
    /// The account that a sign-in named; nothing vouches for it.
    pub account: Option<String>,
    /// The `User-Agent`, cut and made printable.
    pub user_agent: Option<String>,
    /// The country of the source.
    pub country: Option<String>,
    /// The network of the source.
    pub asn: Option<u32>,
    /// The JA4 fingerprint of its TLS library.
    pub fingerprint: Option<String>,
    /// A digest of the license key that it used; the key itself is never kept.
    pub license_key: Option<String>,
    /// A digest of the device that it said it was.
    pub device: Option<String>,
}

/// What a tenant breach rests on. A link that somebody sends to a victim makes the victim's browser ask; that is no
/// reason to suspend the victim.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Breach {
    /// The tenant whose object was asked for.
    pub attempted_tenant: Option<String>,
    /// The foreign object's id, as asked for.
    pub object: String,
    /// Whether the object exists.
    pub exists: bool,
    /// Whether a browser said that another site caused the request (`Sec-Fetch-Site: cross-site`).
    pub is_cross_site: bool,
}

impl Breach {
    /// What tells a deliberate breach from a stale bookmark.
    fn to_json(&self) -> Value {
        json!({
            "object": self.object,
            "exists": self.exists,
            "cross_site": self.is_cross_site,
        })
    }
}

/// A rule that matched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// Its id or priority.
    pub id: String,
    /// The anomaly score, where one was summed.
    pub score: Option<u32>,
    /// The field that matched, by name.
    pub matched_field: Option<String>,
}

/// One security event.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// A unique id; the shell makes it.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What it is.
    pub category: Category,
    /// Where the request came from.
    pub source_ip: Option<IpAddr>,
    /// Who sent it.
    pub actor: Actor,
    /// The request's id.
    pub request_id: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path, without the query.
    pub path: String,
    /// The route's template, of which there are few.
    pub route: String,
    /// What matched: masked and cut when it is written.
    pub payload: Vec<u8>,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The objects that the request named, as `KIND:ID`.
    pub objects: Vec<String>,
    /// What was done.
    pub taken: Taken,
    /// The rule that matched.
    pub rule: Option<Rule>,
    /// A rule in preview that matched as well, as `POLICY/PRIORITY`.
    pub preview_rule: Option<String>,
    /// For a tenant breach, what it rests on.
    pub breach: Option<Breach>,
    /// For impossible travel, where the subject was before and is now.
    pub travel: Option<(String, String)>,
    /// Where the source is, as far as a database of places tells.
    pub place: Option<Place>,
    /// What else speaks for it, in words of the documentation.
    pub corroborated_by: Vec<&'static str>,
    /// How urgent it is, where that is not what its category is.
    pub urgency: Option<Priority>,
    /// For an alert of another system, what that calls it.
    pub alert: Option<String>,
    /// The detector that found it in other events; `None` for what a single request did.
    pub scenario: Option<String>,
    /// How many events this one stands for, when a flood was aggregated; at least 1.
    pub count: u64,
}

/// What the correlator adds when an event belongs to an incident.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Placed {
    /// The incident's id.
    pub incident_id: Option<String>,
    /// The key under which its events meet.
    pub dedup_key: Option<String>,
    /// The incident's priority, which may be above the category's.
    pub priority: Option<Priority>,
    /// The response that it started, and for how many seconds.
    pub response: Option<(&'static str, u64)>,
}

impl Event {
    /// Makes an event with nothing known but what, when and where.
    #[must_use]
    pub fn new(id: &str, category: Category, source_ip: Option<IpAddr>, at: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            at,
            category,
            source_ip,
            actor: Actor::default(),
            request_id: None,
            method: String::new(),
            path: String::new(),
            route: String::new(),
            payload: Vec::new(),
            status: 0,
            bytes_out: 0,
            objects: Vec::new(),
            taken: Taken::Logged,
            rule: None,
            preview_rule: None,
            breach: None,
            travel: None,
            place: None,
            corroborated_by: Vec::new(),
            urgency: None,
            alert: None,
            scenario: None,
            count: 1,
        }
    }

    /// Writes the event as one JSON object. Credentials and license keys in the payload are masked, and its length is
    /// bounded.
    #[must_use]
    pub fn to_json(&self, placed: &Placed) -> Value {
        let own = self.urgency.unwrap_or_else(|| self.category.priority());
        let priority = placed.priority.unwrap_or(own);
        let mut event = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                event.insert(name.to_owned(), value);
            }
        };
        put("schema_version", json!(SCHEMA_VERSION));
        put("event_id", json!(self.id));
        put("timestamp", json!(rfc3339(self.at)));
        put("severity", json!(priority.severity()));
        put("priority", json!(priority.as_str()));
        put("event_type", json!("SECURITY_INCIDENT"));
        put("type", json!(self.category.kind()));
        put("incident_id", json!(placed.incident_id));
        put("category", json!(self.category.as_str()));
        put("dedup_key", json!(placed.dedup_key));
        put("source_ip", json!(self.source_ip.map(|ip| ip.to_canonical().to_string())));
        put("user_id", json!(self.actor.subject));
        put("tenant_id", json!(self.actor.tenant));
        put("user_tenant", json!(self.breach.as_ref().and(self.actor.tenant.as_ref())));
        let attempted = self.breach.as_ref().and_then(|breach| breach.attempted_tenant.as_ref());
        put("attempted_tenant", json!(attempted));
        put("breach", json!(self.breach.as_ref().map(Breach::to_json)));
        put("last_location", json!(self.travel.as_ref().map(|(last, _)| last)));
        put("current_location", json!(self.travel.as_ref().map(|(_, current)| current)));
        if !self.corroborated_by.is_empty() {
            put("corroborated_by", json!(self.corroborated_by));
        }
        put("alert", json!(self.alert));
        put("request", self.request_json());
        put("response", self.response_json());
        put("objects", json!((!self.objects.is_empty()).then_some(&self.objects)));
        let response =
            placed.response.map(|(action, secs)| json!({"action": action, "duration": secs}));
        put("automated_response", json!(response));
        put("actor", self.actor_json());
        put("rule", self.rule_json());
        put("preview_rule", json!(self.preview_rule));
        put("scenario", json!(self.scenario));
        put("count", json!(self.count));
        put("tags", json!(["security", self.category.tag(), self.category.kind()]));
        Value::Object(event)
    }

    fn request_json(&self) -> Value {
        json!({
            "id": self.request_id,
            "method": self.method,
            "path": mask::line(self.path.as_bytes()),
            "route": self.route,
            "payload": mask::payload(&self.payload),
        })
    }

    fn response_json(&self) -> Value {
        json!({
            "status_code": self.status,
            "action": self.taken.as_str(),
            "bytes_out": self.bytes_out,
        })
    }

    fn actor_json(&self) -> Value {
        json!({
            "token_id": self.actor.token_id,
            "provider": self.actor.provider,
            "account": self.actor.account,
            "user_agent": self.actor.user_agent.as_ref().map(|agent| mask::line(agent.as_bytes())),
            "country": self.actor.country,
            "asn": self.actor.asn,
            "fingerprint": self.actor.fingerprint,
            "license_key_digest": self.actor.license_key,
            "device_digest": self.actor.device,
        })
    }

    fn rule_json(&self) -> Value {
        let rule = self.rule.as_ref();
        rule.map_or(
            Value::Null,
            |rule| json!({"id": rule.id, "score": rule.score, "matched_field": rule.matched_field}),
        )
    }
}

/// Writes a time as RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let (year, month, day) = date(at);
    let secs = at.as_secs() % 86_400;
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    let millis = at.as_millis() % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads what [`rfc3339`] writes, as milliseconds since the Unix epoch; `None` for anything else.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Years begin with March here, so that a leap day is their last one.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let secs = days.checked_sub(719_469)? * 86_400 + hour * 3600 + minute * 60 + second;
    let read = secs * 1000 + number(20, 23)?;
    (rfc3339(Timestamp::from_millis(read)) == text).then_some(read)
}

/// Returns year, month and day in UTC: days are counted from 1 March of year 0, in eras of 400 years.
pub(crate) fn date(at: Timestamp) -> (u64, u64, u64) {
    let days = at.as_secs() / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
