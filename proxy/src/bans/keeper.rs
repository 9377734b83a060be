//! The thread that keeps the file of bans in step with the state.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{BanStore, apply};
use crate::shared::Shared;

/// How long a ban may stand before it is stored. A look that finds nothing new costs a few microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two sweeps of ended bans and counters.
const LOOKS_PER_SWEEP: u32 = 500;

/// Owns the keeper thread. Dropping it, or [`Self::stop`], writes once more and ends the thread.
#[derive(Debug)]
pub struct BanKeeper {
    /// Asks the thread to store at once and to say how it went; closed to stop it.
    running: Mutex<Option<SyncSender<SyncSender<bool>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl BanKeeper {
    /// Restores the stored bans into the state and starts to keep them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(shared: Arc<Shared>, store: BanStore) -> std::io::Result<Self> {
        let keeper = Self { running: Mutex::new(None), thread: Mutex::new(None) };
        keeper.resume(shared, store)?;
        Ok(keeper)
    }

    /// Goes on after [`Self::stop`] with a file that was opened again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn resume(&self, shared: Arc<Shared>, store: BanStore) -> std::io::Result<()> {
        for entry in store.allowed() {
            if let Err(error) = shared.allowances.add(entry) {
                tracing::error!("a stored allow-list entry is left out: {error}");
            }
        }
        // Whom the lists spare now is not banned again.
        apply(&shared);
        let restored = shared.state.restore(store.bans(), shared.clock.now());
        if restored > 0 {
            tracing::info!(bans = restored, "bans restored");
        }
        let (running, stopped) = sync_channel(1);
        let keeper = Keeper { shared, store, version: None, looks: 0 };
        let thread = std::thread::Builder::new()
            .name("bans".to_owned())
            .spawn(move || keeper.run(&stopped))?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Writes what has changed and says whether it is on disk. Blocks for as long as the disk takes.
    #[must_use]
    pub fn store_now(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (reply, stored) = sync_channel(1);
        running.is_some_and(|thread| thread.send(reply).is_ok()) && stored.recv().unwrap_or(false)
    }

    /// Writes what has changed and ends the thread; returns when both are done.
    pub fn stop(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the ban keeper broke off");
        }
    }
}

impl Drop for BanKeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Keeper {
    shared: Arc<Shared>,
    store: BanStore,
    /// The versions of the lists that are stored.
    version: Option<(u64, u64)>,
    looks: u32,
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<SyncSender<bool>>) {
        loop {
            let asked = stopped.recv_timeout(LOOK_EVERY);
            let is_stored = self.look();
            match asked {
                // An error means that whoever asked has gone.
                Ok(reply) => reply.send(is_stored).unwrap_or_default(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Stores what has changed; says whether everything is stored.
    fn look(&mut self) -> bool {
        let now = self.shared.clock.now();
        self.looks += 1;
        if self.looks >= LOOKS_PER_SWEEP {
            self.looks = 0;
            self.shared.state.sweep(now);
            if self.shared.allowances.sweep(now) {
                apply(&self.shared);
            }
        }
        let allowances = &self.shared.allowances;
        let version = (self.shared.state.figures().bans_version, allowances.version());
        if self.version == Some(version) {
            return true;
        }
        let bans = self.shared.state.snapshot(now);
        self.shared.metrics.bans.set(i64::try_from(bans.len()).unwrap_or(i64::MAX));
        match self.store.save(&bans, &allowances.list(now)) {
            Ok(_) => {
                self.version = Some(version);
                true
            }
            Err(error) => {
                self.shared.metrics.ban_write_errors.inc();
                tracing::error!(%error, "bans are not stored; tried again");
                false
            }
        }
    }
}
