//! Copies of a SQLite store by schedule: made while it serves, the oldest removed.
//!
//! A copy is written under another name, brought to the disk and then moved to its own, so that what has a copy's name is
//! a whole one, whatever happened to the process that made it.

use super::{End, told_to_end};
use crate::clock::{Clock, Timestamp};
use crate::metrics::Metrics;
use crate::settings::Backups;
use crate::store::Store;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the schedule is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const PREFIX: &str = "license-";
const SUFFIX: &str = ".db";

/// Keeps the schedule until the service ends.
pub(super) async fn keep(
    store: Arc<dyn Store>,
    schedule: Backups,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<End>,
) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = told_to_end(&mut ended) => return,
        }
        match round(store.as_ref(), &schedule, clock.now()).await {
            Ok(Some(file)) => {
                metrics.backups.with_label_values(&["made"]).inc();
                tracing::info!(file = %file.display(), "a backup was made");
            }
            Ok(None) => {}
            Err(error) => {
                metrics.backups.with_label_values(&["failed"]).inc();
                tracing::error!(%error, directory = %schedule.directory.display(),
                    "no backup was made, the next look tries again");
            }
        }
        if let Some(newest) = newest(&schedule.directory).ok().flatten() {
            metrics.backup_newest.set(i64::try_from(newest.as_secs()).unwrap_or(i64::MAX));
        }
    }
}

/// Makes a copy if the newest is old enough, and removes what is too many.
async fn round(
    store: &dyn Store,
    schedule: &Backups,
    now: Timestamp,
) -> io::Result<Option<PathBuf>> {
    let directory = &schedule.directory;
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // A copy from the future is one of a clock that was set back: it does not hold up the next one for long.
    let due =
        newest(directory)?.is_none_or(|newest| newest > now || now.since(newest) >= schedule.every);
    if !due {
        return Ok(None);
    }
    let part = directory.join("part");
    remove(&part)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = store.backup(part.clone()).await;
    if !matches!(written, Ok(Some(()))) {
        remove(&part)?;
        return Err(io::Error::other("the store wrote no copy"));
    }
    File::open(&part)?.sync_all()?;
    let file = directory.join(format!("{PREFIX}{}{SUFFIX}", now.as_millis()));
    std::fs::rename(&part, &file)?;
    File::open(directory)?.sync_all()?;
    let mut copies = copies(directory)?;
    copies.sort_unstable();
    let surplus = copies.len().saturating_sub(schedule.keep);
    for (_, old) in copies.into_iter().take(surplus) {
        remove(&old)?;
    }
    Ok(Some(file))
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn newest(directory: &Path) -> io::Result<Option<Timestamp>> {
    Ok(copies(directory)?.into_iter().map(|(made, _)| made).max())
}

fn copies(directory: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let mut copies = vec![];
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let made = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        if let Some(made) = made {
            copies.push((Timestamp::from_millis(made), entry.path()));
        }
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::{copies, round};
    use crate::clock::{SystemClock, Timestamp};
    use crate::domain::license::LeaseTerms;
    use crate::settings::Backups;
    use crate::store::sqlite::Sqlite;
    use crate::store::{Leases as _, Role};
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn thirty_copies_are_kept_one_for_each_day() {
        let dir = tempfile::tempdir().unwrap();
        let terms =
            LeaseTerms { ttl: Duration::from_secs(360), age_max: Duration::from_secs(86_400) };
        let open = |name: &str| {
            let path = dir.path().join(name);
            async move { Sqlite::open(&path, Role::Server, terms, Arc::new(SystemClock::new())).await }
        };
        let store = open("l.db").await.unwrap();
        let directory = dir.path().join("backups");
        let schedule =
            Backups { directory: directory.clone(), every: Duration::from_secs(86_400), keep: 30 };
        let day = |day: u64| Timestamp::from_millis((20_000 + day) * 86_400_000);
        for number in 0..33 {
            // What a process that was killed left behind does not stand in the way.
            if number == 5 {
                std::fs::write(directory.join("part"), "half").unwrap();
            }
            assert!(round(&store, &schedule, day(number)).await.unwrap().is_some());
            let soon = Timestamp::from_millis(day(number + 1).as_millis() - 1);
            assert_eq!(round(&store, &schedule, soon).await.unwrap(), None, "a day is not over");
        }
        let mut kept = copies(&directory).unwrap();
        kept.sort_unstable();
        let days: Vec<Timestamp> = kept.iter().map(|(made, _)| *made).collect();
        assert_eq!(days, (3..33).map(day).collect::<Vec<_>>());
        let (_, last) = kept.last().unwrap();
        assert_eq!(std::fs::metadata(last).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::copy(last, dir.path().join("again.db")).unwrap();
        open("again.db").await.unwrap().close().await;
        store.close().await;
    }
}
