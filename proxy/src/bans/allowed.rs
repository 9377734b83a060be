//! Who is never banned: the lists that the configuration names under `bans.allow`, and what operators added.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use portcullis_config::Timestamp;
use portcullis_policy::state::AllowList;
use portcullis_policy::{Ban, BanKey, IpSet};

use crate::shared::Shared;

/// How many entries operators may add; more belong into a list.
const ENTRIES_MAX: usize = 10_000;

/// What an operator added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowEntry {
    /// Whom it spares: anything but a rule's key.
    pub key: BanKey,
    /// When it ends; `None` for never.
    pub until: Option<Timestamp>,
    /// When it was added.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
    /// Who added it.
    pub by: String,
}

/// Why an entry was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AllowRefused {
    /// A rule's key is spared by the address in it.
    #[error("an allow-list entry names an address, a network, a user, a tenant or a fingerprint")]
    RuleKey,
    /// There are too many.
    #[error("there are {ENTRIES_MAX} entries already: name a list under `bans.allow` instead")]
    Full,
}

/// The operators' entries, by the text of their keys.
#[derive(Debug, Default)]
pub struct Allowances {
    entries: Mutex<BTreeMap<String, AllowEntry>>,
    version: AtomicU64,
}

impl Allowances {
    /// Returns the entries that hold at `now`.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<AllowEntry> {
        self.held().values().filter(|entry| holds(entry, now)).cloned().collect()
    }

    /// Adds an entry, in place of one on the same key. [`apply`] makes it count.
    ///
    /// # Errors
    /// When it names a rule's key, or there are too many.
    pub fn add(&self, entry: AllowEntry) -> Result<(), AllowRefused> {
        if matches!(entry.key, BanKey::Rule { .. }) {
            return Err(AllowRefused::RuleKey);
        }
        let mut entries = self.held();
        let key = entry.key.to_string();
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&key) {
            return Err(AllowRefused::Full);
        }
        entries.insert(key, entry);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Takes an entry out and returns it.
    pub fn remove(&self, key: &BanKey) -> Option<AllowEntry> {
        let gone = self.held().remove(&key.to_string());
        self.version.fetch_add(u64::from(gone.is_some()), Ordering::Release);
        gone
    }

    /// Drops what has ended; says whether something had.
    pub(super) fn sweep(&self, now: Timestamp) -> bool {
        let mut entries = self.held();
        let before = entries.len();
        entries.retain(|_, entry| holds(entry, now));
        let is_changed = entries.len() != before;
        self.version.fetch_add(u64::from(is_changed), Ordering::Release);
        is_changed
    }

    /// Returns a number that grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, AllowEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(entry: &AllowEntry, now: Timestamp) -> bool {
    entry.until.is_none_or(|until| now < until)
}

/// Says whether the served configuration or an operator spares somebody.
#[must_use]
pub fn spares(shared: &Shared, key: &BanKey) -> bool {
    let entries = shared.allowances.list(shared.clock.now());
    let networks = entries.iter().filter_map(|entry| match &entry.key {
        BanKey::Network(net) => Some(*net),
        BanKey::Subject(_) | BanKey::Tenant(_) | BanKey::Fingerprint(_) | BanKey::Rule { .. } => {
            None
        }
    });
    if entries.iter().any(|entry| entry.key == *key) || key.is_within(&IpSet::new(networks)) {
        return true;
    }
    let snapshot = shared.snapshot.load_full();
    let mut named = snapshot.config.bans.allow.iter().filter_map(|name| snapshot.lists.get(name));
    named.any(|list| key.is_within(list))
}

/// Makes the state spare whom the served configuration and the operators name; returns the bans that this ended.
pub fn apply(shared: &Shared) -> Vec<Ban> {
    let snapshot = shared.snapshot.load_full();
    let entries = shared.allowances.list(shared.clock.now());
    let networks: Vec<IpNet> = entries
        .iter()
        .filter_map(|entry| match &entry.key {
            BanKey::Network(net) => Some(*net),
            BanKey::Subject(_)
            | BanKey::Tenant(_)
            | BanKey::Fingerprint(_)
            | BanKey::Rule { .. } => None,
        })
        .collect();
    let added = IpSet::new(networks);
    let named = snapshot.config.bans.allow.iter().filter_map(|name| snapshot.lists.get(name));
    let set = IpSet::union(named.map(|list| &**list).chain([&added]));
    let names: HashSet<BanKey> = entries.into_iter().map(|entry| entry.key).collect();
    let list = AllowList::new(move |key| names.contains(key) || key.is_within(&set));
    let ended = shared.state.set_allow_list(&list);
    for ban in &ended {
        tracing::info!(key = %ban.key, "the ban has ended: an allow-list names its key");
    }
    ended
}
