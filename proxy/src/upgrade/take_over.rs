//! The successor's side.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use portcullis_policy::CountSecret;

use super::UpgradeError;
use super::link::Link;
use super::message::{Offer, PROTOCOL, SocketName, Word};
use crate::tickets::Drawn;

/// How long the old process may take to let go.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process before passes on. Dropped before [`Self::serving`], it closes the stream, which tells that process
/// that the successor failed.
#[derive(Debug)]
pub struct Inheritance {
    link: Link,
    generation: u64,
    secret: CountSecret,
    sockets: Vec<(SocketName, OwnedFd)>,
    tickets: Vec<Drawn>,
}

impl Inheritance {
    /// Receives it from standard input. Blocks.
    ///
    /// # Errors
    /// When no process hands over there, or it speaks another protocol.
    pub fn receive() -> Result<Self, UpgradeError> {
        let mut link = Link::inherited().map_err(|_| UpgradeError::NoAncestor)?;
        link.set_patience(PATIENCE).map_err(|_| UpgradeError::NoAncestor)?;
        let sockets = link.take().map_err(|_| UpgradeError::NoAncestor)?;
        let offer: Offer = link.receive()?;
        if offer.protocol != PROTOCOL || offer.sockets.len() != sockets.len() {
            return Err(UpgradeError::Protocol(offer.protocol));
        }
        let sockets = offer.sockets.into_iter().zip(sockets).collect();
        let secret = CountSecret(offer.secret);
        let tickets = offer.tickets;
        Ok(Self { link, generation: offer.generation, secret, sockets, tickets })
    }

    /// Returns the generation that the process before serves.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns what the keys of rate counters are digested with.
    #[must_use]
    pub const fn secret(&self) -> CountSecret {
        self.secret
    }

    /// Takes the secrets that session tickets are sealed with.
    pub fn tickets(&mut self) -> Vec<Drawn> {
        std::mem::take(&mut self.tickets)
    }

    /// Takes the socket of a listener, by its address in the configuration.
    pub fn listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.socket(&SocketName::Listener(address)).map(TcpListener::from)
    }

    /// Takes the socket of the metrics listener.
    pub fn metrics(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.socket(&SocketName::Metrics(address)).map(TcpListener::from)
    }

    /// Takes the socket of the embedded license service.
    pub fn license(&mut self, path: &Path) -> Option<UnixListener> {
        self.socket(&SocketName::License(path.to_owned())).map(UnixListener::from)
    }

    fn socket(&mut self, name: &SocketName) -> Option<OwnedFd> {
        let at = self.sockets.iter().position(|(known, _)| known == name)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// Says that the configuration is good, and waits until the process before has let go of what only one can hold.
    /// Returns its rate counters. Blocks.
    ///
    /// # Errors
    /// When that process is gone or silent.
    pub fn ready(&mut self) -> Result<Vec<u8>, UpgradeError> {
        self.link.send(&Word::Ready)?;
        Ok(self.link.receive_bytes()?)
    }

    /// Says that this process serves.
    ///
    /// # Errors
    /// When the process before is gone: then it is not there to drain either.
    pub fn serving(mut self, generation: u64) -> Result<(), UpgradeError> {
        Ok(self.link.send(&Word::Serving { generation })?)
    }

    /// Says why this process does not start.
    pub fn failed(mut self, error: String) {
        // The other end notices as well that this one closes.
        drop(self.link.send(&Word::Failed { error }));
    }
}
