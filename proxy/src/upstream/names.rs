//! The addresses behind servers' names, looked up off the requests' way. A name that no longer resolves keeps its last
//! addresses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::IntCounter;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;

use super::Table;

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(30);
/// How long one look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are kept.
const ADDRESSES_MAX: usize = 64;

/// A name with its addresses.
#[derive(Debug)]
pub(crate) struct Name {
    pub(super) host: String,
    port: u16,
    addresses: ArcSwapOption<Vec<SocketAddr>>,
    turn: AtomicUsize,
    /// Whether the first look-up has ended: only until then a request waits for it.
    first: OnceCell<()>,
    failed: IntCounter,
}

impl Name {
    pub(super) fn new(host: &str, port: u16, failed: IntCounter) -> Self {
        Self {
            host: host.to_owned(),
            port,
            addresses: ArcSwapOption::empty(),
            turn: AtomicUsize::new(0),
            first: OnceCell::new(),
            failed,
        }
    }

    /// Returns the next of its addresses in turn; waits for the first look-up if it has not ended.
    pub(super) async fn address(&self) -> Option<SocketAddr> {
        if self.addresses.load().is_none() {
            self.first.get_or_init(|| self.look_up()).await;
        }
        let addresses = self.addresses.load();
        let addresses = addresses.as_ref()?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        addresses.get(turn % addresses.len().max(1)).copied()
    }

    async fn refresh(&self) {
        if self.first.initialized() {
            self.look_up().await;
        } else {
            self.first.get_or_init(|| self.look_up()).await;
        }
    }

    async fn look_up(&self) {
        let found = tokio::time::timeout(LOOK_UP_MAX, resolve(&self.host, self.port)).await;
        match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(addresses) => {
                let known = self.addresses.load();
                if known.as_deref() != Some(&addresses) {
                    tracing::info!(name = %self.host, ?addresses, "a server's name resolves");
                    self.addresses.store(Some(Arc::new(addresses)));
                }
            }
            Err(error) => {
                self.failed.inc();
                tracing::warn!(name = %self.host, %error, "a server's name does not resolve");
            }
        }
    }
}

/// Asks the system's resolver, off the worker threads. The order is the resolver's.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

/// Looks every name up again and again until `stopping`; a name that is new at once.
pub(super) async fn refresh_forever(table: Arc<Table>, mut stopping: watch::Receiver<bool>) {
    let mut next = tokio::time::Instant::now();
    loop {
        let is_due = next <= tokio::time::Instant::now();
        if is_due {
            next = tokio::time::Instant::now() + REFRESH;
        }
        let mut looking = JoinSet::new();
        for name in table.names().into_iter().filter(|name| is_due || !name.first.initialized()) {
            looking.spawn(async move { name.refresh().await });
        }
        let ended = async {
            while looking.join_next().await.is_some() {}
            tokio::time::sleep(super::LOOK).await;
        };
        tokio::select! {
            () = ended => {}
            _ = stopping.changed() => return,
        }
    }
}
