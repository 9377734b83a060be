//! Finds what no single event shows: scenarios count events by group, distinct values or all, in a sliding window, and
//! raise one event of their own when a threshold is crossed. After that they are silent about the group for a while.

mod file;
mod scenario;
#[cfg(test)]
pub(crate) mod testing;
mod window;

use std::collections::HashMap;

use portcullis_config::Timestamp;

use crate::event::Event;
pub use file::{ScenarioFile, ScenarioTest, read_scenario};
pub use scenario::{BadScenario, Counter, Distinct, Filter, GroupBy, Scenario};
use window::Window;

/// Scenarios and what they have counted.
#[derive(Debug)]
pub struct Detectors {
    scenarios: Vec<Scenario>,
    groups: HashMap<(usize, String), Group>,
    groups_max: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Group {
    window: Window,
    silent_until: Timestamp,
    last: Timestamp,
}

impl Detectors {
    /// Makes detectors of scenarios that track at most so many groups. At the cap the group that was longest idle, of a
    /// few, goes and is counted.
    #[must_use]
    pub fn new(scenarios: Vec<Scenario>, groups_max: usize) -> Self {
        Self { scenarios, groups: HashMap::new(), groups_max: groups_max.max(1), dropped: 0 }
    }

    /// Counts an event in every scenario that watches it and returns what they raise.
    pub fn observe(&mut self, event: &Event, now: Timestamp) -> Vec<Event> {
        let mut raised = Vec::new();
        for index in 0..self.scenarios.len() {
            let found = self.count(index, event, now);
            raised.extend(found);
        }
        raised
    }

    /// Returns how many groups were dropped at the cap.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many groups are tracked.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Forgets groups that say nothing any more. For a periodic task.
    pub fn sweep(&mut self, now: Timestamp) {
        let scenarios = &self.scenarios;
        self.groups.retain(|(index, _), group| {
            let window = scenarios.get(*index).map_or_else(Default::default, |s| s.window);
            now < group.silent_until || now.since(group.last) <= window
        });
    }

    fn count(&mut self, index: usize, event: &Event, now: Timestamp) -> Option<Event> {
        let scenario = self.scenarios.get(index)?;
        let is_watched = scenario.watches.contains(&event.category);
        if !is_watched || event.scenario.is_some() || !scenario.filter.lets_through(event) {
            return None;
        }
        let key = (index, scenario.group_by.of(event)?);
        let value = match scenario.distinct {
            Some(distinct) => Some(distinct.of(event)?),
            None => None,
        };
        let (threshold, length, blackhole) =
            (scenario.threshold, scenario.window, scenario.blackhole);
        let counter = scenario.counter;
        let raised = scenario.raise(event);
        if self.groups.len() >= self.groups_max && !self.groups.contains_key(&key) {
            self.make_room();
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            window: Window::new(length),
            silent_until: Timestamp::from_millis(0),
            last: now,
        });
        group.last = now;
        if now < group.silent_until {
            return None;
        }
        let seen = match value {
            Some(value) => group.window.add_distinct(&value, threshold, now),
            None if counter == Counter::Leaky => group.window.pour(event.count, threshold, now),
            None => group.window.add(event.count, now),
        };
        if seen < u64::from(threshold) {
            return None;
        }
        group.window = Window::new(length);
        group.silent_until = now.plus(blackhole);
        Some(Event { count: seen, ..raised })
    }

    fn make_room(&mut self) {
        let oldest = self.groups.iter().take(16).min_by_key(|(_, group)| group.last);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.groups.remove(&key);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests;
