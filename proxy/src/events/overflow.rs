//! Events that did not fit the queue, added up: who did what how often is kept for as many as there is room, and how
//! often a thing was done for all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use portcullis_incident::event::Taken;
use portcullis_incident::{Category, Event};

/// Parts that are locked one by one, so that workers seldom meet.
const SHARDS: usize = 16;
/// Sums of one kind, source and subject that are kept.
pub(crate) const SUMS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Overflow {
    shards: Vec<Mutex<HashMap<Like, Event>>>,
    /// What found no room, by category; and when the last one was.
    rest: Vec<AtomicU64>,
    last_millis: AtomicU64,
    hasher: RandomState,
}

/// What events have in common that are added up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Like {
    category: Category,
    taken: Taken,
    source: Option<IpAddr>,
    subject: Option<String>,
}

impl Overflow {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            rest: Category::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            last_millis: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Adds an event to its like. Costs a hash and a short lock.
    pub(super) fn add(&self, event: Event) {
        let like = Like {
            category: event.category,
            taken: event.taken,
            source: event.source_ip,
            subject: event.actor.subject.clone(),
        };
        let index = self.hasher.hash_one(&like) as usize % self.shards.len().max(1);
        let Some(shard) = self.shards.get(index) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = shard.get_mut(&like) {
            sum.count = sum.count.saturating_add(event.count);
        } else if shard.len() < SUMS_MAX / SHARDS {
            shard.insert(like, event);
        } else if event.taken != Taken::Previewed {
            drop(shard);
            self.last_millis.fetch_max(event.at.as_millis(), Ordering::Relaxed);
            if let Some(rest) = self.rest.get(event.category as usize) {
                rest.fetch_add(event.count, Ordering::Relaxed);
            }
        }
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            taken.extend(shard.drain().map(|(_, event)| event));
        }
        let at =
            portcullis_config::Timestamp::from_millis(self.last_millis.load(Ordering::Relaxed));
        for (category, rest) in Category::ALL.iter().zip(&self.rest) {
            let count = rest.swap(0, Ordering::Relaxed);
            if count > 0 {
                taken.push(Event {
                    count,
                    taken: Taken::Blocked,
                    ..Event::new("", *category, None, at)
                });
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config::Timestamp;

    use super::*;

    #[test]
    fn sums_are_kept_up_to_the_cap_and_nothing_is_lost_beyond() {
        let one_shard = SUMS_MAX / SHARDS;
        for (what, kinds, without_source) in [
            ("one under", one_shard - 1, 0),
            ("at it", one_shard, 0),
            ("one over", one_shard + 1, 1),
        ] {
            let overflow = Overflow { shards: vec![Mutex::default()], ..Overflow::new() };
            for n in 0..kinds {
                let source = [198, 51, (n / 256) as u8, n as u8];
                let event =
                    Event::new("", Category::Ban, Some(source.into()), Timestamp::from_secs(9));
                overflow.add(event.clone());
                overflow.add(event);
            }
            let taken = overflow.take();
            assert_eq!(taken.iter().map(|event| event.count).sum::<u64>(), 2 * kinds as u64);
            let lost: Vec<_> = taken.iter().filter(|event| event.source_ip.is_none()).collect();
            assert_eq!(lost.len(), without_source, "{what}");
            assert!(lost.iter().all(|event| event.at == Timestamp::from_secs(9)));
        }
    }
}
