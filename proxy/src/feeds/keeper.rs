//! The task that renews fetched lists.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{Feed, Stale, Url};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{FeedError, Kept, Renewal, Renewed, TIME_MAX, of, renew};
use crate::audit::Actor;
use crate::reload::Reloader;
use crate::shared::Shared;

/// How often the task looks whether something is due. A look costs one file's metadata a list.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The wait after a first failure; it doubles with each further one, up to the list's `refresh`.
const RETRY: Duration = Duration::from_secs(30);
/// Lists that are fetched at the same time: each may hold a whole answer in memory.
const AT_ONCE: usize = 4;

/// Renews the lists of whatever configuration is served.
#[derive(Debug)]
pub struct FeedKeeper {
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    known: BTreeMap<String, Known>,
    /// Whether a copy has changed that is not published yet.
    is_pending: bool,
}

/// What is remembered of a list between two looks.
#[derive(Clone, Debug)]
struct Known {
    url: Url,
    etag: Option<String>,
    failures: u32,
    /// When a failed fetch is tried again.
    retry: Option<Timestamp>,
    is_stale: bool,
}

impl Known {
    const fn new(url: Url) -> Self {
        Self { url, etag: None, failures: 0, retry: None, is_stale: false }
    }

    fn due(&self, feed: &Feed, fetched: Option<Timestamp>) -> Timestamp {
        let refresh = fetched.map_or_else(Timestamp::default, |fetched| fetched.plus(feed.refresh));
        self.retry.map_or(refresh, |retry| retry.max(refresh))
    }

    fn failed(&mut self, feed: &Feed, now: Timestamp) {
        let wait = RETRY.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now.plus(wait.min(feed.refresh)));
    }

    fn renewed(&mut self, renewed: &Renewed) {
        self.etag.clone_from(&renewed.etag);
        self.failures = 0;
        self.retry = None;
    }
}

/// A list whose time has come.
struct Due {
    name: String,
    feed: Feed,
    kept: Kept,
    etag: Option<String>,
    is_stale: bool,
}

impl FeedKeeper {
    /// Makes the task's state.
    #[must_use]
    pub const fn new(shared: Arc<Shared>, reloader: Arc<Reloader>) -> Self {
        Self { shared, reloader, known: BTreeMap::new(), is_pending: false }
    }

    /// Looks again and again until `stop` changes.
    ///
    /// # Errors
    /// Never; the signature is that of the other tasks.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        loop {
            tokio::select! {
                // An error means that the sender is gone, which stops us as well.
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = self.look() => {}
            }
        }
    }

    /// Renews what is due, publishes what has changed, and tells what is stale.
    pub async fn look(&mut self) {
        let due = self.due();
        let mut is_changed = false;
        let mut due = due.into_iter();
        loop {
            let batch: Vec<Due> = due.by_ref().take(AT_ONCE).collect();
            if batch.is_empty() {
                break;
            }
            is_changed |= self.renew(batch).await;
        }
        is_changed |= self.age();
        self.is_pending |= is_changed;
        if self.is_pending && self.reloader.standing().is_settled() {
            self.is_pending = false;
            self.reload().await;
        }
    }

    fn due(&mut self) -> Vec<Due> {
        let snapshot = self.shared.snapshot.load_full();
        let config = &snapshot.config;
        let now = self.shared.clock.now();
        let is_known =
            |name: &str, url: &Url| of(config).any(|(n, feed)| n == name && feed.url == *url);
        for (name, _) in self.known.extract_if(.., |name, known| !is_known(name, &known.url)) {
            self.shared.metrics.forget_list(&name);
        }
        let mut due = Vec::new();
        for (name, feed) in of(config) {
            let kept = Kept::of(&config.state_dir, name, &feed.url);
            let fetched = kept.fetched();
            let known =
                self.known.entry(name.to_owned()).or_insert_with(|| Known::new(feed.url.clone()));
            if known.due(feed, fetched) <= now {
                // Without a copy there is nothing that a tag could stand for.
                let etag = known.etag.clone().filter(|_| fetched.is_some());
                let is_stale = fetched.is_none_or(|fetched| now.since(fetched) > feed.max_age);
                due.push(Due { name: name.to_owned(), feed: feed.clone(), kept, etag, is_stale });
            }
        }
        due
    }

    /// Fetches some lists at the same time; says whether a copy has changed.
    async fn renew(&mut self, batch: Vec<Due>) -> bool {
        let snapshot = self.shared.snapshot.load_full();
        let now = self.shared.clock.now();
        let mut fetches = JoinSet::new();
        for due in batch {
            let snapshot = Arc::clone(&snapshot);
            fetches.spawn(async move {
                let served = snapshot.lists.get(&due.name).filter(|set| !set.is_empty());
                let renewal = Renewal {
                    feed: &due.feed,
                    kept: &due.kept,
                    etag: due.etag.as_deref(),
                    last: served.filter(|_| !due.is_stale).map(|set| &**set),
                };
                let renewed = renew(&snapshot.egress, renewal, TIME_MAX, now).await;
                (due.name, due.feed, renewed)
            });
        }
        let mut is_changed = false;
        while let Some(fetched) = fetches.join_next().await {
            match fetched {
                Ok((name, feed, renewed)) => is_changed |= self.note(&name, &feed, renewed, now),
                Err(error) => tracing::error!(%error, "fetching a list broke off"),
            }
        }
        is_changed
    }

    fn note(
        &mut self,
        name: &str,
        feed: &Feed,
        renewed: Result<Renewed, FeedError>,
        now: Timestamp,
    ) -> bool {
        let Some(known) = self.known.get_mut(name) else { return false };
        let metrics = &self.shared.metrics;
        let count = |result: &str| metrics.list_fetches.with_label_values(&[name, result]).inc();
        metrics.egress(
            "list",
            renewed.as_ref().err().and_then(|error| match error {
                FeedError::Egress(error) => Some(error),
                FeedError::Rejected(_) | FeedError::Disk(_) => None,
            }),
        );
        match renewed {
            Ok(renewed) => {
                count(if renewed.is_changed { "changed" } else { "unchanged" });
                known.renewed(&renewed);
                renewed.is_changed
            }
            Err(error) => {
                count(error.label());
                known.failed(feed, now);
                tracing::warn!(
                    list = name,
                    url = %feed.url,
                    "the list is not renewed, the last good copy stands: {error}"
                );
                false
            }
        }
    }

    /// Tells the age of every list; says whether one has lost its worth.
    fn age(&mut self) -> bool {
        let snapshot = self.shared.snapshot.load_full();
        let config = &snapshot.config;
        let now = self.shared.clock.now();
        let metrics = &self.shared.metrics;
        let mut is_changed = false;
        for (name, feed) in of(config) {
            let kept = Kept::of(&config.state_dir, name, &feed.url);
            let fetched = kept.fetched();
            let is_stale = fetched.is_none_or(|fetched| now.since(fetched) > feed.max_age);
            let time =
                fetched.map_or(0, |fetched| i64::try_from(fetched.as_secs()).unwrap_or(i64::MAX));
            metrics.list_last_success_time.with_label_values(&[name]).set(time);
            metrics.list_stale.with_label_values(&[name]).set(i64::from(is_stale));
            let Some(known) = self.known.get_mut(name) else { continue };
            if is_stale && !known.is_stale {
                tracing::warn!(list = name, url = %feed.url, "the list is stale");
            }
            known.is_stale = is_stale;
            if is_stale && fetched.is_some() && feed.stale == Stale::Empty {
                match kept.set_aside() {
                    Ok(()) => is_changed = true,
                    Err(error) => {
                        tracing::error!(list = name, %error, "a stale list is still used")
                    }
                }
            }
        }
        is_changed
    }

    async fn reload(&self) {
        let reloader = Arc::clone(&self.reloader);
        // The reloader has logged what came of it. A configuration that is refused keeps the new list back until it is
        // mended: the next good reload reads the copy.
        let reloaded =
            tokio::task::spawn_blocking(move || drop(reloader.reload(&Actor::Feeds, None)));
        if let Err(error) = reloaded.await {
            tracing::error!(%error, "the reload after a list was fetched broke off");
        }
    }
}
