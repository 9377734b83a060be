//! The writer thread of a log, and the bounded channel in front of it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_config::model::LogTarget;
use prometheus::IntCounter;

use super::RequestRecord;
use super::line::Line;
use crate::metrics::Metrics;

/// Records that wait for the writer; what comes beyond is dropped and counted.
pub(crate) const QUEUE_RECORDS_MAX: usize = 8192;
/// Bytes gathered before one write.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the writer lets lines gather: the most that a line is late by.
const REST: Duration = Duration::from_millis(5);

/// Where lines go.
#[derive(Clone, Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to, created with mode 0640.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// A buffer that a test reads.
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl From<&LogTarget> for Target {
    fn from(target: &LogTarget) -> Self {
        match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File(path.clone()),
            LogTarget::Off => Self::Off,
        }
    }
}

/// Why a log does not open.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file does not open for appending.
    #[error("the log `{}` does not open for appending", path.display())]
    Open {
        /// The file as configured.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gives us no thread.
    #[error("the log's writer thread does not start")]
    Thread(#[source] io::Error),
}

/// The request log: one line per request.
pub type RequestLog = Log<RequestRecord>;

/// A log: records go in on any thread and leave on the writer's.
pub struct Log<T> {
    queue: SyncSender<Message<T>>,
    dropped: IntCounter,
}

enum Message<T> {
    Record(Box<T>),
    Reopen,
    Flush(SyncSender<()>),
    /// Do this while nobody writes, and open the file anew.
    Pause(Box<dyn FnOnce() + Send>),
}

impl<T> fmt::Debug for Log<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl<T: Line> Log<T> {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the file does not open, or no thread can be had.
    pub fn open(target: Target, metrics: &Metrics) -> Result<Self, LogError> {
        let dropped = metrics.log_dropped.with_label_values(&[T::LOG]);
        let sink = Sink::open(&target)?;
        let (log, records) = Self::queue(dropped.clone());
        let writer = Writer {
            target,
            sink,
            batch: Vec::with_capacity(BATCH_BYTES),
            batch_lines: 0,
            written: metrics.log_lines.with_label_values(&[T::LOG]),
            dropped,
        };
        std::thread::Builder::new()
            .name(format!("log-{}", T::LOG))
            .spawn(move || writer.run(&records))
            .map_err(LogError::Thread)?;
        Ok(log)
    }

    /// Makes the queue, and the end of it that a writer reads.
    fn queue(dropped: IntCounter) -> (Self, Receiver<Message<T>>) {
        let (queue, records) = sync_channel(QUEUE_RECORDS_MAX);
        (Self { queue, dropped }, records)
    }

    /// Hands a record over; drops and counts it if the writer has fallen behind. Never blocks.
    pub fn record(&self, record: impl Into<T>) {
        if self.queue.try_send(Message::Record(Box::new(record.into()))).is_err() {
            self.dropped.inc();
        }
    }

    /// Opens the file anew after the records before: for log rotation. Blocks while the queue is full.
    pub fn reopen(&self) {
        if self.queue.send(Message::Reopen).is_err() {
            tracing::error!(log = T::LOG, "the log's writer is gone");
        }
    }

    /// Writes every record handed over before, does `work` while nobody writes, and opens the file anew. Returns what came
    /// of the work; `None` where the writer is gone. Blocks until then.
    pub(crate) fn pause<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Option<R> {
        let (done, wait) = sync_channel(1);
        // Who asked waits.
        let work = Message::Pause(Box::new(move || done.send(work()).unwrap_or_default()));
        self.queue.send(work).ok()?;
        wait.recv().ok()
    }

    /// Waits until every record handed over before is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // An error means that the writer is gone; then there is nothing to wait for.
            wait.recv().unwrap_or_default();
        }
    }
}

/// Where bytes go.
pub(crate) enum Sink {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(File),
    Off,
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl Sink {
    pub(crate) fn open(target: &Target) -> Result<Self, LogError> {
        Ok(match target {
            Target::Stdout => Self::Stdout(io::stdout()),
            Target::Stderr => Self::Stderr(io::stderr()),
            Target::File(path) => Self::File(open_file(path)?),
            Target::Off => Self::Off,
            Target::Memory(buffer) => Self::Memory(Arc::clone(buffer)),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::Stderr(stderr) => stderr.write_all(bytes),
            Self::File(file) => file.write_all(bytes),
            Self::Off => Ok(()),
            Self::Memory(buffer) => {
                buffer.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

fn open_file(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    opened.map_err(|source| LogError::Open { path: path.to_owned(), source })
}

struct Writer {
    target: Target,
    sink: Sink,
    batch: Vec<u8>,
    batch_lines: u64,
    written: IntCounter,
    dropped: IntCounter,
}

impl Writer {
    /// Runs until every sender is gone. Writes what has gathered, then lets more gather: a sender pays for waking a
    /// thread that waits, and one that rests is not woken.
    fn run<T: Line>(mut self, records: &Receiver<Message<T>>) {
        while let Ok(first) = records.recv() {
            self.take(first);
            while let Ok(next) = records.try_recv() {
                self.take(next);
            }
            self.write_batch();
            std::thread::sleep(REST);
        }
    }

    fn take<T: Line>(&mut self, message: Message<T>) {
        match message {
            Message::Record(record) => {
                record.write_line(&mut self.batch);
                self.batch_lines += 1;
                if self.batch.len() >= BATCH_BYTES {
                    self.write_batch();
                }
            }
            Message::Reopen => {
                self.write_batch();
                self.reopen();
            }
            Message::Pause(work) => {
                self.write_batch();
                work();
                self.reopen();
            }
            Message::Flush(done) => {
                self.write_batch();
                // The one who asked may have gone; the batch is written all the same.
                done.send(()).unwrap_or_default();
            }
        }
    }

    fn write_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.sink.write(&self.batch) {
            Ok(()) => self.written.inc_by(self.batch_lines),
            Err(error) => {
                self.dropped.inc_by(self.batch_lines);
                tracing::error!(%error, lines = self.batch_lines, "log lines are lost");
            }
        }
        self.batch.clear();
        self.batch_lines = 0;
    }

    /// Keeps the old file where the new one does not open: lines in the wrong file are better than none.
    fn reopen(&mut self) {
        match Sink::open(&self.target) {
            Ok(sink) => self.sink = sink,
            Err(error) => tracing::error!(%error, "the log stays in its old file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_up_to_the_queues_length() {
        for (what, records, dropped) in [
            ("one under", QUEUE_RECORDS_MAX - 1, 0),
            ("at it", QUEUE_RECORDS_MAX, 0),
            ("one over", QUEUE_RECORDS_MAX + 1, 1),
        ] {
            let count = IntCounter::new("dropped", "dropped records").unwrap();
            // Nobody reads: the writer has fallen behind.
            let (log, waiting) = RequestLog::queue(count.clone());
            (0..records).for_each(|_| log.record(crate::log::tests::record()));
            assert_eq!(count.get(), dropped, "{what}");
            let kept = waiting.try_iter().count();
            assert_eq!(kept, records.min(QUEUE_RECORDS_MAX), "{what}");
        }
    }
}
