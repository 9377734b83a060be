//! The process: what is started in which order, what happens on a signal, and how it ends.

mod assertion;
mod error;
mod parts;
mod supervisor;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_config::Diagnostic;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::audit::Actor;
use crate::dev::Demo;
use crate::origin::Origin;
use crate::shared::Shared;
use crate::upgrade::{Inheritance, Invocation, UpgradeError};
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
    /// What the process shares, for who runs it within a program of their own, as a bench does.
    pub shared: Arc<Shared>,
}

/// Starts everything, tells `announce`, serves until SIGTERM, SIGINT or a successor, and drains. With an `inheritance`
/// it takes the place of the process that passes it on.
///
/// # Errors
/// When something does not start; then nothing is left running, and the process before goes on.
pub async fn run(
    origin: Origin,
    invocation: &Invocation,
    mut inheritance: Option<Inheritance>,
    announce: impl FnOnce(&Started),
) -> Result<(), StartError> {
    // Signals first: one that comes while we start is answered when we have.
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let (mut parts, started) = match Parts::start(origin, &mut inheritance).await {
        Ok(started) => started,
        Err(error) => {
            if let Some(passed) = inheritance {
                passed.failed(error.in_full());
            }
            return Err(error);
        }
    };
    parts.ready.store(true, Ordering::Release);
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    parts.shared.metrics.worker_threads.set(i64::try_from(workers).unwrap_or(i64::MAX));
    if let Some(passed) = inheritance
        && let Err(error) = passed.serving(started.generation)
    {
        tracing::warn!(%error, "the process before is gone");
    }
    supervisor::serving();
    announce(&started);
    wait(&mut signals, &mut parts, invocation).await;
    parts.stop().await;
    Ok(())
}

/// Waits until this process has to end.
async fn wait(signals: &mut Signals, parts: &mut Parts, invocation: &Invocation) {
    loop {
        let (program, answer) = match attend(signals, parts).await {
            Told::Stop => return supervisor::stopping(),
            Told::Upgrade(program, answer) => (program, answer),
        };
        let mut invocation = invocation.clone();
        invocation.program = program.unwrap_or(invocation.program);
        if succeeded(parts, invocation, answer).await {
            return;
        }
    }
}

/// Tries to put a successor in our place, and says whether one is there.
async fn succeeded(parts: &mut Parts, invocation: Invocation, answer: Option<Answer>) -> bool {
    let done = parts.hand_over(invocation).await;
    match &done {
        Ok((pid, generation)) => {
            supervisor::succeeded_by(*pid);
            tracing::info!(pid, generation, "a successor serves: draining");
        }
        Err(error) => tracing::error!("no upgrade, this process goes on: {error}"),
    }
    let is_done = done.is_ok();
    if let Some(answer) = answer {
        // Who asked may be gone by now.
        drop(answer.send(done));
    }
    is_done
}

/// Where the outcome of an upgrade goes.
type Answer = oneshot::Sender<Result<(u32, u64), UpgradeError>>;

/// What ends the wait.
enum Told {
    /// Drain and end.
    Stop,
    /// Put a successor in our place: this program, or the one we were started from.
    Upgrade(Option<PathBuf>, Option<Answer>),
}

/// The signals of the contract.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Answers signals until one, or an operator, says something that ends this process.
async fn attend(signals: &mut Signals, parts: &mut Parts) -> Told {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {
                tracing::info!("SIGTERM: draining");
                return Told::Stop;
            }
            _ = signals.interrupt.recv() => {
                tracing::info!("SIGINT: draining");
                return Told::Stop;
            }
            _ = signals.upgrade.recv() => return Told::Upgrade(None, None),
            Some(request) = parts.upgrades.recv() => {
                return Told::Upgrade(request.program, Some(request.answer));
            }
            _ = signals.hangup.recv() => {
                let reloader = Arc::clone(&parts.reloader);
                // The reloader has logged what came of it.
                drop(tokio::task::spawn_blocking(move || drop(reloader.reload(&Actor::Signal, None))));
            }
            _ = signals.reopen.recv() => reopen(&parts.shared).await,
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
