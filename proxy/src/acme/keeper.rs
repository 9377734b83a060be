//! The task that orders and renews certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::model::Acme;
use tokio::sync::watch;

use super::client::Guarded;
use super::order::order;
use super::{AcmeError, Issued, Kept, account, of};
use crate::audit::Actor;
use crate::reload::Reloader;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// How often the task looks whether something is due. A look reads each certificate with its key: some 100 µs.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long one order may take: what hangs keeps the others waiting.
const TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// How much is told of what went wrong, in characters.
const WORDS_MAX: usize = 500;

/// Keeps the certificates of whatever configuration is served.
#[derive(Debug)]
pub struct AcmeKeeper {
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    /// Whose end has been told.
    told: BTreeSet<Kept>,
    /// Whether a certificate has changed that is not published yet.
    is_pending: bool,
}

impl AcmeKeeper {
    /// Makes the task's state.
    #[must_use]
    pub const fn new(shared: Arc<Shared>, reloader: Arc<Reloader>) -> Self {
        Self { shared, reloader, told: BTreeSet::new(), is_pending: false }
    }

    /// Looks again and again until `stop` changes.
    ///
    /// # Errors
    /// Never; the signature is that of the other tasks.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        loop {
            tokio::select! {
                // An error means that the sender is gone, which stops us as well.
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.look() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Orders what is missing or due, one after another, and publishes what came of it.
    pub async fn look(&mut self) {
        let snapshot = self.shared.snapshot.load_full();
        let state_dir = &snapshot.config.state_dir;
        let mut wanted = BTreeMap::new();
        for acme in of(&snapshot.config) {
            wanted.entry(Kept::of(state_dir, acme)).or_insert(acme);
        }
        self.shared.proofs.keep_failures(|path| wanted.keys().any(|kept| kept.path() == path));
        for gone in self.told.extract_if(.., |kept| !wanted.contains_key(kept)) {
            self.shared.metrics.forget_certificate(gone.path());
        }
        for (kept, acme) in wanted {
            let mut issued = kept.issued(&acme.names);
            if self.is_due(&kept, issued.as_ref()) && self.renew(&snapshot, &kept, acme).await {
                self.is_pending = true;
                issued = kept.issued(&acme.names);
            }
            let ends = issued.map_or(0, |issued| issued.not_after.as_secs());
            self.shared.metrics.certificate_ends(kept.path(), ends);
            self.told.insert(kept);
        }
        if self.is_pending && self.reloader.standing().is_settled() {
            self.is_pending = false;
            self.reload().await;
        }
    }

    fn is_due(&self, kept: &Kept, issued: Option<&Issued>) -> bool {
        let now = self.shared.clock.now();
        let waits =
            self.shared.proofs.failure(kept.path()).is_some_and(|failure| now < failure.retry);
        !waits && issued.is_none_or(|issued| issued.renew_at() <= now)
    }

    /// Orders one certificate; says whether there is another one now.
    async fn renew(&self, snapshot: &Snapshot, kept: &Kept, acme: &Acme) -> bool {
        let shared = &self.shared;
        let client = Guarded { shared: Arc::clone(shared), egress: Arc::clone(&snapshot.egress) };
        let state_dir = &snapshot.config.state_dir;
        let now = shared.clock.now();
        let ordered = order(state_dir, acme, client, &shared.proofs, now);
        let ordered = tokio::time::timeout(TIME_MAX, ordered);
        let ordered = ordered.await.unwrap_or(Err(AcmeError::TimedOut(TIME_MAX)));
        let ordered = ordered.and_then(|pem| Ok(kept.replace(&pem)?));
        let (now, certificate) = (shared.clock.now(), kept.path().display());
        match ordered {
            Ok(()) => {
                shared.metrics.ordered(kept.path(), "ok");
                shared.proofs.keep_failures(|path| path != kept.path());
                tracing::info!(%certificate, directory = %acme.directory, "a certificate is issued");
                true
            }
            Err(error) => {
                shared.metrics.ordered(kept.path(), error.label());
                forget_unknown_account(snapshot, acme, &error);
                let why = tellable(&error);
                let failure = shared.proofs.failed(kept.path(), why, now);
                let again = failure.retry.since(now).as_secs();
                tracing::warn!(
                    %certificate,
                    directory = %acme.directory,
                    failures = failure.count,
                    again_in_seconds = again,
                    "the certificate is not issued, the last good one stands: {}", failure.why
                );
                false
            }
        }
    }

    async fn reload(&self) {
        let reloader = Arc::clone(&self.reloader);
        // The reloader has logged what came of it. A configuration that is refused keeps the new certificate back until it
        // is mended: the next good reload reads it.
        let reloaded =
            tokio::task::spawn_blocking(move || drop(reloader.reload(&Actor::Acme, None)));
        if let Err(error) = reloaded.await {
            tracing::error!(%error, "the reload after a certificate was issued broke off");
        }
    }
}

/// What is told of an error: the authority's words are a stranger's, so they are cut, and hold no control character.
fn tellable(error: &AcmeError) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    error.to_string().chars().take(WORDS_MAX).map(plain).collect()
}

/// An authority that has lost an account would refuse it for ever.
fn forget_unknown_account(snapshot: &Snapshot, acme: &Acme, error: &AcmeError) {
    const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
    let AcmeError::Authority(instant_acme::Error::Api(problem)) = error else { return };
    if problem.r#type.as_deref() != Some(UNKNOWN) {
        return;
    }
    if let Err(error) = account::set_aside(&snapshot.config.state_dir, acme) {
        tracing::error!(%error, "the file of an account that the authority does not know stays");
    }
}
