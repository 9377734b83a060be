//! What SecLang's persistent collections (`IP`, `SESSION`, `GLOBAL`, …) hold from one request to the next.
//!
//! A record is a collection and a key, with the variables that rules set. Rules read it whole when they open it and
//! write one variable at a time, so two requests at once may lose one of two sums, as in ModSecurity: what has to be
//! exact is a rate limit's. Time comes with each call. What would take more than the bound pushes out what was written
//! longest ago, which is counted.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_config::Timestamp;
use seclang::{Store, Variable};

/// How long a record is kept after the last write: what ModSecurity takes where `SecCollectionTimeout` says nothing.
const RECORD_LIFE: Duration = Duration::from_secs(3600);
/// Variables of one record; a further one is not kept.
const VARIABLES_MAX: usize = 64;
/// Bytes of a variable's name and value together; a larger one is not kept.
const VARIABLE_BYTES_MAX: usize = 4096;
/// What a record and a variable cost besides their text.
const RECORD_BYTES: usize = 256;
const VARIABLE_BYTES: usize = 96;

const SHARDS: usize = 16;

/// The records of one process.
#[derive(Debug)]
pub(super) struct Collections {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    hasher: std::hash::RandomState,
    evicted: AtomicU64,
}

type RecordKey = (Variable, Box<[u8]>);

#[derive(Debug, Default)]
struct Shard {
    records: HashMap<Arc<RecordKey>, Record>,
    /// The records in the order of their last write.
    by_write: BTreeMap<u64, Arc<RecordKey>>,
    writes: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Record {
    written: u64,
    ends: Timestamp,
    variables: Vec<Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    name: Box<[u8]>,
    value: Box<[u8]>,
    ends: Option<Timestamp>,
}

impl Held {
    const fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + VARIABLE_BYTES
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

impl Collections {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            shard_bytes_max: bytes_max / SHARDS,
            hasher: std::hash::RandomState::new(),
            evicted: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        let number = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, key: &RecordKey, now: Timestamp) -> Vec<(Vec<u8>, Vec<u8>)> {
        let shard = self.shard(key);
        let record = shard.records.get(key).filter(|record| record.ends > now);
        let held = record.into_iter().flat_map(|record| &record.variables);
        held.filter(|held| !held.has_ended(now))
            .map(|held| (held.name.to_vec(), held.value.to_vec()))
            .collect()
    }

    fn save(&self, key: RecordKey, name: &[u8], value: Option<&[u8]>, now: Timestamp) {
        let mut shard = self.shard(&key);
        let value = value.filter(|value| name.len() + value.len() <= VARIABLE_BYTES_MAX);
        let is_known = shard.records.contains_key(&key);
        if value.is_none() && !is_known {
            return;
        }
        let key = shard.touched(key, now);
        if let Some(record) = shard.records.get_mut(&key) {
            record.set(name, value, now);
        }
        shard.settle(&key);
        let evicted = shard.shrink(self.shard_bytes_max);
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
    }

    fn expire(&self, key: &RecordKey, name: &[u8], after: Duration, now: Timestamp) {
        let mut shard = self.shard(key);
        let record = shard.records.get_mut(key);
        let held = record.and_then(|record| record.variables.iter_mut().find(|held| held.is(name)));
        if let Some(held) = held {
            held.ends = Some(now.plus(after));
        }
    }

    /// Drops records whose time is over.
    pub(super) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
        }
    }

    /// Bytes that are held, and records that were pushed out since the start.
    pub(super) fn figures(&self) -> (u64, u64) {
        let bytes =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        let bytes: usize = self.shards.iter().map(bytes).sum();
        (bytes as u64, self.evicted.load(Ordering::Relaxed))
    }
}

impl Shard {
    /// Finds a record or makes it, as the one that was written last.
    fn touched(&mut self, key: RecordKey, now: Timestamp) -> Arc<RecordKey> {
        self.writes += 1;
        let known = self
            .records
            .get_key_value(&key)
            .map(|(known, record)| (Arc::clone(known), record.written));
        let key = match known {
            Some((known, written)) => {
                self.by_write.remove(&written);
                known
            }
            None => Arc::new(key),
        };
        self.by_write.insert(self.writes, Arc::clone(&key));
        let ends = now.plus(RECORD_LIFE);
        let new = || Record { written: 0, ends, variables: Vec::new(), bytes: 0 };
        let record = self.records.entry(Arc::clone(&key)).or_insert_with(new);
        if record.ends <= now {
            record.variables.clear();
        }
        (record.written, record.ends) = (self.writes, ends);
        key
    }

    /// Counts a record's bytes anew; one without variables goes.
    fn settle(&mut self, key: &Arc<RecordKey>) {
        let Some(record) = self.records.get_mut(key) else { return };
        let before = record.bytes;
        if record.variables.is_empty() {
            self.forget(key);
            return;
        }
        let variables: usize = record.variables.iter().map(Held::bytes).sum();
        record.bytes = RECORD_BYTES + key.1.len() + variables;
        self.bytes = self.bytes - before + record.bytes;
    }

    fn forget(&mut self, key: &Arc<RecordKey>) {
        if let Some(record) = self.records.remove(key) {
            self.by_write.remove(&record.written);
            self.bytes -= record.bytes;
        }
    }

    /// Forgets what was written longest ago until the rest fits; returns how many records that took.
    fn shrink(&mut self, bytes_max: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_write.first_key_value() else { break };
            let oldest = Arc::clone(oldest);
            self.forget(&oldest);
            evicted += 1;
        }
        evicted
    }

    /// Every write gives the same life, so the records end in the order of their writes.
    fn sweep(&mut self, now: Timestamp) {
        while let Some((_, oldest)) = self.by_write.first_key_value() {
            let oldest = Arc::clone(oldest);
            if self.records.get(&oldest).is_some_and(|record| record.ends > now) {
                return;
            }
            self.forget(&oldest);
        }
    }
}

impl Record {
    fn set(&mut self, name: &[u8], value: Option<&[u8]>, now: Timestamp) {
        self.variables.retain(|held| !held.has_ended(now));
        let place = self.variables.iter().position(|held| held.is(name));
        match (place, value) {
            (Some(place), Some(value)) => {
                if let Some(held) = self.variables.get_mut(place) {
                    held.value = value.into();
                }
            }
            (Some(place), None) => drop(self.variables.swap_remove(place)),
            (None, Some(value)) if self.variables.len() < VARIABLES_MAX => {
                self.variables.push(Held { name: name.into(), value: value.into(), ends: None });
            }
            (None, _) => {} // nothing to unset, or no room
        }
    }
}

/// What a run of rules knows beyond its request: the time, and what collections hold.
#[derive(Clone, Debug)]
pub struct Memory {
    collections: Arc<Collections>,
    now: Timestamp,
    writes: bool,
}

impl Memory {
    pub(super) const fn new(collections: Arc<Collections>, now: Timestamp) -> Self {
        Self { collections, now, writes: true }
    }

    /// The same for a run that repeats what another has counted already.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { writes: false, ..self }
    }

    /// The time of the request.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

impl Store for Memory {
    fn load(&self, collection: Variable, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.collections.load(&(collection, key.into()), self.now)
    }

    fn save(&self, collection: Variable, key: &[u8], name: &[u8], value: Option<&[u8]>) {
        if self.writes {
            self.collections.save((collection, key.into()), name, value, self.now);
        }
    }

    fn expire(&self, collection: Variable, key: &[u8], name: &[u8], seconds: u64) {
        if self.writes {
            let after = Duration::from_secs(seconds);
            self.collections.expire(&(collection, key.into()), name, after, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn memory(collections: &Arc<Collections>, secs: u64) -> Memory {
        Memory::new(Arc::clone(collections), at(secs))
    }

    fn names(memory: &Memory, key: &[u8]) -> Vec<String> {
        let mut names: Vec<_> = memory
            .load(Variable::Ip, key)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_variable_is_kept_by_collection_key_and_name_until_it_is_unset_or_ends() {
        let all = Arc::new(Collections::new(1 << 20));
        let now = memory(&all, 0);
        now.save(Variable::Ip, b"a", b"Count", Some(b"1"));
        now.save(Variable::Ip, b"a", b"count", Some(b"2"));
        now.save(Variable::Ip, b"a", b"block", Some(b"1"));
        now.save(Variable::Session, b"a", b"other", Some(b"1"));
        now.expire(Variable::Ip, b"a", b"BLOCK", 10);
        assert_eq!(names(&now, b"a"), ["Count=2", "block=1"]);
        assert_eq!(names(&now, b"b"), [""; 0]);
        assert_eq!(names(&memory(&all, 9), b"a"), ["Count=2", "block=1"]);
        assert_eq!(names(&memory(&all, 10), b"a"), ["Count=2"]);
        now.save(Variable::Ip, b"a", b"COUNT", None);
        assert_eq!(names(&now, b"a"), ["block=1"]);
    }

    #[test]
    fn a_run_that_only_reads_changes_nothing() {
        let all = Arc::new(Collections::new(1 << 20));
        memory(&all, 0).save(Variable::Ip, b"a", b"n", Some(b"1"));
        let reader = memory(&all, 0).read_only();
        reader.save(Variable::Ip, b"a", b"n", Some(b"2"));
        reader.expire(Variable::Ip, b"a", b"n", 0);
        assert_eq!(names(&reader, b"a"), ["n=1"]);
    }

    #[test]
    fn a_record_ends_an_hour_after_its_last_write() {
        let all = Arc::new(Collections::new(1 << 20));
        memory(&all, 0).save(Variable::Ip, b"a", b"n", Some(b"1"));
        memory(&all, 3000).save(Variable::Ip, b"a", b"m", Some(b"1"));
        memory(&all, 100).save(Variable::Ip, b"b", b"n", Some(b"1"));
        assert_eq!(names(&memory(&all, 6599), b"a"), ["m=1", "n=1"]);
        assert_eq!(names(&memory(&all, 6600), b"a"), [""; 0]);
        memory(&all, 6600).save(Variable::Ip, b"a", b"new", Some(b"1"));
        assert_eq!(names(&memory(&all, 6600), b"a"), ["new=1"]);
        all.sweep(at(20_000));
        assert_eq!(all.figures(), (0, 0));
    }

    #[test]
    fn what_is_held_stays_under_the_bound_and_the_oldest_goes() {
        let bytes_max = 64 << 10;
        let all = Arc::new(Collections::new(bytes_max));
        let now = memory(&all, 0);
        for number in 0..10_000_u32 {
            now.save(Variable::Ip, &number.to_be_bytes(), b"n", Some(&[b'x'; 100]));
            assert!(all.figures().0 <= bytes_max as u64);
        }
        let (bytes, evicted) = all.figures();
        let kept = (0..10_000_u32).filter(|n| !names(&now, &n.to_be_bytes()).is_empty()).count();
        assert_eq!(kept as u64 + evicted, 10_000);
        assert!(bytes > bytes_max as u64 / 2);
        assert_eq!(names(&now, &9_999_u32.to_be_bytes()).len(), 1);
        assert_eq!(names(&now, &0_u32.to_be_bytes()), [""; 0]);
    }

    #[test]
    fn what_is_held_is_kept_up_to_its_bytes() {
        const SHARE: usize = 4096;
        let name_and_key = b"k".len() + b"n".len();
        for (what, bytes, kept) in
            [("one under", SHARE - 1, true), ("at it", SHARE, true), ("one over", SHARE + 1, false)]
        {
            let all = Arc::new(Collections::new(SHARE * SHARDS));
            let value = vec![b'x'; bytes - RECORD_BYTES - VARIABLE_BYTES - name_and_key];
            memory(&all, 0).save(Variable::Ip, b"k", b"n", Some(&value));
            let expected = if kept { (bytes as u64, 0) } else { (0, 1) };
            assert_eq!(all.figures(), expected, "{what}");
            assert_eq!(names(&memory(&all, 0), b"k").len(), usize::from(kept), "{what}");
        }
    }

    #[test]
    fn neither_a_variable_nor_a_record_grows_without_bound() {
        let all = Arc::new(Collections::new(1 << 20));
        let now = memory(&all, 0);
        now.save(Variable::Ip, b"a", b"big", Some(&[0; VARIABLE_BYTES_MAX]));
        assert_eq!(names(&now, b"a"), [""; 0]);
        for number in 0..200_u32 {
            now.save(Variable::Ip, b"a", number.to_string().as_bytes(), Some(b"1"));
        }
        assert_eq!(names(&now, b"a").len(), VARIABLES_MAX);
        now.save(Variable::Ip, b"a", b"0", Some(&[0; VARIABLE_BYTES_MAX]));
        assert_eq!(names(&now, b"a").len(), VARIABLES_MAX - 1);
    }
}
