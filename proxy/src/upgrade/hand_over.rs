//! The old process's side.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis_policy::CountSecret;

use super::link::Link;
use super::message::{Offer, PROTOCOL, SocketName, Word};
use super::{Invocation, UpgradeError};
use crate::tickets::Drawn;

/// How long a successor may take to load, compile and probe its configuration: rule sets and databases are read then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket to pass on, with what it is for.
pub type Handed = (SocketName, OwnedFd);

/// What a successor is told before it is ready.
#[derive(Debug)]
pub struct Shown {
    /// The generation that is served.
    pub generation: u64,
    /// What the keys of rate counters are digested with.
    pub secret: CountSecret,
    /// The secrets that this process has drawn for session tickets.
    pub tickets: Vec<Drawn>,
}

/// A successor that is ready and does not serve yet. Dropped, it is ended.
#[derive(Debug)]
pub struct Successor {
    link: Link,
    pid: u32,
    /// Ended with this; none when it is on its own.
    child: Option<Child>,
}

impl Successor {
    /// Starts a program as this process was started, passes the sockets and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// When it does not start, refuses or falls silent; then it is ended.
    pub fn start(
        invocation: &Invocation,
        sockets: &[Handed],
        shown: Shown,
    ) -> Result<Self, UpgradeError> {
        let (link, theirs) = Link::pair().map_err(UpgradeError::Socket)?;
        link.set_patience(PATIENCE).map_err(UpgradeError::Socket)?;
        let program = &invocation.program;
        let child = Command::new(program)
            .args(&invocation.arguments)
            .arg("--successor")
            .stdin(Stdio::from(theirs))
            .spawn()
            .map_err(|source| UpgradeError::Spawn { program: program.clone(), source })?;
        let mut successor = Self { link, pid: child.id(), child: Some(child) };
        let borrowed: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        successor.link.pass(&borrowed)?;
        let sockets = sockets.iter().map(|(name, _)| name.clone()).collect();
        let Shown { generation, secret, tickets } = shown;
        let offer = Offer { protocol: PROTOCOL, generation, secret: secret.0, sockets, tickets };
        successor.link.send(&offer)?;
        match successor.link.receive()? {
            Word::Ready => Ok(successor),
            Word::Failed { error } => Err(UpgradeError::Refused(error)),
            Word::Serving { .. } => Err(UpgradeError::Protocol(PROTOCOL)),
        }
    }

    /// Returns its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Gives it this process's rate counters, now that it has let go of the rest, and waits until it serves; returns its generation. Blocks.
    ///
    /// # Errors
    /// When it fails after all; then it is ended.
    pub fn go(mut self, counts: &[u8]) -> Result<u64, UpgradeError> {
        self.link.send_bytes(counts)?;
        match self.link.receive()? {
            Word::Serving { generation } => {
                drop(self.child.take());
                Ok(generation)
            }
            Word::Failed { error } => Err(UpgradeError::Refused(error)),
            Word::Ready => Err(UpgradeError::Protocol(PROTOCOL)),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Err(error) = child.kill() {
            tracing::debug!(%error, "the successor has ended already");
        }
        if let Err(error) = child.wait() {
            tracing::warn!(%error, "the successor was not waited for");
        }
    }
}
