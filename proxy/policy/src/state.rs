//! What outlives a policy: counters, bans and SecLang's collections. A `State` is made once and shared by every request; a reload swaps the
//! policy beside it and loses no count whose definition stayed the same. It reads no clock, opens no file and has no
//! lock that all requests share.

mod allow;
mod ban;
mod bans;
mod collections;
mod counters;
mod digest;
mod table;

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_config::Timestamp;

use crate::limit::{Limit, LimitId, LimitKey, LimitOutcome, limit_digest};
pub use allow::AllowList;
pub use ban::{BadBanKey, Ban, BanKey, BanOrigin, BanSelector};
use bans::Bans;
pub use bans::{BanHit, BanRefused, Caller, Named};
use collections::Collections;
pub use collections::Memory;
use counters::{Counters, Window};

/// How much a [`State`] may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Live counter keys. At the cap the least harmful of a sample goes: one whose window has passed, else the one that
    /// is furthest below its limit. A million of the widest keys cost less than 256 MB.
    pub keys_max: usize,
    /// Live bans. At the cap an automatic ban that ends soon makes room; an operator's never does.
    pub bans_max: usize,
    /// Bytes of SecLang's persistent collections. At the cap what was written longest ago goes.
    pub collection_bytes_max: usize,
}

impl Default for Limits {
    /// A million keys, a hundred thousand bans and 16 MiB of collections.
    fn default() -> Self {
        Self { keys_max: 1_000_000, bans_max: 100_000, collection_bytes_max: 16 << 20 }
    }
}

/// What the keys of counters are digested with, so that nobody can choose keys that meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CountSecret(pub [u8; 16]);

impl CountSecret {
    /// Makes one of the randomness that the standard library gives its maps.
    #[must_use]
    pub fn random() -> Self {
        let half = || RandomState::new().hash_one(0u8);
        Self((u128::from(half()) << 64 | u128::from(half())).to_be_bytes())
    }
}

impl std::fmt::Debug for CountSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CountSecret")
    }
}

/// Counts that another kind of program wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the counts were written by a program that keeps them otherwise")]
pub struct ForeignCounts;

/// Counters and bans of one node.
#[derive(Debug)]
pub struct State {
    counters: Counters,
    bans: Bans,
    collections: Arc<Collections>,
    /// The generation of the served configuration, for the record of a ban.
    generation: AtomicU64,
}

/// The state's own figures, for the metrics page. Totals only grow while the process lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StateFigures {
    /// Counter keys held now.
    pub keys_live: u64,
    /// The cap on counter keys.
    pub keys_max: u64,
    /// Keys dropped at the cap whose window had not passed: counts that an attacker pushed out.
    pub keys_evicted_total: u64,
    /// Bans held now, those that have just expired included until the next sweep.
    pub bans_live: u64,
    /// The cap on bans.
    pub bans_max: u64,
    /// Bans that rules placed, restored ones included.
    pub bans_started_total: u64,
    /// Bans dropped at the cap before their end.
    pub bans_evicted_total: u64,
    /// Bans that were not started because an allow-list names the key.
    pub bans_spared_total: u64,
    /// Bans that were not started because the table was full of bans that may not be dropped.
    pub bans_refused_total: u64,
    /// Bytes that SecLang's persistent collections hold.
    pub collection_bytes: u64,
    /// Records of theirs that were pushed out at the cap.
    pub collections_evicted_total: u64,
    /// Grows with every change of the ban list: what stores bans compares it.
    pub bans_version: u64,
}

/// What a counter holds, read without counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Requests of the key that passed in the current window.
    pub passed: u32,
    /// All requests of the key in the ban threshold's window, where there is one.
    pub total: Option<u32>,
}

/// What a reload let go of.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Retired {
    /// Counter keys of definitions that no policy has any more.
    pub keys: usize,
    /// Live bans of rules that are gone or defined otherwise now. They still stand: an operator may release them.
    pub changed_bans: Vec<Ban>,
}

impl State {
    /// Makes an empty state with a secret of its own.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_secret(limits, CountSecret::random())
    }

    /// Makes an empty state that can take the counts of another with the same secret.
    #[must_use]
    pub fn with_secret(limits: Limits, secret: CountSecret) -> Self {
        Self {
            counters: Counters::new(limits.keys_max, secret),
            bans: Bans::new(limits.bans_max),
            collections: Arc::new(Collections::new(limits.collection_bytes_max)),
            generation: AtomicU64::new(0),
        }
    }

    /// Returns what its keys are digested with.
    #[must_use]
    pub const fn secret(&self) -> CountSecret {
        self.counters.secret()
    }

    /// Writes every count that still matters, for [`Self::import_counts`] of a state with the same secret. Cost: one pass
    /// over all keys, one shard locked at a time, up to some 60 bytes a key.
    #[must_use]
    pub fn export_counts(&self, now: Timestamp) -> Vec<u8> {
        self.counters.export(now)
    }

    /// Takes the counts that [`Self::export_counts`] wrote.
    ///
    /// # Errors
    /// When the bytes are no such thing, or a program wrote them that digests keys otherwise. What could be read until
    /// then is counted: never too little for that.
    pub fn import_counts(&self, counts: &[u8], now: Timestamp) -> Result<(), ForeignCounts> {
        self.counters.import(counts, now).ok_or(ForeignCounts)
    }

    /// Notes which generation of the configuration is served from now on: what rules ban for is known by it.
    pub fn note_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Counts one request of `key` and says whether it is within `limit`. A refused request is not counted against the
    /// limit (so a throttled client gets its rate), only against a ban's own threshold. One check is a lock of one
    /// shard, twice or three times where the limit bans; no allocation but for a new key.
    pub fn check(&self, limit: &Limit, key: &LimitKey, now: Timestamp) -> LimitOutcome {
        let Some(ban) = limit.ban() else {
            return self.counters.count(limit.id(), Window::Passing(limit.threshold()), key, now);
        };
        if let Some(hit) = self.bans.of_rule(limit.id().name(), key, now) {
            return LimitOutcome::Banned { until: hit.until };
        }
        let outcome = match ban.threshold() {
            Some(total) => self.counters.count(limit.id(), Window::Total(total), key, now),
            None => LimitOutcome::Conforms { remaining: 0 },
        };
        if !outcome.conforms() {
            return self.start_ban(limit, key, outcome, now);
        }
        let window = Window::Passing(limit.threshold());
        let outcome = self.counters.count(limit.id(), window, key, now);
        if outcome.conforms() || ban.threshold().is_some() {
            return outcome;
        }
        self.start_ban(limit, key, outcome, now)
    }

    /// Reads what is counted of `key` under `limit`, counting nothing.
    #[must_use]
    pub fn usage(&self, limit: &Limit, key: &LimitKey, now: Timestamp) -> Usage {
        let read = |window| self.counters.read(limit.id(), window, key, now);
        Usage {
            passed: read(Window::Passing(limit.threshold())),
            total: limit.ban().and_then(|ban| ban.threshold()).map(|t| read(Window::Total(t))),
        }
    }

    /// Returns the ban on this caller that holds longest, of those that an operator or the incident engine placed. A
    /// rule's own bans are found by [`Self::check`].
    #[must_use]
    pub fn banned(&self, caller: &Caller<'_>, now: Timestamp) -> Option<BanHit> {
        self.bans.of_caller(caller, now)
    }

    /// Returns what rules of a request at `now` may keep for later ones.
    #[must_use]
    pub fn memory(&self, now: Timestamp) -> Memory {
        Memory::new(Arc::clone(&self.collections), now)
    }

    /// Places a ban, or moves the end of the one that stands on the same key.
    ///
    /// # Errors
    /// When an allow-list names the key, when it has ended already, or when the table is full.
    pub fn add_ban(&self, ban: Ban, now: Timestamp) -> Result<(), BanRefused> {
        self.bans.add(ban, now)
    }

    /// Lifts bans and forgets what was counted of their keys, so that the next request starts afresh. Returns the bans
    /// that were lifted.
    pub fn remove_bans(&self, selector: &BanSelector) -> Vec<Ban> {
        let lifted = self.bans.remove(|ban| selector.selects(&ban.key));
        self.forget_counts(&lifted);
        lifted
    }

    /// Returns all bans that hold at `now`, the next to end first.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> Vec<Ban> {
        self.bans.list(now)
    }

    /// Returns what has to be stored so that [`Self::restore`] on another run bans the same keys. Counts are not kept.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Vec<Ban> {
        self.bans.list(now)
    }

    /// Places stored bans again and returns how many still hold; those that have ended or that the allow-list names now
    /// are left out.
    pub fn restore(&self, bans: Vec<Ban>, now: Timestamp) -> usize {
        bans.into_iter().filter_map(|ban| self.bans.add(ban, now).ok()).count()
    }

    /// Sets who is never banned, and ends the bans that it names at once. Returns those.
    pub fn set_allow_list(&self, allow: &AllowList) -> Vec<Ban> {
        let ended = self.bans.set_allow_list(allow);
        self.forget_counts(&ended);
        ended
    }

    /// Lets go of the counts of definitions that are not among `in_use`. Bans stay: a reload un-bans nobody. Cost: one
    /// pass over all keys, one shard locked at a time; for the reload's thread, not for a request's.
    pub fn retire(&self, in_use: &[LimitId], now: Timestamp) -> Retired {
        let tags: HashSet<u64> = in_use.iter().map(LimitId::digest).collect();
        let keys = self.counters.retain(&tags);
        let is_changed = |ban: &Ban| {
            let BanKey::Rule { rule, .. } = &ban.key else { return false };
            let same = |id: &&LimitId| id.name() == &**rule;
            let id = in_use.iter().find(same);
            id.is_none_or(|id| ban.definition.is_some_and(|d| d != id.definition()))
        };
        Retired { keys, changed_bans: self.bans.list(now).into_iter().filter(is_changed).collect() }
    }

    /// Drops ended bans and counters whose windows have passed. For a periodic task; correctness does not need it.
    pub fn sweep(&self, now: Timestamp) {
        self.bans.sweep(now);
        self.counters.sweep(now);
        self.collections.sweep(now);
    }

    /// Returns the state's figures.
    #[must_use]
    pub fn figures(&self) -> StateFigures {
        let mut figures = StateFigures::default();
        self.counters.report(&mut figures);
        self.bans.report(&mut figures);
        (figures.collection_bytes, figures.collections_evicted_total) = self.collections.figures();
        figures
    }

    fn start_ban(
        &self,
        limit: &Limit,
        key: &LimitKey,
        over: LimitOutcome,
        now: Timestamp,
    ) -> LimitOutcome {
        let Some(rule) = limit.ban() else { return over };
        let until = now.plus(rule.duration());
        let generation = self.generation.load(Ordering::Relaxed);
        match self.bans.add(Ban::by_rule(limit, key, until, generation, now), now) {
            Ok(()) => LimitOutcome::BanStarted { until },
            Err(BanRefused::Allowed | BanRefused::Ended | BanRefused::Full) => over,
        }
    }

    fn forget_counts(&self, bans: &[Ban]) {
        for ban in bans {
            if let (BanKey::Rule { rule, key }, Some(definition)) = (&ban.key, ban.definition) {
                self.counters.forget(limit_digest(rule, definition), key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
