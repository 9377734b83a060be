//! How many requests may be in work: in all, and of one client.
//!
//! A connection of HTTP/2 carries a hundred of them, so what bounds connections does not bound what requests hold. A cap in
//! all would alone be the attack: one client could take all of it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_config::model::Limits;

/// Parts of the table, so that requests of different clients do not wait for each other.
const SHARDS: usize = 64;

/// Counts the requests in work. The table holds clients with requests in work only, so the cap in all bounds it.
#[derive(Debug)]
pub(super) struct InWork {
    all: AtomicU32,
    by_client: Vec<Mutex<HashMap<IpAddr, u32>>>,
    hasher: RandomState,
}

/// Why there is no room for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoRoom {
    /// The process has as many in work as it may.
    All,
    /// The client has.
    Client,
}

impl InWork {
    /// Starts with none.
    pub(super) fn new() -> Arc<Self> {
        let by_client = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { all: AtomicU32::new(0), by_client, hasher: RandomState::new() })
    }

    /// Counts a request of `client`, until the value goes. One of a trusted hop or of a load test counts in all only.
    pub(super) fn enter(
        self: &Arc<Self>,
        client: IpAddr,
        in_all_only: bool,
        limits: &Limits,
    ) -> Result<Place, NoRoom> {
        let fits = |count: u32| (count < limits.requests).then(|| count + 1);
        let taken = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map_err(|_| NoRoom::All)?;
        let mut place = Place { counts: Arc::clone(self), client: None };
        if !in_all_only {
            let mut shard = self.shard(client);
            let count = shard.entry(client).or_default();
            if *count >= limits.requests_per_client {
                return Err(NoRoom::Client);
            }
            *count += 1;
            place.client = Some(client);
        }
        Ok(place)
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let at = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or(0);
        let shard = self.by_client.get(at).expect("there are so many shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in work.
#[derive(Debug)]
pub(super) struct Place {
    counts: Arc<InWork>,
    /// Whose it is; none if it counts in all only.
    client: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut shard = self.counts.shard(client);
        match shard.get_mut(&client) {
            Some(left) if *left > 1 => *left -= 1,
            Some(_) | None => drop(shard.remove(&client)),
        }
    }
}
