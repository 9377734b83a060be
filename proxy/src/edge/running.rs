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

/// How long an idle connection is still listened to when the edge stops. Closed at once, it would take a request with it
/// that was on its way; one that comes is served, and its answer says that it was the connection's last.
const LAST_REQUEST: Duration = Duration::from_secs(5);

/// An edge that serves. Dropping it without [`Running::stop`] cuts every connection.
pub struct Running {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) proxy: Arc<HttpProxy<Gate>>,
    pub(super) turns: Arc<Turns>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) pause: watch::Sender<bool>,
    pub(super) listeners: JoinSet<JoinSet<()>>,
    /// The connections of listeners that have stopped.
    pub(super) left: Vec<JoinSet<()>>,
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

    /// Stops: no further connection is taken, those that are open get one request more or are closed when they stay idle,
    /// requests in work get `grace` to end, then what is left is cut.
    pub async fn stop(mut self, grace: Duration) {
        // With these open, clients would wait for an accept that does not come.
        self.handed.clear();
        if self.stop.send(true).is_err() {
            tracing::debug!("every listener has ended already");
        }
        let listening = LAST_REQUEST.min(grace / 2);
        if self.has_drained(listening).await {
            return;
        }
        self.proxy.http_cleanup().await;
        if !self.has_drained(grace.saturating_sub(listening)).await {
            tracing::warn!(
                grace_ms = grace.as_millis(),
                "connections were cut at the end of the grace period"
            );
        }
    }

    async fn has_drained(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.drain()).await.is_ok()
    }

    /// Waits until every connection has ended. May be given up and begun again.
    async fn drain(&mut self) {
        while let Some(ended) = self.listeners.join_next().await {
            match ended {
                Ok(connections) => self.left.push(connections),
                Err(error) => tracing::error!(%error, "an accept loop broke"),
            }
        }
        while let Some(connections) = self.left.last_mut() {
            while connections.join_next().await.is_some() {}
            self.left.pop();
        }
    }
}
