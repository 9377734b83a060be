//! Lists that are fetched: their last good copies in the state directory, and the task that renews them.
//!
//! A compilation reads the copies like any other file, so that a list is published with a whole snapshot and a request
//! sees one version of it. The task fetches what is due, judges the answer, replaces the copy and asks for a reload. What
//! is no list, empty, or less than half of what was there changes nothing.

mod judge;
mod keeper;
mod kept;

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{Config, Feed, ListSource};
use portcullis_policy::IpSet;
use tokio::task::JoinSet;

use crate::egress::{Egress, EgressError, Fetched, Request};
pub use judge::Rejected;
pub(crate) use judge::{judge, read};
pub use keeper::FeedKeeper;
pub(crate) use kept::Kept;

/// The largest list that is fetched: four million prefixes are below it.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a fetch may take while requests are served.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How long the start waits for lists that have never been fetched.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a list was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nothing was fetched.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// What was fetched is not believed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The copy cannot be written.
    #[error("its copy cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

impl FeedError {
    /// Returns the metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Egress(error) => error.label(),
            Self::Rejected(rejected) => rejected.label(),
            Self::Disk(_) => "disk",
        }
    }
}

/// What a good answer was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Renewed {
    /// Whether the copy holds something else than before.
    pub(crate) is_changed: bool,
    /// The tag for the next request.
    pub(crate) etag: Option<String>,
}

/// Fetches the lists that have no copy yet, so that an edge starts with them. What cannot be had is told and left to the
/// task; whether the edge may start without it is the compilation's question.
pub async fn prime(config: &Config, now: Timestamp) {
    let Some(egress) = Egress::of(&config.egress) else { return };
    let egress = std::sync::Arc::new(egress);
    let mut fetches = JoinSet::new();
    for (name, feed) in of(config) {
        let kept = Kept::of(&config.state_dir, name, &feed.url);
        match kept.read() {
            Ok(Some(bytes)) if read(name, &bytes).is_ok() => continue,
            // A copy that was damaged where it lay is worth nothing.
            Ok(Some(_)) => drop(kept.set_aside()),
            Ok(None) | Err(_) => {}
        }
        let (name, feed, egress) = (name.to_owned(), feed.clone(), std::sync::Arc::clone(&egress));
        fetches.spawn(async move {
            let fresh = Renewal { feed: &feed, kept: &kept, etag: None, last: None };
            if let Err(error) = renew(&egress, fresh, START_TIME_MAX, now).await {
                tracing::warn!(list = %name, url = %feed.url, "the list is not fetched: {error}");
            }
        });
    }
    while fetches.join_next().await.is_some() {}
}

/// Returns the lists of a configuration that are fetched.
pub(crate) fn of(config: &Config) -> impl Iterator<Item = (&str, &Feed)> {
    config.lists.iter().filter_map(|(name, source)| match source {
        ListSource::Feed(feed) => Some((name.as_str(), feed)),
        ListSource::File(_) | ListSource::Include(_) => None,
    })
}

/// One list to renew.
pub(crate) struct Renewal<'a> {
    feed: &'a Feed,
    kept: &'a Kept,
    etag: Option<&'a str>,
    /// What is served of it; `None` where there is nothing, or nothing that is young enough to be compared with.
    last: Option<&'a IpSet>,
}

/// Fetches, judges and keeps one list.
async fn renew(
    egress: &Egress,
    renewal: Renewal<'_>,
    time_max: Duration,
    now: Timestamp,
) -> Result<Renewed, FeedError> {
    let Renewal { feed, kept, etag, last } = renewal;
    let request = Request { url: &feed.url, etag, bytes_max: BYTES_MAX, time_max };
    match egress.fetch(request).await? {
        Fetched::NotModified => {
            kept.confirm(now)?;
            Ok(Renewed { is_changed: false, etag: etag.map(str::to_owned) })
        }
        Fetched::Body { bytes, etag } => {
            judge(&feed.url, &bytes, last)?;
            let is_changed = kept.read()?.as_deref() != Some(bytes.as_slice());
            if is_changed {
                kept.replace(&bytes)?;
            }
            kept.confirm(now)?;
            Ok(Renewed { is_changed, etag })
        }
    }
}

#[cfg(test)]
mod tests;
