//! Old snapshots, freed off the request path.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::snapshot::Snapshot;

/// How often the thread looks whether the last request has let go of an old snapshot.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A thread that holds old snapshots until no request does, and frees them itself. At most a few wait at a time: one per
/// reload since the oldest request that still runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Retirement {
    old: Sender<Arc<Snapshot>>,
}

impl Retirement {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let (old, incoming) = channel();
        std::thread::Builder::new().name("retire".to_owned()).spawn(move || run(&incoming))?;
        Ok(Self { old })
    }

    /// Hands over a snapshot that is no longer published.
    pub fn retire(&self, snapshot: Arc<Snapshot>) {
        if self.old.send(snapshot).is_err() {
            tracing::error!("the thread that frees old snapshots is gone");
        }
    }
}

fn run(incoming: &Receiver<Arc<Snapshot>>) {
    let mut held: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        let next = if held.is_empty() {
            incoming.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            incoming.recv_timeout(LOOK_EVERY)
        };
        match next {
            Ok(snapshot) => held.push(snapshot),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        held.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}
