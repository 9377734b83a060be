//! An incident: events of one cause, counted, with a priority, a state and a timeline. Everything in it is bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_config::Timestamp;

use crate::category::{Category, Priority};
use crate::correlator::Numbered;
use crate::event::Event;
use crate::source;

/// How many different values of a kind are kept; beyond that only the number grows no more.
const VALUES_MAX: usize = 64;
/// How many entries a timeline keeps: the first half and the latest half.
const TIMELINE_MAX: usize = 200;

/// Where an incident stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Nobody has answered.
    Open,
    /// Somebody has.
    Acknowledged,
    /// It can do no more harm.
    Contained,
    /// It is over.
    Resolved,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Contained, Self::Resolved];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Contained => "contained",
            Self::Resolved => "resolved",
        }
    }
}

/// One line of a timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, in a sentence for an operator.
    pub what: String,
}

/// What an incident has seen of one kind of thing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen(pub(crate) BTreeSet<String>);

impl Seen {
    /// Returns how many different ones were seen, at most 64.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether none was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn note(&mut self, value: Option<String>) {
        if let Some(value) = value
            && self.0.len() < VALUES_MAX
        {
            self.0.insert(value);
        }
    }
}

/// One incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// `INC-YYYY-MM-DD-NNN`.
    pub id: String,
    /// The key under which its events meet; also the pager's.
    pub dedup_key: String,
    /// What it is.
    pub category: Category,
    /// How urgent it is now.
    pub priority: Priority,
    /// Where it stands.
    pub status: Status,
    /// When its first event happened.
    pub first_seen: Timestamp,
    /// When its latest event happened.
    pub last_seen: Timestamp,
    /// Since when the present priority waits for an answer.
    pub waiting_since: Timestamp,
    /// When it could do no more harm for the first time: something was done about it, or somebody said so.
    pub contained_at: Option<Timestamp>,
    /// How often nobody answered in time.
    pub unanswered: u32,
    /// How many events it holds.
    pub count: u64,
    /// The sources.
    pub sources: Seen,
    /// The verified subjects.
    pub subjects: Seen,
    /// The tenants, own and attempted: the customers who are concerned.
    pub tenants: Seen,
    /// The rules.
    pub rules: Seen,
    /// Foreign objects that exist and were asked for by no other site's doing.
    pub objects: Seen,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
}

impl Incident {
    /// Opens an incident with its first event.
    pub(crate) fn open(numbered: Numbered, dedup_key: String, event: &Event) -> Self {
        let mut incident = Self {
            id: numbered.to_string(),
            dedup_key,
            category: event.category,
            priority: base_priority(event),
            status: Status::Open,
            first_seen: event.at,
            last_seen: event.at,
            waiting_since: event.at,
            contained_at: None,
            unanswered: 0,
            count: 0,
            sources: Seen::default(),
            subjects: Seen::default(),
            tenants: Seen::default(),
            rules: Seen::default(),
            objects: Seen::default(),
            timeline: Vec::new(),
        };
        incident.join(event);
        incident
    }

    /// Counts one more event.
    pub(crate) fn join(&mut self, event: &Event) {
        self.count = self.count.saturating_add(event.count);
        self.last_seen = self.last_seen.max(event.at);
        self.sources.note(event.source_ip.map(|ip| source::text(&source::of_client(ip))));
        self.subjects.note(event.actor.subject.clone());
        self.tenants.note(event.actor.tenant.clone());
        self.rules.note(event.rule.as_ref().map(|rule| rule.id.clone()));
        if let Some(breach) = &event.breach {
            self.tenants.note(breach.attempted_tenant.clone());
            if is_deliberate(event) {
                self.objects.note(Some(breach.object.clone()));
            }
        }
    }

    /// Says how urgent its evidence makes it: many sources, rules, tenants or events are worth one step each, to P1 at
    /// most. P0 is what the table says it is, not a sum.
    pub(crate) fn priority_by_evidence(&self, base: Priority) -> Priority {
        let steps = usize::from(self.sources.len() >= 10)
            + usize::from(self.rules.len() >= 5)
            + usize::from(self.tenants.len() >= 3)
            + usize::from(self.count >= 1000);
        let raised = (0..steps).fold(base, |priority, _| priority.raised());
        if base == Priority::P0 { base } else { raised.min(Priority::P1) }
    }

    /// Adds a line to the timeline. When it is full the line in the middle goes: how it began and how it stands remain.
    pub(crate) fn note(&mut self, what: String, at: Timestamp) {
        if self.timeline.len() >= TIMELINE_MAX {
            self.timeline.remove(TIMELINE_MAX / 2);
        }
        self.timeline.push(Moment { at, what });
    }

    /// Returns how long it took until it was contained for the first time.
    #[must_use]
    pub fn time_to_contain(&self) -> Option<Duration> {
        self.contained_at.map(|at| at.since(self.first_seen))
    }

    /// Says whether it names somebody.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.subjects.0.contains(name)
            || self.sources.0.contains(name)
            || self.timeline.iter().any(|moment| blanked(&moment.what, name).is_some())
    }

    /// Blanks a name wherever it stands. Its events do not meet under the old key any more.
    pub(crate) fn erase(&mut self, name: &str) {
        for seen in [&mut self.subjects, &mut self.sources] {
            if seen.0.remove(name) {
                seen.0.insert(ERASED.to_owned());
            }
        }
        for moment in &mut self.timeline {
            if let Some(blanked) = blanked(&moment.what, name) {
                moment.what = blanked;
            }
        }
        // What people were told under it has ended.
        self.dedup_key = self.id.clone();
    }

    /// Says whether it is over.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }

    /// Says in one line what it is, for a page: with how many customers are affected.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} {}: {} events from {} sources, {} subjects, {} tenants affected",
            self.priority.as_str(),
            self.category.as_str(),
            self.count,
            self.sources.len(),
            self.subjects.len(),
            self.tenants.len(),
        )
    }
}

/// What stands in the place of a name that was erased.
const ERASED: &str = "[erased]";

/// A text with a name blanked wherever it stands as a whole word; `None` where it does not.
fn blanked(text: &str, name: &str) -> Option<String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@');
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = rest.split_once(name).filter(|_| !name.is_empty()) {
        let starts = out.chars().chain(before.chars()).next_back().is_none_or(|c| !is_part(c));
        let ends = after.chars().next().is_none_or(|c| !is_part(c));
        out.push_str(before);
        out.push_str(if starts && ends { ERASED } else { name });
        found |= starts && ends;
        rest = after;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// Says whether an event is a breach that its subject meant: a foreign object that exists, asked for by no other site.
pub(crate) fn is_deliberate(event: &Event) -> bool {
    let meant = |breach: &crate::event::Breach| breach.exists && !breach.is_cross_site;
    event.actor.subject.is_some() && event.breach.as_ref().is_some_and(meant)
}

/// A breach that nobody meant (a stale bookmark, a link from elsewhere) is looked at, not paged.
pub(crate) fn base_priority(event: &Event) -> Priority {
    if event.category == Category::TenantBreach && !is_deliberate(event) {
        return Priority::P2;
    }
    event.urgency.unwrap_or_else(|| event.category.priority())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_blanked_where_it_stands_alone() {
        for (text, name, expected) in [
            ("limited user ada for 1h", "ada", Some("limited user [erased] for 1h")),
            ("ada: seen", "ada", Some("[erased]: seen")),
            ("user:ada", "ada", Some("user:[erased]")),
            ("adam and nevada", "ada", None),
            ("ada-2", "ada", None),
            ("192.0.2.7 and 192.0.2.77", "192.0.2.7", Some("[erased] and 192.0.2.77")),
            ("nothing", "", None),
        ] {
            assert_eq!(blanked(text, name).as_deref(), expected, "{text}");
        }
    }
}
