//! One scenario: which events it watches, by what it groups them, what it counts, when it speaks.

use std::time::Duration;

use crate::category::Category;
use crate::event::{Event, Taken};
use crate::source;

/// What a scenario counts separately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GroupBy {
    /// Each source address (IPv6 by its /64).
    Source,
    /// Each verified subject.
    Subject,
    /// Each account that a sign-in names.
    Account,
    /// Each route.
    Route,
    /// All together.
    Node,
}

/// Which values a scenario counts once each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Distinct {
    /// Source addresses.
    Source,
    /// Paths.
    Path,
    /// Rules.
    Rule,
    /// Accounts that sign-ins name.
    Account,
    /// Verified subjects.
    Subject,
}

/// How a scenario counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counter {
    /// What happened within the window.
    Sliding,
    /// A bucket that holds the threshold and is empty after a window of silence.
    Leaky,
}

/// Which events of its categories a scenario counts. An empty list lets everything through.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// How paths begin.
    pub paths: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Statuses of the answer.
    pub statuses: Vec<u16>,
    /// Countries of the source.
    pub countries: Vec<String>,
    /// What was done.
    pub taken: Option<Taken>,
}

impl Filter {
    /// Says whether an event is counted.
    #[must_use]
    pub fn lets_through(&self, event: &Event) -> bool {
        let is_path = self.paths.is_empty() || self.paths.iter().any(|p| event.path.starts_with(p));
        let is_method = self.methods.is_empty() || self.methods.contains(&event.method);
        let is_status = self.statuses.is_empty() || self.statuses.contains(&event.status);
        let country = event.actor.country.as_ref();
        let is_country =
            self.countries.is_empty() || country.is_some_and(|one| self.countries.contains(one));
        let is_taken = self.taken.is_none_or(|taken| taken == event.taken);
        is_path && is_method && is_status && is_country && is_taken
    }
}

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name, which stands in the events that it raises.
    pub name: String,
    /// The categories that it counts.
    pub watches: Vec<Category>,
    /// Which of their events.
    pub filter: Filter,
    /// By what it groups.
    pub group_by: GroupBy,
    /// What it counts once each; `None` counts every event.
    pub distinct: Option<Distinct>,
    /// How it counts.
    pub counter: Counter,
    /// How many it takes.
    pub threshold: u32,
    /// In which time.
    pub window: Duration,
    /// How long it is silent about a group after it spoke.
    pub blackhole: Duration,
    /// What it raises.
    pub raises: Category,
}

/// Why a scenario does not load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadScenario {
    /// It has no name.
    #[error("a scenario needs a name")]
    NoName,
    /// It watches nothing.
    #[error("a scenario watches at least one category")]
    WatchesNothing,
    /// One event would be enough, or more than are counted.
    #[error("a scenario's threshold is from 2 to 100000")]
    Threshold,
    /// A window of no time or of more than a day.
    #[error("a scenario's window is from 1 s to 24 h")]
    Window,
    /// Values do not leak out of a bucket.
    #[error("a leaky counter counts events: distinct values are counted by a sliding one")]
    LeakyValues,
}

impl Scenario {
    /// Checks what only a person can get wrong.
    ///
    /// # Errors
    /// When it could never speak, or speaks at everything.
    pub fn checked(self) -> Result<Self, BadScenario> {
        if self.name.is_empty() {
            return Err(BadScenario::NoName);
        }
        if self.watches.is_empty() {
            return Err(BadScenario::WatchesNothing);
        }
        if !(2..=100_000).contains(&self.threshold) {
            return Err(BadScenario::Threshold);
        }
        if self.window < Duration::from_secs(1) || self.window > Duration::from_secs(86_400) {
            return Err(BadScenario::Window);
        }
        if self.counter == Counter::Leaky && self.distinct.is_some() {
            return Err(BadScenario::LeakyValues);
        }
        Ok(self)
    }

    /// Makes the event that it raises, out of the one that crossed the threshold.
    pub(super) fn raise(&self, last: &Event) -> Event {
        Event {
            id: format!("{}/{}", last.id, self.name),
            category: self.raises,
            scenario: Some(self.name.clone()),
            ..last.clone()
        }
    }
}

impl GroupBy {
    pub(super) fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Source => event.source_ip.map(|ip| source::text(&source::of_client(ip))),
            Self::Subject => event.actor.subject.clone(),
            Self::Account => event.actor.account.clone(),
            Self::Route => Some(event.route.clone()),
            Self::Node => Some(String::new()),
        }
    }
}

impl Distinct {
    pub(super) fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Source => GroupBy::Source.of(event),
            Self::Path => Some(event.path.clone()),
            Self::Rule => event.rule.as_ref().map(|rule| rule.id.clone()),
            Self::Account => event.actor.account.clone(),
            Self::Subject => event.actor.subject.clone(),
        }
    }
}
