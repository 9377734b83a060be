//! The task that renews fetched key sets.
//!
//! A set is fetched when it is no longer fresh, and when a token has named a key that is not in it. Every fetch brings
//! the whole set, so misses that a stranger makes up cannot stand in the way of a real rotation: the fetch that they
//! cause is the one that would find it. They only decide how often: at most every ten seconds, and every minute where
//! such fetches bring nothing. There is no memory of keys that were not found: whoever knew the next id could poison it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fetch::{Fetched, fetch};
use super::{FetchError, Ring, of};
use crate::egress::Egress;
use crate::shared::Shared;

/// How often the task looks whether something is due. A look costs a few loads a provider.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The wait after a first failure; it doubles with each further one.
const RETRY: Duration = Duration::from_secs(5);
/// The longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
/// The least time between two fetches because of an unknown key.
pub(super) const MISS: Duration = Duration::from_secs(10);
/// The same, where such fetches have brought nothing.
pub(super) const MISS_MAX: Duration = Duration::from_secs(60);
/// How often verified tokens that have ended are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long the start waits for key sets of which there is no copy.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// Renews the key sets of whatever configuration is served.
#[derive(Debug)]
pub struct KeyKeeper {
    shared: Arc<Shared>,
    known: BTreeMap<String, Known>,
    /// When verified tokens that have ended are forgotten.
    sweep: Timestamp,
    /// Whether somebody looks as long as the process runs: only then requests wait for what is fetched.
    attends: bool,
    fetches: JoinSet<(Arc<Ring>, bool, Result<Option<Fetched>, FetchError>)>,
}

/// What is remembered of a provider between two looks.
#[derive(Debug)]
struct Known {
    /// Whether a fetch is under way: there is never a second one.
    is_fetching: bool,
    failures: u32,
    /// When a failed fetch is tried again.
    retry: Timestamp,
    /// When the next fetch because of an unknown key may begin.
    miss: Timestamp,
    /// The time between two of these.
    miss_wait: Duration,
    is_usable: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            is_fetching: false,
            failures: 0,
            retry: Timestamp::default(),
            miss: Timestamp::default(),
            miss_wait: MISS,
            is_usable: true,
        }
    }
}

impl Known {
    /// Says whether a fetch is to begin, and whether it is because of an unknown key.
    fn due(&self, ring: &Ring, now: Timestamp) -> Option<bool> {
        if self.is_fetching || now < self.retry {
            return None;
        }
        if now >= ring.fresh_until() {
            return Some(false);
        }
        (ring.is_missed() && now >= self.miss).then_some(true)
    }

    /// Returns from when on a miss causes a fetch; the beginning of time while one is under way.
    fn opens(&self) -> Timestamp {
        if self.is_fetching { Timestamp::default() } else { self.retry.max(self.miss) }
    }
}

impl KeyKeeper {
    /// Makes the task's state.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            known: BTreeMap::new(),
            sweep: Timestamp::default(),
            attends: false,
            fetches: JoinSet::new(),
        }
    }

    /// Fetches what has no copy yet, so that an edge starts with it; after ten seconds it starts all the same.
    pub async fn prime(&mut self) {
        let now = self.shared.clock.now();
        let snapshot = self.shared.snapshot.load_full();
        if snapshot.rings().any(|ring| !ring.is_usable(now)) {
            // An error means that an issuer takes its time; the fetch goes on.
            tokio::time::timeout(START_TIME_MAX, self.look()).await.unwrap_or_default();
        }
    }

    /// Renews again and again until `stop` changes.
    ///
    /// # Errors
    /// Never; the signature is that of the other tasks.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        self.attends = true;
        loop {
            self.begin();
            let snapshot = self.shared.snapshot.load_full();
            let mut missed = JoinSet::new();
            for ring in snapshot.rings() {
                let ring = Arc::clone(ring);
                missed.spawn(async move { ring.missed().await });
            }
            drop(snapshot);
            tokio::select! {
                // An error means that the sender is gone, which stops us as well.
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(_) = missed.join_next(), if !missed.is_empty() => {}
                Some(fetched) = self.fetches.join_next(), if !self.fetches.is_empty() => self.note(fetched),
            }
        }
    }

    /// Begins what is due, and waits for all that has begun.
    pub async fn look(&mut self) {
        self.begin();
        while let Some(fetched) = self.fetches.join_next().await {
            self.note(fetched);
        }
        self.age();
    }

    /// Begins a fetch for each ring that is due.
    fn begin(&mut self) {
        let snapshot = self.shared.snapshot.load_full();
        let now = self.shared.clock.now();
        if now >= self.sweep {
            self.shared.tokens.sweep(now);
            self.sweep = now.plus(SWEEP_EVERY);
        }
        if let Err(error) = self.shared.signing.withdraw(now) {
            tracing::error!("an old assertion key is published longer than it was to be: {error}");
        }
        let config = &snapshot.config;
        let metrics = &self.shared.metrics;
        for (name, _) in
            self.known.extract_if(.., |name, _| !of(config).any(|(known, ..)| known == name))
        {
            metrics.forget_key_set(&name);
        }
        for ring in snapshot.rings() {
            let known = self.known.entry(ring.name().to_owned()).or_default();
            let due = known.due(ring, now);
            known.is_fetching |= due.is_some();
            if self.attends {
                ring.opens(known.opens());
            }
            let Some(is_miss) = due else { continue };
            metrics.missed_keys(ring.name(), ring.take_misses());
            if is_miss {
                known.miss = now.plus(known.miss_wait);
            }
            let (ring, egress) = (Arc::clone(ring), Arc::clone(&snapshot.egress));
            self.fetches.spawn(renewal(ring, egress, is_miss));
        }
        drop(snapshot);
        self.age();
    }

    /// Takes over what a fetch brought.
    fn note(
        &mut self,
        fetched: Result<
            (Arc<Ring>, bool, Result<Option<Fetched>, FetchError>),
            tokio::task::JoinError,
        >,
    ) {
        let (ring, is_miss, fetched) = match fetched {
            Ok(done) => done,
            Err(error) => {
                // Which one it was is not known: the others are asked again a little early.
                self.known.values_mut().for_each(|known| known.is_fetching = false);
                tracing::error!(%error, "fetching a key set broke off");
                return;
            }
        };
        let now = self.shared.clock.now();
        let metrics = &self.shared.metrics;
        let known = self.known.entry(ring.name().to_owned()).or_default();
        known.is_fetching = false;
        metrics.egress(
            "keys",
            fetched.as_ref().err().and_then(|error| match error {
                FetchError::Egress(error) => Some(error),
                FetchError::Discovery(_) | FetchError::Keys(_) => None,
            }),
        );
        match fetched {
            Ok(Some(fetched)) => {
                let skipped = fetched.verifier.skipped_keys().len();
                let is_changed = ring.renew(fetched, now);
                metrics.fetched_keys(ring.name(), if is_changed { "changed" } else { "unchanged" });
                known.failures = 0;
                known.retry = Timestamp::default();
                known.miss_wait = match (is_changed, is_miss) {
                    (true, _) => MISS,
                    (false, true) => known.miss_wait.saturating_mul(2).min(MISS_MAX),
                    (false, false) => known.miss_wait,
                };
                if is_changed {
                    let keys = ring.verifier(now).key_count();
                    tracing::info!(provider = ring.name(), keys, skipped, "the key set is new");
                }
            }
            Ok(None) => {}
            Err(error) => {
                metrics.fetched_keys(ring.name(), error.label());
                let wait = RETRY.saturating_mul(1 << known.failures.min(16)).min(RETRY_MAX);
                known.failures = known.failures.saturating_add(1);
                known.retry = now.plus(wait);
                tracing::warn!(
                    provider = ring.name(),
                    "the key set is not renewed, the last good one stands: {error}"
                );
            }
        }
        if self.attends {
            ring.opens(known.opens());
        }
        ring.wake();
    }

    /// Tells how old every set is, and when one is of no use any more.
    fn age(&mut self) {
        let snapshot = self.shared.snapshot.load_full();
        let now = self.shared.clock.now();
        for ring in snapshot.rings() {
            let is_usable = ring.is_usable(now);
            self.shared.metrics.key_set(ring, now);
            let known = self.known.entry(ring.name().to_owned()).or_default();
            // What is under way may bring some: at the start it mostly does.
            if known.is_usable && !is_usable && !known.is_fetching {
                tracing::error!(
                    provider = ring.name(),
                    "there are no keys that may be used: its tokens are answered 503"
                );
                known.is_usable = false;
            } else if is_usable {
                known.is_usable = true;
            }
        }
    }
}

async fn renewal(
    ring: Arc<Ring>,
    egress: Arc<Egress>,
    is_miss: bool,
) -> (Arc<Ring>, bool, Result<Option<Fetched>, FetchError>) {
    let fetched = fetch(&egress, ring.name(), ring.provider()).await;
    (ring, is_miss, fetched)
}
