//! Incidents and responses as JSON, for the shell's store: written whole, read back strictly. A record that this version
//! cannot read is an error, not half an incident.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portcullis_config::Timestamp;
use serde_json::{Map, Value, json};

use crate::category::{Category, Priority};
use crate::incident::{Incident, Moment, Seen, Status};
use crate::response::{Action, Response};

/// The version of the records' shape.
const VERSION: u64 = 1;

/// A stored record cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRecord {
    /// It is no JSON object.
    #[error("the record is no JSON object")]
    NotJson,
    /// Another version wrote it.
    #[error("the record has version {0}, not {VERSION}")]
    Version(u64),
    /// A field is missing or is not what it should be.
    #[error("the record's `{0}` is missing or malformed")]
    Field(&'static str),
}

impl Incident {
    /// Writes the incident for the store.
    #[must_use]
    pub fn to_record(&self) -> String {
        let moments: Vec<_> =
            self.timeline.iter().map(|m| json!([m.at.as_millis(), m.what])).collect();
        let record = json!({
            "version": VERSION,
            "id": self.id,
            "dedup_key": self.dedup_key,
            "category": self.category.as_str(),
            "priority": self.priority.as_str(),
            "status": self.status.as_str(),
            "first_seen": self.first_seen.as_millis(),
            "last_seen": self.last_seen.as_millis(),
            "waiting_since": self.waiting_since.as_millis(),
            "contained_at": self.contained_at.map(Timestamp::as_millis),
            "unanswered": self.unanswered,
            "count": self.count,
            "sources": self.sources.0,
            "subjects": self.subjects.0,
            "tenants": self.tenants.0,
            "rules": self.rules.0,
            "objects": self.objects.0,
            "timeline": moments,
        });
        record.to_string()
    }

    /// Reads an incident from the store.
    ///
    /// # Errors
    /// When the record is not one that [`Self::to_record`] wrote.
    pub fn from_record(text: &[u8]) -> Result<Self, BadRecord> {
        let record = Record::read(text)?;
        Ok(Self {
            id: record.text("id")?.to_owned(),
            dedup_key: record.text("dedup_key")?.to_owned(),
            category: record.named("category", Category::by_name)?,
            priority: record.named("priority", Priority::by_name)?,
            status: record.named("status", status_by_name)?,
            first_seen: record.time("first_seen")?,
            last_seen: record.time("last_seen")?,
            waiting_since: record.time("waiting_since")?,
            contained_at: record.maybe_time("contained_at")?,
            unanswered: u32::try_from(record.number("unanswered")?)
                .map_err(|_| BadRecord::Field("unanswered"))?,
            count: record.number("count")?,
            sources: record.seen("sources")?,
            subjects: record.seen("subjects")?,
            tenants: record.seen("tenants")?,
            rules: record.seen("rules")?,
            objects: record.seen("objects")?,
            timeline: record.timeline()?,
        })
    }
}

impl Response {
    /// Writes the response for the store.
    #[must_use]
    pub fn to_record(&self) -> String {
        let (kind, target, owner) = match &self.action {
            Action::BanSource(net) => ("ban_source", net.to_string(), None),
            Action::BanFingerprint(print) => ("ban_fingerprint", print.clone(), None),
            Action::LimitSource(net) => ("limit_source", net.to_string(), None),
            Action::LimitSubject(subject) => ("limit_subject", subject.clone(), None),
            Action::RevokeTokens { provider, subject, before: _ } => {
                ("revoke_tokens", subject.clone(), Some(provider.clone()))
            }
            Action::Suspend { tenant, subject } => {
                ("suspend", subject.clone(), Some(tenant.clone()))
            }
            Action::ReleaseSessions { tenant, subject } => {
                ("release_sessions", subject.clone(), Some(tenant.clone()))
            }
            Action::LockDown(route) => ("lock_down", route.clone(), None),
            Action::RaiseProtection(route) => ("raise_protection", route.clone(), None),
            Action::EnforceRule(rule) => ("enforce_rule", rule.clone(), None),
            Action::CaptureEvidence => ("capture_evidence", String::new(), None),
        };
        let before = match &self.action {
            Action::RevokeTokens { before, .. } => Some(before.as_millis()),
            Action::BanSource(_)
            | Action::BanFingerprint(_)
            | Action::LimitSource(_)
            | Action::LimitSubject(_)
            | Action::Suspend { .. }
            | Action::ReleaseSessions { .. }
            | Action::LockDown(_)
            | Action::RaiseProtection(_)
            | Action::EnforceRule(_)
            | Action::CaptureEvidence => None,
        };
        let record = json!({
            "version": VERSION,
            "number": self.number,
            "incident": self.incident,
            "action": kind,
            "target": target,
            "owner": owner,
            "before": before,
            "since": self.since.as_millis(),
            "until": self.until.as_millis(),
            "dry_run": self.is_dry_run,
            "done": self.is_done,
            "undone": self.is_undone,
        });
        record.to_string()
    }

    /// Reads a response from the store.
    ///
    /// # Errors
    /// When the record is not one that [`Self::to_record`] wrote.
    pub fn from_record(text: &[u8]) -> Result<Self, BadRecord> {
        let record = Record::read(text)?;
        Ok(Self {
            number: record.number("number")?,
            incident: record.text("incident")?.to_owned(),
            action: record.action()?,
            since: record.time("since")?,
            until: record.time("until")?,
            is_dry_run: record.flag("dry_run")?,
            is_done: record.flag("done")?,
            is_undone: record.flag("undone")?,
        })
    }
}

fn status_by_name(name: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.as_str() == name)
}

/// One record while it is read.
struct Record(Map<String, Value>);

impl Record {
    fn read(text: &[u8]) -> Result<Self, BadRecord> {
        let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
            return Err(BadRecord::NotJson);
        };
        let record = Self(members);
        match record.number("version")? {
            VERSION => Ok(record),
            other => Err(BadRecord::Version(other)),
        }
    }

    fn text(&self, name: &'static str) -> Result<&str, BadRecord> {
        self.0.get(name).and_then(Value::as_str).ok_or(BadRecord::Field(name))
    }

    fn number(&self, name: &'static str) -> Result<u64, BadRecord> {
        self.0.get(name).and_then(Value::as_u64).ok_or(BadRecord::Field(name))
    }

    fn flag(&self, name: &'static str) -> Result<bool, BadRecord> {
        self.0.get(name).and_then(Value::as_bool).ok_or(BadRecord::Field(name))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, BadRecord> {
        self.number(name).map(Timestamp::from_millis)
    }

    /// A time that may be absent: not there yet, or written by a version that did not know it.
    fn maybe_time(&self, name: &'static str) -> Result<Option<Timestamp>, BadRecord> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.time(name).map(Some),
        }
    }

    fn named<T>(&self, name: &'static str, by: fn(&str) -> Option<T>) -> Result<T, BadRecord> {
        by(self.text(name)?).ok_or(BadRecord::Field(name))
    }

    fn list(&self, name: &'static str) -> Result<&[Value], BadRecord> {
        self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).ok_or(BadRecord::Field(name))
    }

    fn seen(&self, name: &'static str) -> Result<Seen, BadRecord> {
        let texts = self.list(name)?.iter().map(|value| value.as_str().map(str::to_owned));
        let set: Option<BTreeSet<String>> = texts.collect();
        set.map(Seen).ok_or(BadRecord::Field(name))
    }

    fn timeline(&self) -> Result<Vec<Moment>, BadRecord> {
        let moment = |value: &Value| {
            let at = value.get(0)?.as_u64().map(Timestamp::from_millis)?;
            Some(Moment { at, what: value.get(1)?.as_str()?.to_owned() })
        };
        let moments = self.list("timeline")?.iter().map(moment);
        moments.collect::<Option<_>>().ok_or(BadRecord::Field("timeline"))
    }

    fn action(&self) -> Result<Action, BadRecord> {
        let target = self.text("target")?;
        let subject = target.to_owned();
        let owner = || self.text("owner").map(str::to_owned);
        let net = || target.parse::<IpNet>().map_err(|_| BadRecord::Field("target"));
        match self.text("action")? {
            "ban_source" => net().map(Action::BanSource),
            "ban_fingerprint" => Ok(Action::BanFingerprint(subject)),
            "limit_source" => net().map(Action::LimitSource),
            "limit_subject" => Ok(Action::LimitSubject(subject)),
            "revoke_tokens" => {
                let (provider, before) = (owner()?, self.time("before")?);
                Ok(Action::RevokeTokens { provider, subject, before })
            }
            "suspend" => Ok(Action::Suspend { tenant: owner()?, subject }),
            "release_sessions" => Ok(Action::ReleaseSessions { tenant: owner()?, subject }),
            "lock_down" => Ok(Action::LockDown(subject)),
            "raise_protection" => Ok(Action::RaiseProtection(subject)),
            "enforce_rule" => Ok(Action::EnforceRule(subject)),
            "capture_evidence" => Ok(Action::CaptureEvidence),
            _ => Err(BadRecord::Field("action")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Breach, Event, Rule};
    use crate::{Correlator, ResponseSettings};

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn incident() -> Incident {
        let mut correlator = Correlator::new(10);
        let source = Some("2001:db8::1".parse().unwrap());
        let mut event = Event::new("e", Category::TenantBreach, source, at(0));
        event.actor.subject = Some("alice \"x\"".to_owned());
        event.actor.tenant = Some("acme".to_owned());
        event.rule = Some(Rule { id: "942100".to_owned(), ..Rule::default() });
        event.breach = Some(Breach {
            attempted_tenant: Some("other".to_owned()),
            object: "l-1".to_owned(),
            exists: true,
            is_cross_site: false,
        });
        correlator.observe(&event, at(0));
        correlator.tick(at(300));
        let id = correlator.incidents()[0].id.clone();
        correlator.acknowledge(&id, "ann", at(400)).unwrap();
        correlator.incidents()[0].clone()
    }

    #[test]
    fn an_incident_is_read_back_as_it_was_written() {
        let incident = incident();
        assert_eq!(incident.timeline.len(), 3);
        assert_eq!(Incident::from_record(incident.to_record().as_bytes()), Ok(incident));
    }

    #[test]
    fn every_response_is_read_back_as_it_was_written() {
        let subject = || "alice".to_owned();
        let net = "2001:db8::/64".parse().unwrap();
        for (number, action) in [
            Action::BanSource(net),
            Action::LimitSource("192.0.2.1/32".parse().unwrap()),
            Action::LimitSubject(subject()),
            Action::BanFingerprint("t13d".to_owned()),
            Action::RevokeTokens { provider: "idp".to_owned(), subject: subject(), before: at(7) },
            Action::Suspend { tenant: "acme".to_owned(), subject: subject() },
            Action::ReleaseSessions { tenant: "acme".to_owned(), subject: subject() },
            Action::LockDown("a.test/".to_owned()),
            Action::RaiseProtection("a.test/".to_owned()),
            Action::EnforceRule("p/7".to_owned()),
            Action::CaptureEvidence,
        ]
        .into_iter()
        .enumerate()
        {
            let response = Response {
                number: number as u64,
                incident: "INC-2027-01-15-001".to_owned(),
                action,
                since: at(0),
                until: at(0).plus(ResponseSettings::default().duration),
                is_dry_run: number % 2 == 0,
                is_done: number % 3 == 0,
                is_undone: number % 5 == 0,
            };
            assert_eq!(Response::from_record(response.to_record().as_bytes()), Ok(response));
        }
    }

    #[test]
    fn a_record_that_lacks_or_bends_a_field_is_refused() {
        let good: Value = serde_json::from_str(&incident().to_record()).unwrap();
        for name in good.as_object().unwrap().keys() {
            let mut record = good.clone();
            record.as_object_mut().unwrap().remove(name);
            // Records of before do not have it.
            let may_lack = name == "contained_at";
            let read = Incident::from_record(record.to_string().as_bytes());
            assert_eq!(read.is_ok(), may_lack, "{name}");
            record[name] = json!({"bent": true});
            assert!(Incident::from_record(record.to_string().as_bytes()).is_err(), "{name}");
        }
        let mut other = good;
        other["version"] = json!(2);
        let refused = Incident::from_record(other.to_string().as_bytes());
        assert_eq!(refused, Err(BadRecord::Version(2)));
        for text in ["", "[]", "{}", "{\"version\":1"] {
            assert!(Incident::from_record(text.as_bytes()).is_err(), "{text}");
            assert!(Response::from_record(text.as_bytes()).is_err(), "{text}");
        }
    }
}
