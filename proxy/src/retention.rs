//! What has been kept for long enough is deleted: files of logs that were put aside, and evidence.

use std::path::Path;
use std::time::Duration;

use portcullis_config::Timestamp;

use crate::history::paths;

/// Deletes the files of a log that were put aside and whose last line is older than `keep`.
pub(crate) fn expire(log: &Path, keep: Duration, now: Timestamp) {
    match paths(log) {
        Ok((files, _)) => {
            let aside = files.iter().skip(1);
            aside.filter(|file| is_over(file, keep, now)).for_each(|file| delete(file));
        }
        Err(error) => tracing::error!(%error, "old files of the log are not deleted"),
    }
}

/// Deletes the files of a directory of ours that are older than `keep`.
pub(crate) fn expire_directory(directory: &Path, keep: Duration, now: Timestamp) {
    // It is made with the first file.
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let files = entries.flatten().map(|entry| entry.path());
    files.filter(|file| is_over(file, keep, now)).for_each(|file| delete(&file));
}

/// Says whether a file was written last before the time that it is kept.
fn is_over(file: &Path, keep: Duration, now: Timestamp) -> bool {
    let written = std::fs::symlink_metadata(file).ok().filter(std::fs::Metadata::is_file);
    let written = written.and_then(|metadata| metadata.modified().ok());
    let since = written.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    millis.is_some_and(|millis| now.since(Timestamp::from_millis(millis)) >= keep)
}

fn delete(file: &Path) {
    match std::fs::remove_file(file) {
        Ok(()) => tracing::info!(file = %file.display(), "deleted: it was kept for long enough"),
        Err(error) => tracing::error!(%error, file = %file.display(), "it is kept for too long"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn files_are_kept_for_their_time_and_the_one_that_is_written_always() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Duration::from_secs(30 * 24 * 3600);
        let written = Duration::from_secs(1_764_504_000);
        for name in ["log", "log.1", "log.old", "other.1"] {
            let path = directory.path().join(name);
            std::fs::write(&path, "x").unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + written).unwrap();
        }
        let there = || {
            let entries = std::fs::read_dir(directory.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let end = Timestamp::from_millis(u64::try_from((written + keep).as_millis()).unwrap());
        let before = Timestamp::from_millis(end.as_millis() - 1);
        let log = directory.path().join("log");
        expire(&log, keep, before);
        assert_eq!(there(), ["log", "log.1", "log.old", "other.1"], "in time");
        expire(&log, keep, end);
        assert_eq!(there(), ["log", "log.old", "other.1"], "too late for `log.1` only");
        expire_directory(directory.path(), keep, before);
        assert_eq!(there().len(), 3);
        expire_directory(directory.path(), keep, end);
        assert!(there().is_empty());
        expire_directory(&directory.path().join("none"), keep, end);
    }
}
