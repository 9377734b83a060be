//! Finds what no single event shows: scenarios look at events by group. They count them, or distinct values of them, in a
//! sliding window; remember where a group was, what it is known by, and how much it usually does; and raise one event of
//! their own when that is remarkable. After that they are silent about the group for a while.

mod baseline;
mod file;
mod journey;
mod scenario;
#[cfg(test)]
pub(crate) mod testing;
mod unseen;
mod window;

use std::collections::HashMap;

use portcullis_config::Timestamp;

use crate::event::Event;
use baseline::Level;
pub use file::{ScenarioFile, ScenarioTest, read_scenario};
use journey::Journeys;
pub use scenario::{
    BadScenario, Baseline, Condition, Counter, Distinct, Filter, GroupBy, Scenario,
};
use unseen::Known;
use window::Window;

/// Scenarios and what they have seen.
#[derive(Debug)]
pub struct Detectors {
    scenarios: Vec<Scenario>,
    /// What is counted: anybody can begin a group here.
    counts: Groups,
    /// What is remembered for long, apart from that: who begins many groups there pushes nobody out here.
    memories: Groups,
}

#[derive(Debug)]
struct Groups {
    groups: HashMap<(usize, String), Group>,
    groups_max: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Group {
    held: Held,
    silent_until: Timestamp,
    last: Timestamp,
}

/// What a scenario keeps of a group.
#[derive(Debug)]
enum Held {
    Count(Window),
    Journey(Journeys),
    Unseen(Known),
    Baseline(Level),
}

impl Detectors {
    /// Makes detectors of scenarios that count in at most so many groups, and remember as many. At the cap the group
    /// that was longest idle, of a few, goes and is counted.
    #[must_use]
    pub fn new(scenarios: Vec<Scenario>, groups_max: usize) -> Self {
        Self { scenarios, counts: Groups::new(groups_max), memories: Groups::new(groups_max) }
    }

    /// Shows an event to every scenario that watches it and returns what they raise.
    pub fn observe(&mut self, event: &Event, now: Timestamp) -> Vec<Event> {
        let mut raised = Vec::new();
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let groups = match scenario.condition {
                Condition::Count { .. } => &mut self.counts,
                Condition::Journey { .. } | Condition::Unseen(_) | Condition::Baseline(_) => {
                    &mut self.memories
                }
            };
            raised.extend(groups.show(index, scenario, event, now));
        }
        raised
    }

    /// Returns how many groups were dropped at the cap.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.counts.dropped + self.memories.dropped
    }

    /// Returns how many groups are tracked.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.counts.groups.len() + self.memories.groups.len()
    }

    /// Forgets groups that say nothing any more. For a periodic task.
    pub fn sweep(&mut self, now: Timestamp) {
        for groups in [&mut self.counts, &mut self.memories] {
            groups.sweep(&self.scenarios, now);
        }
    }
}

impl Groups {
    fn new(groups_max: usize) -> Self {
        Self { groups: HashMap::new(), groups_max: groups_max.max(1), dropped: 0 }
    }

    fn show(
        &mut self,
        index: usize,
        scenario: &Scenario,
        event: &Event,
        now: Timestamp,
    ) -> Option<Event> {
        let is_watched = scenario.watches.contains(&event.category);
        if !is_watched || event.scenario.is_some() || !scenario.filter.lets_through(event) {
            return None;
        }
        let key = (index, scenario.group_by.of(event)?);
        if let Some(distinct) = scenario.condition.distinct() {
            distinct.of(event)?;
        }
        if self.groups.len() >= self.groups_max && !self.groups.contains_key(&key) {
            self.make_room();
        }
        let new = || Group { held: Held::of(scenario, now), silent_until: now, last: now };
        let group = self.groups.entry(key).or_insert_with(new);
        group.last = now;
        let is_silent = now < group.silent_until;
        // What counts begins anew after it has spoken; what remembers goes on learning.
        if is_silent && matches!(group.held, Held::Count(_)) {
            return None;
        }
        let found = group.held.look(scenario, event, now).filter(|_| !is_silent)?;
        group.silent_until = now.plus(scenario.blackhole);
        Some(scenario.raise(event, found))
    }

    fn sweep(&mut self, scenarios: &[Scenario], now: Timestamp) {
        self.groups.retain(|(index, _), group| {
            let kept = scenarios.get(*index).map_or_else(Default::default, Scenario::kept_for);
            now < group.silent_until || now.since(group.last) <= kept
        });
    }

    fn make_room(&mut self) {
        let oldest = self.groups.iter().take(16).min_by_key(|(_, group)| group.last);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.groups.remove(&key);
            self.dropped += 1;
        }
    }
}

impl Held {
    fn of(scenario: &Scenario, now: Timestamp) -> Self {
        match scenario.condition {
            Condition::Count { .. } => Self::Count(Window::new(scenario.window)),
            Condition::Journey { .. } => Self::Journey(Journeys::default()),
            Condition::Unseen(_) => Self::Unseen(Known::default()),
            Condition::Baseline(_) => Self::Baseline(Level::new(scenario.window, now)),
        }
    }

    /// Takes an event in. Returns what is said of it where the condition holds.
    fn look(&mut self, scenario: &Scenario, event: &Event, now: Timestamp) -> Option<Event> {
        let length = scenario.window;
        match (self, &scenario.condition) {
            (Self::Count(window), Condition::Count { distinct, counter, threshold }) => {
                let seen = match (distinct, counter) {
                    (Some(distinct), _) => {
                        window.add_distinct(&distinct.of(event)?, *threshold, now)
                    }
                    (None, Counter::Leaky) => window.pour(event.count, *threshold, now),
                    (None, Counter::Sliding) => window.add(event.count, now),
                };
                if seen < u64::from(*threshold) {
                    return None;
                }
                *window = Window::new(length);
                Some(Event { count: seen, ..event.clone() })
            }
            (Self::Journey(journeys), Condition::Journey { rule, returns }) => {
                journeys.observe(event, rule, *returns, length, now)
            }
            (Self::Unseen(known), Condition::Unseen(distinct)) => {
                known.is_news(&distinct.of(event)?, length, now).then(|| event.clone())
            }
            (Self::Baseline(level), Condition::Baseline(usual)) => {
                let count = level.observe(event.count, usual, now)?;
                Some(Event { count, ..event.clone() })
            }
            // A group is made by its own scenario.
            (Self::Count(_) | Self::Journey(_) | Self::Unseen(_) | Self::Baseline(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
