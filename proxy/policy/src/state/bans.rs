//! The table of bans, in shards by key. Looking one up costs a lock of one shard, and nothing while there is none.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ipnet::IpNet;
use portcullis_config::Timestamp;

use super::{AllowList, Ban, BanKey, StateFigures};
use crate::limit::LimitKey;

const SHARDS: usize = 64;
/// How many bans of a full shard are compared when one has to go.
const SAMPLE: usize = 64;

/// Who asks: what is known of a request when operator's bans are looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The verified token's subject.
    pub subject: Option<&'a str>,
    /// The verified token's tenant.
    pub tenant: Option<&'a str>,
    /// The TLS fingerprint (JA4).
    pub fingerprint: Option<&'a str>,
}

/// What in a request a ban names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Its address.
    Network,
    /// Its token's subject.
    Subject,
    /// Its token's tenant.
    Tenant,
    /// Its TLS fingerprint.
    Fingerprint,
    /// The key of the rule that asked.
    Rule,
}

/// A ban that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BanHit {
    /// When it ends; `None` for never.
    pub until: Option<Timestamp>,
    /// What it names.
    pub named: Named,
}

/// Why a ban was not placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BanRefused {
    /// The allow-list goes first.
    #[error("an allow-list entry names the key")]
    Allowed,
    /// The ban has ended already.
    #[error("the ban would end in the past")]
    Ended,
    /// Every ban that could make room was placed by an operator or for good.
    #[error("the ban table is full")]
    Full,
}

#[derive(Debug)]
pub(super) struct Bans {
    secret: RandomState,
    bans_max: usize,
    shards: Vec<Mutex<HashMap<u64, Ban>>>,
    allow: RwLock<AllowList>,
    /// Prefix lengths in use, so that a look-up tries only those. Never cleared: at worst a look-up too many.
    prefixes: [AtomicU64; 4],
    live: AtomicU64,
    started: AtomicU64,
    evicted: AtomicU64,
    spared: AtomicU64,
    refused: AtomicU64,
    version: AtomicU64,
}

impl Bans {
    pub(super) fn new(bans_max: usize) -> Self {
        Self {
            secret: RandomState::new(),
            bans_max: bans_max.max(SHARDS),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            allow: RwLock::default(),
            prefixes: Default::default(),
            live: AtomicU64::new(0),
            started: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            version: AtomicU64::new(0),
        }
    }

    /// Finds the ban that a rule placed on one of its keys.
    pub(super) fn of_rule(&self, rule: &str, key: &LimitKey, now: Timestamp) -> Option<BanHit> {
        if self.is_empty() {
            return None;
        }
        let until = self.look_up(self.rule_digest(rule, key), now)?;
        Some(BanHit { until, named: Named::Rule })
    }

    /// Finds the longest ban on a caller.
    pub(super) fn of_caller(&self, caller: &Caller<'_>, now: Timestamp) -> Option<BanHit> {
        if self.is_empty() {
            return None;
        }
        let names = [
            (Named::Subject, caller.subject),
            (Named::Tenant, caller.tenant),
            (Named::Fingerprint, caller.fingerprint),
        ];
        let names = names.into_iter().filter_map(|(named, name)| {
            let until = self.look_up(self.name_digest(named, name?), now)?;
            Some(BanHit { until, named })
        });
        // Asked only once a network's ban has been found: a wide ban does not reach those whom the allow-list names.
        let is_spared = || {
            let allow = self.allow.read().unwrap_or_else(PoisonError::into_inner);
            allow.spares(&BanKey::address(caller.address))
        };
        let networks = self.networks(caller.address).filter_map(|net| {
            let until = self.look_up(self.network_digest(&net), now)?;
            Some(BanHit { until, named: Named::Network })
        });
        let longest = |hit: &BanHit| (hit.until.is_none(), hit.until);
        let network = networks.max_by_key(longest).filter(|_| !is_spared());
        names.chain(network).max_by_key(longest)
    }

    pub(super) fn add(&self, mut ban: Ban, now: Timestamp) -> Result<(), BanRefused> {
        if !ban.holds(now) {
            return Err(BanRefused::Ended);
        }
        // Held until the ban stands, so that a list set meanwhile finds it.
        let allow = self.allow.read().unwrap_or_else(PoisonError::into_inner);
        if allow.spares(&ban.key) {
            self.spared.fetch_add(1, Ordering::Relaxed);
            return Err(BanRefused::Allowed);
        }
        let digest = self.digest(&ban.key);
        let mut shard = self.shard(digest);
        if shard.len() >= self.bans_max / SHARDS && !shard.contains_key(&digest) {
            self.make_room(&mut shard, now)?;
        }
        cut(&mut ban.reason, Ban::REASON_BYTES_MAX);
        self.note_prefix(&ban.key);
        let by_rule = ban.may_be_evicted();
        if shard.insert(digest, ban).is_none() {
            self.live.fetch_add(1, Ordering::Release);
        }
        self.started.fetch_add(u64::from(by_rule), Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes out the bans that `go` names.
    pub(super) fn remove(&self, go: impl Fn(&Ban) -> bool) -> Vec<Ban> {
        let mut gone = Vec::new();
        for mut shard in self.each() {
            gone.extend(shard.extract_if(|_, ban| go(ban)).map(|(_, ban)| ban));
        }
        self.note_removed(gone.len());
        gone
    }

    pub(super) fn set_allow_list(&self, list: &AllowList) -> Vec<Ban> {
        *self.allow.write().unwrap_or_else(PoisonError::into_inner) = list.clone();
        self.remove(|ban| list.spares(&ban.key))
    }

    /// Lists the bans that hold, the next to end first and the permanent ones last.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Ban> {
        let mut list = Vec::new();
        for shard in self.each() {
            list.extend(shard.values().filter(|ban| ban.holds(now)).cloned());
        }
        list.sort_by_cached_key(|ban| (ban.until.is_none(), ban.until, ban.key.to_string()));
        list
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.remove(|ban| !ban.holds(now));
    }

    pub(super) fn report(&self, figures: &mut StateFigures) {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        figures.bans_live = read(&self.live);
        figures.bans_max = self.bans_max as u64;
        figures.bans_started_total = read(&self.started);
        figures.bans_evicted_total = read(&self.evicted);
        figures.bans_spared_total = read(&self.spared);
        figures.bans_refused_total = read(&self.refused);
        figures.bans_version = read(&self.version);
    }

    fn is_empty(&self) -> bool {
        self.live.load(Ordering::Acquire) == 0
    }

    /// Returns the end of the ban under a digest, if it holds. One that has ended goes.
    fn look_up(&self, digest: u64, now: Timestamp) -> Option<Option<Timestamp>> {
        let mut shard = self.shard(digest);
        let ban = shard.get(&digest)?;
        if ban.holds(now) {
            return Some(ban.until);
        }
        shard.remove(&digest);
        self.note_removed(1);
        None
    }

    /// Lets go of the ban that ends first, of a few that rules placed.
    fn make_room(&self, shard: &mut HashMap<u64, Ban>, now: Timestamp) -> Result<(), BanRefused> {
        let sample = shard.iter().filter(|(_, ban)| ban.may_be_evicted()).take(SAMPLE);
        let first = sample.min_by_key(|(_, ban)| ban.until).map(|(digest, _)| *digest);
        let Some(ban) = first.and_then(|digest| shard.remove(&digest)) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(BanRefused::Full);
        };
        self.evicted.fetch_add(u64::from(ban.holds(now)), Ordering::Relaxed);
        self.note_removed(1);
        Ok(())
    }

    fn note_removed(&self, count: usize) {
        if count > 0 {
            self.live.fetch_sub(count as u64, Ordering::Release);
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_prefix(&self, key: &BanKey) {
        if let BanKey::Network(net) = key {
            let (word, bit) = prefix_bit(net.addr().is_ipv4(), net.prefix_len());
            if let Some(word) = self.prefixes.get(word) {
                word.fetch_or(bit, Ordering::Release);
            }
        }
    }

    /// Returns the networks around an address whose prefix length is in use. Cost: one step per length of the family,
    /// and a look-up only for those in use.
    fn networks(&self, address: IpAddr) -> impl Iterator<Item = IpNet> {
        let address = address.to_canonical();
        let whole: u8 = if address.is_ipv4() { 32 } else { 128 };
        let used = self.prefixes.each_ref().map(|word| word.load(Ordering::Acquire));
        (0..=whole).filter_map(move |prefix| {
            let (word, bit) = prefix_bit(address.is_ipv4(), prefix);
            if used.get(word)? & bit == 0 {
                return None;
            }
            IpNet::new(address, prefix).ok().map(|net| net.trunc())
        })
    }

    fn digest(&self, key: &BanKey) -> u64 {
        match key {
            BanKey::Network(net) => self.network_digest(net),
            BanKey::Subject(name) => self.name_digest(Named::Subject, name),
            BanKey::Tenant(name) => self.name_digest(Named::Tenant, name),
            BanKey::Fingerprint(name) => self.name_digest(Named::Fingerprint, name),
            BanKey::Rule { rule, key } => self.rule_digest(rule, key),
        }
    }

    fn network_digest(&self, net: &IpNet) -> u64 {
        self.secret.hash_one((kind(Named::Network), net))
    }

    fn name_digest(&self, named: Named, name: &str) -> u64 {
        self.secret.hash_one((kind(named), name))
    }

    fn rule_digest(&self, rule: &str, key: &LimitKey) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write_u8(kind(Named::Rule));
        hasher.write_usize(rule.len());
        hasher.write(rule.as_bytes());
        hasher.write(key.as_bytes());
        hasher.finish()
    }

    fn shard(&self, digest: u64) -> MutexGuard<'_, HashMap<u64, Ban>> {
        let at = usize::try_from((digest >> 32) % SHARDS as u64).expect("below 64");
        lock(self.shards.get(at).expect("there are 64 shards"))
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<u64, Ban>>> {
        self.shards.iter().map(lock)
    }
}

/// A ban is inserted or removed whole; a panic in between cannot be seen.
fn lock(shard: &Mutex<HashMap<u64, Ban>>) -> MutexGuard<'_, HashMap<u64, Ban>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn kind(named: Named) -> u8 {
    match named {
        Named::Network => 0,
        Named::Subject => 1,
        Named::Tenant => 2,
        Named::Fingerprint => 3,
        Named::Rule => 4,
    }
}

/// Returns the word and bit of a prefix length: one word for IPv4, three for IPv6.
const fn prefix_bit(is_ipv4: bool, prefix: u8) -> (usize, u64) {
    let (word, bit) = ((prefix / 64) as usize, 1 << (prefix % 64));
    if is_ipv4 { (0, bit) } else { (1 + word, bit) }
}

fn cut(text: &mut String, bytes_max: usize) {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BanOrigin;

    fn ban(address: u32, until: u64) -> Ban {
        Ban {
            key: BanKey::address(IpAddr::from(address.to_be_bytes())),
            since: Timestamp::from_secs(0),
            until: Some(Timestamp::from_secs(until)),
            reason: String::new(),
            origin: BanOrigin::Rule,
            definition: None,
            generation: 1,
        }
    }

    #[test]
    fn bans_are_kept_up_to_the_cap_and_then_the_next_to_end_goes() {
        const SHARE: usize = 10;
        for (what, number, evicted) in
            [("one under", SHARE - 1, 0), ("at it", SHARE, 0), ("one over", SHARE + 1, 1)]
        {
            let bans = Bans::new(SHARE * SHARDS);
            let now = Timestamp::from_secs(1);
            let shard = |ban: &Ban| (bans.digest(&ban.key) >> 32) % SHARDS as u64;
            let of_one_shard =
                (0..).map(|n| ban(n, 1000 + u64::from(n))).filter(|ban| shard(ban) == 7);
            let placed: Vec<Ban> = of_one_shard.take(number).collect();
            for ban in &placed {
                bans.add(ban.clone(), now).unwrap();
            }
            let kept = bans.list(now);
            assert_eq!(kept, placed[evicted..], "{what}");
            assert_eq!(bans.evicted.load(Ordering::Relaxed), evicted as u64, "{what}");
        }
    }
}
