//! One scenario: which events it watches, by what it groups them, what it counts, when it speaks.

use std::time::Duration;

use crate::category::Category;
use crate::event::{Event, Taken};
use crate::source;
use crate::travel::TravelRule;

/// What a scenario counts separately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GroupBy {
    /// Each source address (IPv6 by its /64).
    Source,
    /// Each verified subject.
    Subject,
    /// Each account that a sign-in names.
    Account,
    /// Each verified token, by its id.
    Token,
    /// Each license key, by its digest.
    LicenseKey,
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
    /// Networks of sources: autonomous systems, and where none is known the /24 or /48.
    Network,
    /// TLS libraries, by their JA4 fingerprint.
    Fingerprint,
    /// Countries of sources.
    Country,
    /// License keys, by their digest.
    LicenseKey,
    /// Devices that license calls name, by their digest.
    Device,
}

/// When a scenario speaks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Condition {
    /// So many within the window.
    Count {
        /// What is counted once each; `None` counts every event.
        distinct: Option<Distinct>,
        /// How it counts.
        counter: Counter,
        /// How many it takes.
        threshold: u32,
    },
    /// The group cannot have been at both places: at one of the last ones, and at the one where it is.
    Journey {
        /// What is taken for impossible.
        rule: TravelRule,
        /// Whether it speaks of the way back only: two who use one thing at one time, far apart.
        returns: bool,
    },
    /// The value was not seen of the group within the window, though the group was.
    Unseen(Distinct),
    /// The group does far more than it usually does.
    Baseline(Baseline),
}

impl Condition {
    /// The values that it looks at: an event without one is not counted.
    pub(super) const fn distinct(&self) -> Option<Distinct> {
        match self {
            Self::Count { distinct, .. } => *distinct,
            Self::Unseen(distinct) => Some(*distinct),
            Self::Journey { .. } | Self::Baseline(_) => None,
        }
    }

    /// The longest window. What a group usually does is remembered for longer than what it did.
    const fn window_max(&self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(match self {
            Self::Count { .. } | Self::Baseline(_) => DAY,
            Self::Journey { .. } => 7 * DAY,
            Self::Unseen(_) => 90 * DAY,
        })
    }
}

/// What is far more than usual. Rates are in events a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Baseline {
    /// How many times the usual.
    pub factor: u32,
    /// Less than that is never too much.
    pub floor: u64,
    /// More than that is never usual, however slowly it grew.
    pub ceiling: u64,
    /// How slowly the usual follows; until a group was watched for that long, the ceiling is taken for its usual.
    pub learn: Duration,
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
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Its name, which stands in the events that it raises.
    pub name: String,
    /// The categories that it counts.
    pub watches: Vec<Category>,
    /// Which of their events.
    pub filter: Filter,
    /// By what it groups.
    pub group_by: GroupBy,
    /// When it speaks.
    pub condition: Condition,
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
    /// A window of no time or of too much.
    #[error(
        "a scenario's window is from 1 s to 24 h, of a journey to 7 d, of what is unseen to 90 d"
    )]
    Window,
    /// It speaks of a subject that no event has.
    #[error("a scenario raises what can be an incident or is worth a line, not {0}")]
    Raises(&'static str),
    /// A baseline that says nothing.
    #[error(
        "a baseline has a factor from 2 to 1000, a floor below its ceiling, and learns for 1 m to 7 d"
    )]
    Baseline,
    /// A journey that everybody makes.
    #[error("a journey has a distance from 10 to 20000 km and a speed from 10 to 100000 km/h")]
    Journey,
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
        if self.raises.is_everyday() {
            return Err(BadScenario::Raises(self.raises.as_str()));
        }
        if self.window < Duration::from_secs(1) || self.window > self.condition.window_max() {
            return Err(BadScenario::Window);
        }
        self.condition.checked()?;
        Ok(self)
    }

    /// Makes the event that it raises, out of what it found of the last one.
    pub(super) fn raise(&self, last: &Event, found: Event) -> Event {
        Event {
            id: format!("{}/{}", last.id, self.name),
            category: self.raises,
            scenario: Some(self.name.clone()),
            ..found
        }
    }

    /// Returns for how long a group that is idle says something.
    pub(super) fn kept_for(&self) -> Duration {
        match self.condition {
            Condition::Baseline(usual) => self.window.max(usual.learn),
            Condition::Count { .. } | Condition::Journey { .. } | Condition::Unseen(_) => {
                self.window
            }
        }
    }
}

impl Condition {
    fn checked(&self) -> Result<(), BadScenario> {
        match *self {
            Self::Count { threshold, .. } if !(2..=100_000).contains(&threshold) => {
                Err(BadScenario::Threshold)
            }
            Self::Count { distinct: Some(_), counter: Counter::Leaky, .. } => {
                Err(BadScenario::LeakyValues)
            }
            Self::Journey { rule, .. }
                if !(10.0..=20_000.0).contains(&rule.distance_min_km)
                    || !(10.0..=100_000.0).contains(&rule.speed_max_km_per_hour) =>
            {
                Err(BadScenario::Journey)
            }
            Self::Baseline(usual)
                if !(2..=1000).contains(&usual.factor)
                    || usual.floor == 0
                    || usual.ceiling < usual.floor
                    || usual.ceiling > RATE_MAX
                    || usual.learn < Duration::from_secs(60)
                    || usual.learn > Duration::from_secs(7 * 86_400) =>
            {
                Err(BadScenario::Baseline)
            }
            Self::Count { .. } | Self::Journey { .. } | Self::Unseen(_) | Self::Baseline(_) => {
                Ok(())
            }
        }
    }
}

/// The highest rate, a minute, that a baseline may have.
const RATE_MAX: u64 = 1_000_000_000;

impl GroupBy {
    pub(super) fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Source => event.source_ip.map(|ip| source::text(&source::of_client(ip))),
            Self::Subject => event.actor.subject.clone(),
            Self::Account => event.actor.account.clone(),
            Self::Token => event.actor.token_id.clone(),
            Self::LicenseKey => event.actor.license_key.clone(),
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
            Self::Network => network(event),
            Self::Fingerprint => event.actor.fingerprint.clone(),
            Self::Country => event.actor.country.clone(),
            Self::LicenseKey => event.actor.license_key.clone(),
            Self::Device => event.actor.device.clone(),
        }
    }
}

/// The network of an event's source: what stays the same while an address changes.
pub(super) fn network(event: &Event) -> Option<String> {
    if let Some(asn) = event.actor.asn {
        return Some(format!("AS{asn}"));
    }
    event.source_ip.map(|ip| source::text(&source::of_network(ip)))
}
