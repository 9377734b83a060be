//! What waits to be told, as it stands on disk.

use portcullis_config::Timestamp;
use portcullis_incident::notice::NoticeKind;
use portcullis_incident::{Category, Incident, Notice, Priority};
use serde_json::{Value, json};

use crate::log::rfc3339;

/// One message to one notifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    /// A number that grows, and never changes: what the receiver tells repetitions by.
    pub(crate) number: u64,
    /// To whom.
    pub(crate) notifier: String,
    /// The incident.
    pub(crate) incident: String,
    /// Equal for all letters of one incident.
    pub(crate) dedup_key: String,
    /// What the receiver is to do.
    pub(crate) kind: NoticeKind,
    /// What the incident is.
    pub(crate) category: Category,
    /// How urgent it is.
    pub(crate) priority: Priority,
    /// One line, with how many customers are affected.
    pub(crate) summary: String,
    /// The customers, where they are known.
    pub(crate) tenants: Vec<String>,
    /// The sources.
    pub(crate) sources: Vec<String>,
    /// The verified subjects.
    pub(crate) subjects: Vec<String>,
    /// How many events there were.
    pub(crate) events: u64,
    /// When it was written.
    pub(crate) at: Timestamp,
    /// When it is sent next.
    pub(crate) due: Timestamp,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Whether the fallback has been told.
    pub(crate) has_fallen_back: bool,
}

impl Letter {
    /// Writes a letter about an incident.
    pub(crate) fn new(
        number: u64,
        notifier: &str,
        notice: &Notice,
        incident: &Incident,
        due: Timestamp,
        now: Timestamp,
    ) -> Self {
        let texts = |seen: &portcullis_incident::incident::Seen| {
            seen.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        Self {
            number,
            notifier: notifier.to_owned(),
            incident: notice.incident.clone(),
            dedup_key: notice.dedup_key.clone(),
            kind: notice.kind,
            category: incident.category,
            priority: notice.priority,
            summary: notice.summary.clone(),
            tenants: texts(&incident.tenants),
            sources: texts(&incident.sources),
            subjects: texts(&incident.subjects),
            events: incident.count,
            at: now,
            due,
            attempts: 0,
            has_fallen_back: false,
        }
    }

    /// Writes a letter that says nothing but that letters arrive.
    pub(crate) fn test(notifier: &str, now: Timestamp) -> Self {
        Self {
            number: 0,
            notifier: notifier.to_owned(),
            incident: "INC-0000-00-00-000".to_owned(),
            dedup_key: "portcullis-test".to_owned(),
            kind: NoticeKind::Trigger,
            category: Category::Scanner,
            priority: Priority::P3,
            summary: "a test of Portcullis: nothing has happened, 0 tenants affected".to_owned(),
            tenants: Vec::new(),
            sources: Vec::new(),
            subjects: Vec::new(),
            events: 0,
            at: now,
            due: now,
            attempts: 0,
            has_fallen_back: false,
        }
    }

    /// Returns the id by which a receiver knows a repetition.
    pub(crate) fn id(&self) -> String {
        format!("{}.{}.{}", self.incident, self.kind.as_str(), self.number)
    }

    /// Returns the name of the runbook.
    pub(crate) fn runbook(&self) -> String {
        format!("{}.md", self.category.kind().replace('_', "-"))
    }

    /// Returns everything that is said of the incident, for a machine.
    pub(crate) fn details(&self) -> Value {
        json!({
            "incident_id": self.incident,
            "category": self.category.as_str(),
            "priority": self.priority.as_str(),
            "events": self.events,
            "affected_customers": self.tenants.len(),
            "tenants": self.tenants,
            "sources": self.sources,
            "users": self.subjects,
            "timestamp": rfc3339(self.at),
            "runbook": self.runbook(),
            "next_step": format!("portcullis incidents show {}", self.incident),
        })
    }

    /// Writes the letter for the store.
    pub(crate) fn to_record(&self) -> String {
        json!({
            "version": 1,
            "number": self.number,
            "notifier": self.notifier,
            "incident": self.incident,
            "dedup_key": self.dedup_key,
            "kind": self.kind.as_str(),
            "category": self.category.as_str(),
            "priority": self.priority.as_str(),
            "summary": self.summary,
            "tenants": self.tenants,
            "sources": self.sources,
            "subjects": self.subjects,
            "events": self.events,
            "at": self.at.as_millis(),
            "due": self.due.as_millis(),
            "attempts": self.attempts,
            "has_fallen_back": self.has_fallen_back,
        })
        .to_string()
    }

    /// Reads a letter from the store; `None` where it is none of this version.
    pub(crate) fn from_record(text: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| record.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| record.get(name)?.as_u64();
        let time = |name: &str| number(name).map(Timestamp::from_millis);
        let texts = |name: &str| {
            let items = record.get(name)?.as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        if number("version")? != 1 {
            return None;
        }
        let kinds = [NoticeKind::Trigger, NoticeKind::Acknowledge, NoticeKind::Resolve];
        let kind = text("kind")?;
        Some(Self {
            number: number("number")?,
            notifier: text("notifier")?,
            incident: text("incident")?,
            dedup_key: text("dedup_key")?,
            kind: kinds.into_iter().find(|one| one.as_str() == kind)?,
            category: Category::by_name(&text("category")?)?,
            priority: Priority::by_name(&text("priority")?)?,
            summary: text("summary")?,
            tenants: texts("tenants")?,
            sources: texts("sources")?,
            subjects: texts("subjects")?,
            events: number("events")?,
            at: time("at")?,
            due: time("due")?,
            attempts: u32::try_from(number("attempts")?).ok()?,
            has_fallen_back: record.get("has_fallen_back")?.as_bool()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_back_as_it_was_written_and_a_bent_one_is_not() {
        let letter = Letter {
            tenants: vec!["acme".to_owned()],
            attempts: 3,
            has_fallen_back: true,
            ..Letter::test("pager", Timestamp::from_secs(1_764_460_800))
        };
        assert_eq!(Letter::from_record(&letter.to_record()), Some(letter.clone()));
        let good: Value = serde_json::from_str(&letter.to_record()).unwrap();
        for name in good.as_object().unwrap().keys() {
            let mut bent = good.clone();
            bent[name] = json!({ "bent": true });
            assert_eq!(Letter::from_record(&bent.to_string()), None, "{name}");
        }
        assert_eq!(letter.details()["affected_customers"], 1);
    }
}
