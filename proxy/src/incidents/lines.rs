//! The event log: lines to a stream or a file, which is put aside when it is full, and to the sinks.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{self, EventFormat};
use portcullis_incident::export;
use prometheus::IntCounter;
use tokio::runtime::Handle;

use crate::history::{Entry, LINE_BYTES_MAX};
use crate::log::{LogError, Sink, Target};
use crate::metrics::Metrics;
use crate::retention;
use crate::shared::Shared;
use crate::sinks::Sinks;

/// Bytes gathered before one write.
const BATCH_BYTES: usize = 64 * 1024;
/// How old a file may be whose lines have an age.
const FILE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// Bytes of a file, after which a new one begins.
    pub file_max: u64,
    /// Files that are kept, the one that is written among them; the oldest is removed.
    pub files_max: u32,
}

/// The log, open for writing.
pub struct EventLines {
    target: Target,
    sink: Sink,
    rotation: Rotation,
    /// Bytes in the file.
    written: u64,
    /// When its first line was written, as far as it is known.
    begun: Option<Timestamp>,
    batch: Vec<u8>,
    batch_lines: u64,
    format: EventFormat,
    sinks: Sinks,
    lines: IntCounter,
    dropped: IntCounter,
}

impl std::fmt::Debug for EventLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLines").field("target", &self.target).finish_non_exhaustive()
    }
}

impl EventLines {
    /// Opens the target.
    ///
    /// # Errors
    /// When the file does not open.
    pub fn open(target: Target, rotation: Rotation, metrics: &Metrics) -> Result<Self, LogError> {
        let sink = Sink::open(&target)?;
        Ok(Self {
            written: length(&target),
            begun: begun(&target),
            target,
            sink,
            rotation,
            batch: Vec::with_capacity(BATCH_BYTES),
            batch_lines: 0,
            format: EventFormat::Json,
            sinks: Sinks::default(),
            lines: metrics.log_lines.with_label_values(&["events"]),
            dropped: metrics.log_dropped.with_label_values(&["events"]),
        })
    }

    /// Takes what a configuration says of the format and of the sinks.
    pub(super) fn set(&mut self, log: &model::Log, shared: &Arc<Shared>, runtime: &Handle) {
        self.format = log.events_format;
        self.sinks.set(&log.sinks, shared, runtime);
    }

    /// Ends the sinks; waits for what they still have to send, for five seconds at most. Must not be called on a
    /// runtime's own thread.
    pub(crate) fn finish(&mut self, runtime: &Handle) {
        self.sinks.finish(runtime);
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &serde_json::Value) {
        self.sinks.offer(line);
        self.batch.extend_from_slice(export::line(self.format, line).as_bytes());
        self.batch.push(b'\n');
        self.batch_lines += 1;
        if self.batch.len() >= BATCH_BYTES {
            self.write();
        }
    }

    /// Writes what has gathered.
    pub(super) fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let bytes = self.batch.len() as u64;
        if self.written > 0 && self.written.saturating_add(bytes) > self.rotation.file_max {
            self.rotate();
        }
        match self.sink.write(&self.batch) {
            Ok(()) => {
                self.written = self.written.saturating_add(bytes);
                self.lines.inc_by(self.batch_lines);
            }
            Err(error) => {
                self.dropped.inc_by(self.batch_lines);
                tracing::error!(%error, lines = self.batch_lines, "lines of the event log are lost");
            }
        }
        self.batch.clear();
        self.batch_lines = 0;
    }

    /// Opens the file anew, after somebody else has moved it.
    pub(super) fn reopen(&mut self) {
        self.write();
        match Sink::open(&self.target) {
            Ok(sink) => {
                self.sink = sink;
                self.written = length(&self.target);
                self.begun = begun(&self.target);
            }
            Err(error) => tracing::error!(%error, "the event log stays in its old file"),
        }
    }

    /// Puts a file aside that is older than a day, or than lines may be, so that its first lines are not kept for the sake
    /// of its last ones; and deletes what is older than lines may be.
    pub(super) fn expire(&mut self, keep: Duration, now: Timestamp) {
        let Target::File(path) = &self.target else { return };
        let path = path.clone();
        let age = keep.min(FILE_AGE_MAX);
        if self.written > 0 && now.since(*self.begun.get_or_insert(now)) >= age {
            self.write();
            self.rotate();
        }
        retention::expire(&path, keep, now);
    }

    /// Does `work` while nobody writes, and opens the file anew.
    pub(super) fn pause<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.write();
        let done = work();
        self.reopen();
        done
    }

    /// Leaves the files to a process that writes them as well: full ones stay where they are.
    pub(super) fn never_rotate(&mut self) {
        self.rotation.file_max = u64::MAX;
    }

    /// Moves every file one number up, the oldest out, and begins a new one. Where the system refuses, the old one goes
    /// on: lines in a file that is too long are better than none.
    fn rotate(&mut self) {
        let Target::File(path) = &self.target else {
            self.written = 0;
            return;
        };
        let path = path.clone();
        for number in (1..self.rotation.files_max).rev() {
            let from = if number == 1 { path.clone() } else { numbered(&path, number - 1) };
            if let Err(error) = std::fs::rename(&from, numbered(&path, number))
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::error!(%error, file = %from.display(), "the event log is not put aside");
            }
        }
        if self.rotation.files_max <= 1 {
            drop(std::fs::remove_file(&path));
        }
        match Sink::open(&self.target) {
            Ok(sink) => {
                self.sink = sink;
                self.written = length(&self.target);
                self.begun = None;
            }
            Err(error) => tracing::error!(%error, "the event log stays in its old file"),
        }
    }
}

/// When the first line of a file was written, as it says.
fn begun(target: &Target) -> Option<Timestamp> {
    let Target::File(path) = target else { return None };
    let mut line = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    BufReader::new(file.take(LINE_BYTES_MAX as u64)).read_until(b'\n', &mut line).ok()?;
    let (entry, _) = Entry::of_line(line.strip_suffix(b"\n")?)?;
    Some(entry.at)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn length(target: &Target) -> u64 {
    match target {
        Target::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Target::Stdout | Target::Stderr | Target::Off | Target::Memory(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let rotation = Rotation { file_max: 20, files_max: 3 };
        let mut lines =
            EventLines::open(Target::File(path.clone()), rotation, &Metrics::new()).unwrap();
        // Each line has eight bytes: two fit a file.
        for n in 10..19 {
            lines.add(&json!({ "n": n }));
            lines.write();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "{\"n\":18}\n");
        assert_eq!(read(&numbered(&path, 1)), "{\"n\":16}\n{\"n\":17}\n");
        assert_eq!(read(&numbered(&path, 2)), "{\"n\":14}\n{\"n\":15}\n");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let rotation = Rotation { file_max: 1 << 20, files_max: 2 };
        let mut lines =
            EventLines::open(Target::File(path.clone()), rotation, &Metrics::new()).unwrap();
        lines.add(&json!(1));
        lines.write();
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        lines.add(&json!(2));
        lines.reopen();
        lines.add(&json!(3));
        lines.write();
        assert_eq!(std::fs::read_to_string(dir.path().join("moved")).unwrap(), "1\n2\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3\n");
    }

    #[test]
    fn a_file_whose_lines_have_an_age_is_put_aside_after_a_day_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let rotation = Rotation { file_max: 1 << 20, files_max: 9 };
        let open =
            || EventLines::open(Target::File(path.clone()), rotation, &Metrics::new()).unwrap();
        let keep = Duration::from_secs(30 * 24 * 3600);
        let begun = Timestamp::from_secs(1_764_504_000);
        let line = json!({ "type": "xss", "timestamp": crate::log::rfc3339(begun) });
        let mut lines = open();
        lines.add(&line);
        lines.write();
        drop(lines);
        let day = FILE_AGE_MAX;
        let mut lines = open();
        lines.expire(keep, begun.plus(day - Duration::from_millis(1)));
        assert!(!numbered(&path, 1).exists(), "in time");
        lines.expire(keep, begun.plus(day));
        assert!(numbered(&path, 1).exists(), "too late for the first line");
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        // An empty file is not put aside.
        lines.expire(keep, begun.plus(day * 3));
        assert!(!numbered(&path, 2).exists());
    }
}
