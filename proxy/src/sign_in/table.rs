//! The bounded tables behind [`SignIns`](super::SignIns): failures by key, accounts by network, pairs that are known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_config::Timestamp;

use super::Stuffing;
use super::window::{Cut, Window};

/// Parts of the tables, so that requests do not wait for each other.
const SHARDS: usize = 16;
/// Accounts and addresses whose failures are counted.
pub(crate) const ENTRIES_MAX: usize = 65_536;
/// Networks whose accounts are counted.
pub(crate) const NETWORKS_MAX: usize = 16_384;
/// Accounts of one network that are told apart.
pub(crate) const NETWORK_ACCOUNTS_MAX: usize = 64;
/// Pairs of account and address that have signed in.
pub(crate) const PAIRS_MAX: usize = 65_536;
/// Of how many the one is chosen that is pushed out.
const CANDIDATES: usize = 16;

/// What is counted, and up to where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) hash: u64,
    pub(super) limit: u32,
    pub(super) window: Duration,
}

#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<Mutex<Shard>>,
    evicted: AtomicU64,
}

#[derive(Default, Debug)]
struct Shard {
    failures: HashMap<u64, Failures>,
    networks: HashMap<u64, Network>,
    known: HashMap<u64, Timestamp>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Failures {
    window: Window,
    /// Attempts that the origin has not answered.
    open: u32,
    /// When it was last touched, for the choice of who is pushed out.
    touched: Timestamp,
}

#[derive(Debug)]
struct Network {
    began: Timestamp,
    accounts: Vec<u32>,
    is_told: bool,
}

impl Table {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, evicted: AtomicU64::new(0) }
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Counts an open attempt, or says how long there is no room for it.
    pub(super) fn enter(&self, key: Key, now: Timestamp) -> Result<(), Duration> {
        let cut = Cut::at(key.window, now);
        let mut shard = self.shard(key.hash);
        if !shard.failures.contains_key(&key.hash) {
            self.make_room(&mut shard.failures, ENTRIES_MAX, |one| {
                (one.open, one.window.count(cut), one.touched)
            });
        }
        let failures = shard.failures.entry(key.hash).or_default();
        failures.touched = now;
        if failures.window.count(cut).saturating_add(failures.open) >= key.limit {
            return Err(failures.window.wait(key.limit, failures.open, cut, now));
        }
        failures.open += 1;
        Ok(())
    }

    /// Ends an open attempt.
    pub(super) fn leave(&self, key: Key, has_failed: bool, now: Timestamp) {
        let mut shard = self.shard(key.hash);
        let Some(failures) = shard.failures.get_mut(&key.hash) else { return };
        failures.open = failures.open.saturating_sub(1);
        if has_failed {
            failures.window.add(Cut::at(key.window, now));
        }
    }

    /// Ends an open attempt of which nothing is known.
    pub(super) fn forget(&self, key: Key) {
        let mut shard = self.shard(key.hash);
        if let Some(failures) = shard.failures.get_mut(&key.hash) {
            failures.open = failures.open.saturating_sub(1);
        }
    }

    /// Remembers a pair of account and address.
    pub(super) fn know(&self, pair: u64, now: Timestamp) {
        let mut shard = self.shard(pair);
        if !shard.known.contains_key(&pair) {
            self.make_room(&mut shard.known, PAIRS_MAX, |since| *since);
        }
        shard.known.insert(pair, now);
    }

    pub(super) fn is_known(&self, pair: u64, lifetime: Duration, now: Timestamp) -> bool {
        self.shard(pair).known.get(&pair).is_some_and(|since| now.since(*since) < lifetime)
    }

    /// Counts an account that failed from a network; says so where it is the one that makes them too many.
    pub(super) fn stuffing(
        &self,
        network: u64,
        account: u32,
        limit: usize,
        window: Duration,
        now: Timestamp,
    ) -> Option<Stuffing> {
        let mut shard = self.shard(network);
        if !shard.networks.contains_key(&network) {
            self.make_room(&mut shard.networks, NETWORKS_MAX, |one| {
                (one.accounts.len(), one.began)
            });
        }
        let fresh = || Network { began: now, accounts: Vec::new(), is_told: false };
        let seen = shard.networks.entry(network).or_insert_with(fresh);
        if now.since(seen.began) > window {
            *seen = fresh();
        }
        if !seen.accounts.contains(&account) && seen.accounts.len() < NETWORK_ACCOUNTS_MAX {
            seen.accounts.push(account);
        }
        if seen.is_told || seen.accounts.len() < limit {
            return None;
        }
        seen.is_told = true;
        Some(Stuffing { accounts: seen.accounts.len() })
    }

    /// Pushes out the least of a few entries where a part of a table is full.
    fn make_room<V, W: Ord>(
        &self,
        part: &mut HashMap<u64, V>,
        max: usize,
        weight: impl Fn(&V) -> W,
    ) {
        if part.len() < max / SHARDS {
            return;
        }
        let candidates = part.iter().take(CANDIDATES);
        let least = candidates.min_by_key(|(_, value)| weight(value)).map(|(key, _)| *key);
        if let Some(least) = least {
            part.remove(&least);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).expect("there are so many shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Table {
    /// How many entries and networks there are.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let locked = || self.shards.iter().map(|shard| shard.lock().unwrap());
        [
            locked().map(|shard| shard.failures.len()).sum(),
            locked().map(|shard| shard.networks.len()).sum(),
            locked().map(|shard| shard.known.len()).sum(),
        ]
    }
}
