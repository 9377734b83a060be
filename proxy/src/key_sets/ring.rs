//! The keys of one provider as they stand now, and whether they are wanted anew.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_config::Timestamp;
use portcullis_config::model::{FetchedKeys, Provider};
use portcullis_identity::{KeyError, Verifier};
use tokio::sync::Notify;

use super::fetch::Fetched;
use super::kept::Kept;
use super::waiting::{NoPlace, Place, Waiting};

/// How far ahead of the clock a copy may be dated.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// What verifies the tokens of one provider.
#[derive(Clone, Debug)]
pub enum Verifiers {
    /// Its keys are in a file: they change with a reload.
    Fixed(Arc<Verifier>),
    /// Its keys are fetched: they change by themselves.
    Fetched(Arc<Ring>),
}

impl Verifiers {
    /// Returns what verifies now. Cost: one atomic load and one count.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Arc<Verifier> {
        match self {
            Self::Fixed(verifier) => Arc::clone(verifier),
            Self::Fetched(ring) => ring.verifier(now),
        }
    }

    /// Returns the ring, where keys are fetched.
    #[must_use]
    pub const fn ring(&self) -> Option<&Arc<Ring>> {
        match self {
            Self::Fixed(_) => None,
            Self::Fetched(ring) => Some(ring),
        }
    }
}

/// The keys of one provider that are fetched. They change while it stands; everything else is fixed.
#[derive(Debug)]
pub struct Ring {
    name: String,
    provider: Provider,
    keys: FetchedKeys,
    kept: Kept,
    /// Refuses everything: what stands before the first set, and after the last one is too old.
    without: Arc<Verifier>,
    held: ArcSwap<Held>,
    /// Tokens that named a key that is not in the set.
    misses: AtomicU64,
    /// Wakes the keeper at the first miss since it looked.
    wanted: Notify,
    waiting: Waiting,
}

/// A key set in use.
#[derive(Clone, Debug)]
struct Held {
    verifier: Arc<Verifier>,
    /// When it was fetched; `None` if nothing ever was.
    fetched: Option<Timestamp>,
    /// For how long it was said to be fresh.
    fresh: Duration,
}

impl Ring {
    /// Makes the ring of a provider with the last good copy of its keys, if there is one that is young enough. `None` for
    /// a provider whose keys are not fetched.
    ///
    /// # Errors
    /// When the provider itself cannot be used. A copy that cannot be used is left alone, and fetched again.
    pub(crate) fn open(
        name: &str,
        provider: &Provider,
        state_dir: &Path,
    ) -> Result<Option<Self>, KeyError> {
        let Some(keys) = provider.fetched() else { return Ok(None) };
        let without = Arc::new(Verifier::without_keys(name, provider)?);
        let kept = Kept::of(state_dir, name, &keys.url);
        let held = copy(&kept, name, provider).unwrap_or_else(|| Held {
            verifier: Arc::clone(&without),
            fetched: None,
            fresh: Duration::ZERO,
        });
        Ok(Some(Self {
            name: name.to_owned(),
            provider: provider.clone(),
            keys: keys.clone(),
            kept,
            without,
            held: ArcSwap::from_pointee(held),
            misses: AtomicU64::new(0),
            wanted: Notify::new(),
            waiting: Waiting::new(),
        }))
    }

    /// Returns the provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the provider as it was configured.
    #[must_use]
    pub const fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns what verifies at `now`: the set that was fetched last, until it is older than `max_age`.
    #[must_use]
    pub fn verifier(&self, now: Timestamp) -> Arc<Verifier> {
        let held = self.held.load();
        if is_usable(&held, self.keys.max_age, now) {
            Arc::clone(&held.verifier)
        } else {
            Arc::clone(&self.without)
        }
    }

    /// Says whether there are keys to verify with at `now`.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        is_usable(&self.held.load(), self.keys.max_age, now)
    }

    /// Notes that a token names a key that is not known: the issuer may have a new one. Cost: two atomics; the first
    /// miss since the keeper looked wakes it, the others do nothing.
    pub fn miss(&self) {
        if self.misses.fetch_add(1, Ordering::Relaxed) == 0 {
            self.wanted.notify_one();
        }
    }

    /// Takes a place to wait for the fetch that a miss at `now` would cause, or that is under way.
    pub(crate) fn wait(&self, now: Timestamp) -> Result<Place<'_>, NoPlace> {
        self.waiting.enter(now)
    }

    /// Says from when on a miss causes a fetch.
    pub(super) fn opens(&self, from: Timestamp) {
        self.waiting.open(from);
    }

    /// Wakes the requests that wait: a fetch is over.
    pub(super) fn wake(&self) {
        self.waiting.wake();
    }

    /// Returns when the keys in use were fetched.
    #[must_use]
    pub fn fetched(&self) -> Option<Timestamp> {
        self.held.load().fetched
    }

    /// Returns when the keys stop to be fresh; at once if there are none, or a copy of an earlier process.
    pub(super) fn fresh_until(&self) -> Timestamp {
        let held = self.held.load();
        if held.fresh.is_zero() {
            return Timestamp::default();
        }
        // Half of the age that is left stays for trying again.
        let fresh = held.fresh.min(self.keys.max_age / 2);
        held.fetched.map_or_else(Timestamp::default, |fetched| fetched.plus(fresh))
    }

    /// Returns how many misses there were since this was asked last.
    pub(super) fn take_misses(&self) -> u64 {
        self.misses.swap(0, Ordering::Relaxed)
    }

    /// Says whether a token has named an unknown key since [`Self::take_misses`].
    pub(super) fn is_missed(&self) -> bool {
        self.misses.load(Ordering::Relaxed) > 0
    }

    /// Waits for a miss.
    pub(super) async fn missed(&self) {
        self.wanted.notified().await;
    }

    /// Puts a fetched set in use; says whether it holds something else than before. The copy on disk comes second: a full
    /// disk must not keep a new key away.
    pub(super) fn renew(&self, fetched: Fetched, now: Timestamp) -> bool {
        let before = *self.held.load().verifier.fingerprint();
        let is_changed = before != *fetched.verifier.fingerprint();
        self.held.store(Arc::new(Held {
            verifier: Arc::new(fetched.verifier),
            fetched: Some(now),
            fresh: fetched.fresh,
        }));
        if let Err(error) = self.kept.write(&fetched.bytes, now) {
            let path = self.kept.path().display();
            tracing::error!(provider = self.name, %path, "the key set is not kept for a restart: {error}");
        }
        is_changed
    }
}

fn is_usable(held: &Held, max_age: Duration, now: Timestamp) -> bool {
    // A copy from the future was written under another clock: nobody knows how old it is.
    let is_usable = |at: Timestamp| at <= now.plus(AHEAD_MAX) && now.since(at) < max_age;
    held.fetched.is_some_and(is_usable)
}

/// Reads the copy on disk. It is due at once: nobody knows what the issuer said of it.
fn copy(kept: &Kept, name: &str, provider: &Provider) -> Option<Held> {
    let read = kept.read().map_err(|error| error.to_string());
    let compiled = read.and_then(|read| {
        let Some((bytes, fetched)) = read else { return Ok(None) };
        let verifier = Verifier::compile(name, provider, &bytes).map_err(|why| why.to_string())?;
        Ok(Some(Held {
            verifier: Arc::new(verifier),
            fetched: Some(fetched),
            fresh: Duration::ZERO,
        }))
    });
    match compiled {
        Ok(held) => held,
        Err(why) => {
            let path = kept.path().display();
            tracing::warn!(provider = name, %path, "the kept key set cannot be used: {why}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config::model::{Alg, ClaimPath, ClaimRules, OidcProvider, Url};

    use super::*;

    /// The public key of RFC 8037 appendix A.2.
    const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn a_copy_is_used_while_it_is_young_and_due_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::parse("https://id.example.com/").unwrap();
        let provider = Provider::Oidc(OidcProvider {
            issuer: "https://id.example.com".to_owned(),
            audience: "a".to_owned(),
            algorithms: vec![Alg::EdDsa],
            keys: FetchedKeys { url: url.clone(), max_age: Duration::from_secs(3600) },
            claims: ClaimRules {
                tenant_claim: ClaimPath::parse("tenant").into_iter().collect(),
                roles_claim: None,
                scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
                leeway: Duration::ZERO,
                max_lifetime: Duration::from_secs(3600),
            },
        });
        let at = Timestamp::from_secs;
        let open = || Ring::open("main", &provider, dir.path()).unwrap().unwrap();
        assert!(!open().is_usable(at(10_000)), "nothing was ever fetched");
        let kept = Kept::of(dir.path(), "main", &url);
        kept.write(KEYS, at(10_000)).unwrap();
        for (now, usable) in
            [(9_939, false), (9_940, true), (10_000, true), (13_599, true), (13_600, false)]
        {
            let ring = open();
            assert_eq!(
                (ring.is_usable(at(now)), ring.verifier(at(now)).key_count() == 1),
                (usable, usable),
                "{now}"
            );
            assert_eq!(ring.fresh_until(), Timestamp::default());
        }
        kept.write(b"nonsense", at(10_000)).unwrap();
        assert!(!open().is_usable(at(10_000)));
    }
}
