//! Who has a valid session from where with which token, told to the desk once a minute for each: an address that several
//! subjects use is an office, and no response bans it; scenarios look for journeys that nobody can make.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use portcullis_config::Timestamp;

/// Parts that are locked one by one.
const SHARDS: usize = 16;
/// Sessions of one part that are remembered; then it forgets them all and tells them again.
const PAIRS_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Told {
    shards: Vec<Mutex<(u64, HashSet<u64>)>>,
    hasher: RandomState,
}

impl Told {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Says whether a session has not been told in this minute, and remembers it. Costs a hash and a short lock.
    pub(super) fn is_news(&self, session: (IpAddr, &str, Option<&str>), now: Timestamp) -> bool {
        let pair = self.hasher.hash_one(session);
        let index = usize::try_from(pair % SHARDS as u64).unwrap_or_default();
        let Some(shard) = self.shards.get(index) else { return true };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_secs() / 60;
        if shard.0 != minute || shard.1.len() >= PAIRS_MAX {
            *shard = (minute, HashSet::new());
        }
        shard.1.insert(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_news_once_a_minute() {
        let told = Told::new();
        let at = Timestamp::from_secs;
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(told.is_news((address, "ada", None), at(60)));
        assert!(!told.is_news((address, "ada", None), at(119)));
        assert!(told.is_news((address, "bob", None), at(119)));
        assert!(told.is_news((address, "ada", None), at(120)));
        assert!(told.is_news((address, "ada", Some("t1")), at(120)), "another token");
        for n in 0..200_000_u32 {
            told.is_news((n.to_be_bytes().into(), "ada", None), at(120));
        }
        let held: usize = told.shards.iter().map(|one| one.lock().unwrap().1.len()).sum();
        assert!(held <= SHARDS * PAIRS_MAX);
    }
}
