//! The process: what is started in which order, what happens on a signal, and how it ends.

mod assertion;
mod error;
mod parts;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_config::Diagnostic;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::audit::Actor;
use crate::dev::Demo;
use crate::origin::Origin;
use crate::reload::Reloader;
use crate::shared::Shared;
use parts::Parts;

pub use assertion::AssertionError;
pub use error::StartError;

/// What a process that has started tells.
#[derive(Debug)]
pub struct Started {
    /// The addresses that clients connect to, in the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    /// The address of `/metrics`.
    pub metrics: Option<SocketAddr>,
    /// The admin socket.
    pub socket: PathBuf,
    /// The certificate of the first TLS listener.
    pub certificate: Option<PathBuf>,
    /// The generation that is served.
    pub generation: u64,
    /// What is to be said about the configuration.
    pub warnings: Vec<Diagnostic>,
    /// The demonstration license of the embedded default.
    pub demo: Option<Demo>,
}

/// Starts everything, tells `announce`, serves until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// When something does not start; then nothing is left running.
pub async fn run(origin: Origin, announce: impl FnOnce(&Started)) -> Result<(), StartError> {
    // Signals first: one that comes while we start is answered when we have.
    let signals = Signals::new().map_err(StartError::Signals)?;
    let (parts, started) = Parts::start(origin).await?;
    announce(&started);
    parts.ready.store(true, Ordering::Release);
    attend(signals, &parts.shared, &parts.reloader).await;
    parts.stop().await;
    Ok(())
}

/// The signals of the contract.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }
}

/// Answers signals until one says to stop.
async fn attend(mut signals: Signals, shared: &Arc<Shared>, reloader: &Arc<Reloader>) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return tracing::info!("SIGTERM: draining"),
            _ = signals.interrupt.recv() => return tracing::info!("SIGINT: draining"),
            _ = signals.hangup.recv() => {
                let reloader = Arc::clone(reloader);
                // The reloader has logged what came of it.
                drop(tokio::task::spawn_blocking(move || drop(reloader.reload(&Actor::Signal))));
            }
            _ = signals.reopen.recv() => reopen(shared).await,
        }
    }
}

async fn reopen(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let reopened = tokio::task::spawn_blocking(move || {
        shared.requests.reopen();
        shared.events.reopen();
    });
    match reopened.await {
        Ok(()) => tracing::info!("SIGUSR1: log files reopened"),
        Err(error) => tracing::error!(%error, "the log files were not reopened"),
    }
}
