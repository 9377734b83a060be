//! The thread that keeps the file of bans in step with the state.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::BanStore;
use crate::shared::Shared;

/// How long a ban may stand before it is stored. A look that finds nothing new costs a few microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two sweeps of ended bans and counters.
const LOOKS_PER_SWEEP: u32 = 500;

/// Owns the keeper thread. Dropping it, or [`Self::stop`], writes once more and ends the thread.
#[derive(Debug)]
pub struct BanKeeper {
    /// Closed to stop the thread.
    running: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl BanKeeper {
    /// Restores the stored bans into the state and starts to keep them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(shared: Arc<Shared>, store: BanStore) -> std::io::Result<Self> {
        let restored = shared.state.restore(store.bans(), shared.clock.now());
        if restored > 0 {
            tracing::info!(bans = restored, "bans restored");
        }
        let (running, stopped) = sync_channel(1);
        let keeper = Keeper { shared, store, version: None, looks: 0 };
        let thread = std::thread::Builder::new()
            .name("bans".to_owned())
            .spawn(move || keeper.run(&stopped))?;
        Ok(Self { running: Mutex::new(Some(running)), thread: Mutex::new(Some(thread)) })
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
    /// The version of the list that is stored.
    version: Option<u64>,
    looks: u32,
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<()>) {
        loop {
            let stop = match stopped.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.look();
            if stop {
                return;
            }
        }
    }

    fn look(&mut self) {
        let now = self.shared.clock.now();
        self.looks += 1;
        if self.looks >= LOOKS_PER_SWEEP {
            self.looks = 0;
            self.shared.state.sweep(now);
        }
        let version = self.shared.state.figures().bans_version;
        if self.version == Some(version) {
            return;
        }
        let bans = self.shared.state.snapshot(now);
        self.shared.metrics.bans.set(i64::try_from(bans.len()).unwrap_or(i64::MAX));
        match self.store.save(&bans) {
            Ok(_) => self.version = Some(version),
            Err(error) => {
                self.shared.metrics.ban_write_errors.inc();
                tracing::error!(%error, "bans are not stored; tried again");
            }
        }
    }
}
