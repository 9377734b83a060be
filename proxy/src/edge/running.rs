//! An edge that serves, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::proxy::HttpProxy;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gate::Gate;
use crate::upgrade::Handed;
use crate::upstream::Turns;

/// An edge that serves. Dropping it without [`Running::stop`] cuts every connection.
pub struct Running {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) proxy: Arc<HttpProxy<Gate>>,
    pub(super) turns: Arc<Turns>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) pause: watch::Sender<bool>,
    pub(super) listeners: JoinSet<JoinSet<()>>,
    /// Second handles to the listening sockets, for a successor. While they are open nobody is refused: who connects
    /// waits until somebody accepts.
    pub(super) handed: Vec<Handed>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Running {
    /// Returns the address that each listener is bound to, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The backends as they stand, for operators.
    pub(crate) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Returns the listening sockets, for a successor.
    #[must_use]
    pub fn handed(&self) -> &[Handed] {
        &self.handed
    }

    /// Accepts no more, or accepts again. Who connects meanwhile waits.
    pub fn pause(&self, is_paused: bool) {
        self.pause.send_replace(is_paused);
    }

    /// Stops: no further connection is taken, idle ones are closed, requests in work get `grace` to end, then what is
    /// left is cut.
    pub async fn stop(mut self, grace: Duration) {
        // With these open, clients would wait for an accept that does not come.
        self.handed.clear();
        if self.stop.send(true).is_err() {
            tracing::debug!("every listener has ended already");
        }
        self.proxy.http_cleanup().await;
        if tokio::time::timeout(grace, self.drain()).await.is_err() {
            tracing::warn!(
                grace_ms = grace.as_millis(),
                "connections were cut at the end of the grace period"
            );
        }
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.listeners.join_next().await {
            match ended {
                Ok(mut connections) => while connections.join_next().await.is_some() {},
                Err(error) => tracing::error!(%error, "an accept loop broke"),
            }
        }
    }
}
