//! Whose an object is: learnt from the answers to a tenant's own requests, asked before another tenant's request is let
//! through. What is not known is not refused: the origin asks for itself, this is the second lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_config::Timestamp;

const SHARDS: usize = 16;
/// How many entries of a full shard are compared when one has to go.
const SAMPLE: usize = 8;
/// How long an object is remembered after it was last seen.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The begin of a SHA-256 over kind and id: nobody finds another id with the same.
type Key = [u8; 16];

/// Which tenant objects belong to. Bounded; the first tenant that an object is seen with keeps it.
#[derive(Debug)]
pub struct OwnerIndex {
    shards: Vec<Mutex<HashMap<Key, Owner>>>,
    entries_max: usize,
    evictions: AtomicU64,
    conflicts: AtomicU64,
}

#[derive(Debug)]
struct Owner {
    tenant: Arc<str>,
    until: Timestamp,
}

/// The index's own figures, for the metrics page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnerFigures {
    /// Objects remembered now.
    pub entries: u64,
    /// Objects that were forgotten because there were too many.
    pub evictions_total: u64,
    /// Answers that named another tenant's object.
    pub conflicts_total: u64,
}

impl OwnerIndex {
    /// Makes an index for at most so many objects (at least 16).
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries_max: entries_max.max(SHARDS),
            evictions: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
        }
    }

    /// Returns the tenant of an object of a kind, if it is known. Cost: one SHA-256 and a lock among sixteen.
    #[must_use]
    pub fn owner(&self, kind: &str, id: &[u8], now: Timestamp) -> Option<Arc<str>> {
        let key = key(kind, id);
        let shard = self.shard(&key);
        shard.get(&key).filter(|owner| now < owner.until).map(|owner| Arc::clone(&owner.tenant))
    }

    /// Notes that an object is a tenant's. One that is known as another's stays that one's.
    pub fn learn(&self, kind: &str, id: &[u8], tenant: &Arc<str>, now: Timestamp) {
        let key = key(kind, id);
        let until = now.plus(REMEMBERED);
        let mut shard = self.shard(&key);
        match shard.get_mut(&key) {
            Some(owner) if owner.tenant == *tenant || owner.until <= now => {
                *owner = Owner { tenant: Arc::clone(tenant), until };
            }
            Some(_) => drop(self.conflicts.fetch_add(1, Ordering::Relaxed)),
            None => {
                self.make_room(&mut shard, now);
                shard.insert(key, Owner { tenant: Arc::clone(tenant), until });
            }
        }
    }

    /// Returns the index's figures.
    #[must_use]
    pub fn figures(&self) -> OwnerFigures {
        OwnerFigures {
            entries: self.shards.iter().map(|shard| lock(shard).len() as u64).sum(),
            evictions_total: self.evictions.load(Ordering::Relaxed),
            conflicts_total: self.conflicts.load(Ordering::Relaxed),
        }
    }

    fn make_room(&self, shard: &mut HashMap<Key, Owner>, now: Timestamp) {
        if shard.len() < self.entries_max / SHARDS {
            return;
        }
        let first = shard.iter().take(SAMPLE).min_by_key(|(_, owner)| owner.until);
        let Some((key, until)) = first.map(|(key, owner)| (*key, owner.until)) else { return };
        shard.remove(&key);
        if until > now {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Owner>> {
        let [first, ..] = key;
        lock(self.shards.get(usize::from(*first) % SHARDS).expect("there are 16 shards"))
    }
}

/// An entry is inserted or removed whole; a panic in between cannot be seen.
fn lock(shard: &Mutex<HashMap<Key, Owner>>) -> MutexGuard<'_, HashMap<Key, Owner>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(kind: &str, id: &[u8]) -> Key {
    let mut key = [0; 16];
    // A kind's name holds no zero byte.
    let digest = digest(&SHA256, &[kind.as_bytes(), b"\0", id].concat());
    key.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_first_tenant_keeps_an_object_until_it_is_forgotten() {
        let index = OwnerIndex::new(64);
        let (acme, other): (Arc<str>, Arc<str>) = ("acme".into(), "other".into());
        assert_eq!(index.owner("session", b"1", at(0)), None);
        index.learn("session", b"1", &acme, at(0));
        index.learn("session", b"1", &other, at(1));
        assert_eq!(index.owner("session", b"1", at(1)).as_deref(), Some("acme"));
        assert_eq!(index.owner("license", b"1", at(1)), None, "another kind");
        assert_eq!(index.figures().conflicts_total, 1);
        let end = REMEMBERED.as_secs();
        assert_eq!(index.owner("session", b"1", at(end - 1)).as_deref(), Some("acme"));
        assert_eq!(index.owner("session", b"1", at(end)), None);
        index.learn("session", b"1", &other, at(end));
        assert_eq!(index.owner("session", b"1", at(end)).as_deref(), Some("other"));
    }

    #[test]
    fn objects_are_remembered_up_to_the_cap() {
        let index = OwnerIndex::new(SHARDS * 4);
        let acme: Arc<str> = "acme".into();
        // Four ids that fall in one shard, and a fifth.
        let of_one_shard = |id: &u32| key("session", &id.to_be_bytes())[0].is_multiple_of(16);
        let ids: Vec<u32> = (0..).filter(of_one_shard).take(5).collect();
        for (what, count, evicted) in [("one under", 3, 0), ("at it", 4, 0), ("one over", 5, 1)] {
            let index = OwnerIndex::new(SHARDS * 4);
            let learnt = ids.iter().take(count);
            learnt.for_each(|id| index.learn("session", &id.to_be_bytes(), &acme, at(0)));
            assert_eq!(index.figures().evictions_total, evicted, "{what}");
        }
        for n in 0..1000_u32 {
            index.learn("session", &n.to_be_bytes(), &acme, at(0));
        }
        let figures = index.figures();
        assert_eq!(figures.entries, SHARDS as u64 * 4);
        assert_eq!(figures.entries + figures.evictions_total, 1000);
    }
}
