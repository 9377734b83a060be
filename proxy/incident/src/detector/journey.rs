//! Where a group was lately, and whether it can be where it is now. Places that are near one that is known are not news:
//! two devices far apart are told of once, not at every request.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use portcullis_config::Timestamp;

use super::scenario::network;
use crate::category::Priority;
use crate::event::Event;
use crate::travel::{Place, TravelRule};

/// Places, networks and devices of one group that are remembered; then the oldest goes.
const KNOWN_MAX: usize = 8;

/// What one group is known by.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    stays: VecDeque<Stay>,
    networks: VecDeque<u64>,
    fingerprints: VecDeque<u64>,
}

/// A time at a place.
#[derive(Debug)]
struct Stay {
    place: Place,
    label: String,
    first: Timestamp,
    last: Timestamp,
}

impl Journeys {
    /// Notes where the group is. Returns what is to be raised where it cannot be there. A place that is not known says
    /// nothing. Cost: at most eight places.
    pub(super) fn observe(
        &mut self,
        event: &Event,
        rule: &TravelRule,
        returns: bool,
        window: Duration,
        now: Timestamp,
    ) -> Option<Event> {
        let signs = self.signs(event);
        let place = event.place?;
        self.stays.retain(|stay| now.since(stay.last) <= window);
        let known = self.stays.iter().position(|stay| !rule.is_far(&stay.place, &place));
        let from = match known {
            Some(at) if returns => self.left_and_back(at, rule, now),
            None if !returns => self.impossible_from(place, rule, now),
            Some(_) | None => None,
        };
        let label = label(event, &place);
        match known.and_then(|at| self.stays.get_mut(at)) {
            Some(stay) => stay.last = stay.last.max(now),
            None => {
                let stay = Stay { place, label: label.clone(), first: now, last: now };
                push(&mut self.stays, stay);
            }
        }
        Some(Event {
            travel: Some((from?, label)),
            urgency: (!signs.is_empty()).then_some(Priority::P1.max(event.category.priority())),
            corroborated_by: signs,
            ..event.clone()
        })
    }

    /// The place that it cannot have come from.
    fn impossible_from(&self, place: Place, rule: &TravelRule, now: Timestamp) -> Option<String> {
        let far = |stay: &&Stay| rule.is_impossible((stay.place, stay.last), (place, now));
        let latest = self.stays.iter().filter(far).max_by_key(|stay| stay.last);
        latest.map(|stay| stay.label.clone())
    }

    /// The place where it has been since it was last here, if neither way was possible.
    fn left_and_back(&self, here: usize, rule: &TravelRule, now: Timestamp) -> Option<String> {
        let here = self.stays.get(here)?;
        let between = |there: &&Stay| {
            there.last > here.last
                && rule.is_impossible(
                    (here.place, here.last),
                    (there.place, there.first.max(here.last)),
                )
                && rule.is_impossible((there.place, there.last), (here.place, now))
        };
        self.stays.iter().find(between).map(|stay| stay.label.clone())
    }

    /// Says what is new of a group that is known, and remembers it.
    fn signs(&mut self, event: &Event) -> Vec<&'static str> {
        let mut signs = Vec::new();
        let values = [
            (&mut self.networks, network(event), "new_network"),
            (&mut self.fingerprints, event.actor.fingerprint.clone(), "new_device"),
        ];
        for (known, value, sign) in values {
            let Some(digest) = value.map(|value| digest(&value)) else { continue };
            if known.contains(&digest) {
                continue;
            }
            if !known.is_empty() {
                signs.push(sign);
            }
            push(known, digest);
        }
        signs
    }
}

fn push<T>(known: &mut VecDeque<T>, value: T) {
    if known.len() >= KNOWN_MAX {
        known.pop_front();
    }
    known.push_back(value);
}

fn digest(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A place in words: the country, and where in it.
fn label(event: &Event, place: &Place) -> String {
    let country = event.actor.country.as_deref().unwrap_or("?");
    format!("{country} {:.1},{:.1}", place.latitude, place.longitude)
}
