//! The thread that encrypts and writes, and the bounded queue in front of it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use portcullis_config::model;
use prometheus::IntCounter;

use super::{reader, seal};
use crate::atomic_file::{self, SECRET};
use crate::log::{Line, RequestRecord};
use crate::metrics::Metrics;

/// Records that wait for the writer; what comes beyond is dropped and counted.
pub(crate) const QUEUE_RECORDS_MAX: usize = 1024;
/// Bytes of heads and bodies that wait for the writer; what comes beyond is dropped and counted.
pub(crate) const QUEUE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How the name of each file ends.
const EXTENSION: &str = "capture";

/// One request, as a worker hands it over.
#[derive(Debug)]
pub(crate) struct Captured {
    /// What the request log says of it.
    pub(crate) record: RequestRecord,
    /// The head as it was judged, as HTTP/1.1 writes one, its empty line included.
    pub(crate) head: Vec<u8>,
    /// The body as it was inspected, empty where the request has none; `None` if nobody holds it.
    pub(crate) body: Option<Bytes>,
}

/// Why nothing can be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The directory cannot be made.
    #[error("the directory of captures `{}` cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing can be encrypted to the key: it is no point of the curve that may be used.
    #[error("nothing can be encrypted to `log.capture.key`")]
    Key(#[source] rustls::Error),
    /// The system gives no thread.
    #[error("the capture's writer thread does not start")]
    Thread(#[source] io::Error),
}

/// Takes requests on any thread; one thread of its own encrypts and writes them.
pub struct Capture {
    settings: model::Capture,
    queue: SyncSender<Message>,
    queued_bytes: Arc<AtomicU64>,
    seen: AtomicU64,
    dropped: IntCounter,
    bodies_left_out: IntCounter,
}

enum Message {
    Request(Box<Captured>),
    Flush(SyncSender<()>),
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capture")
    }
}

impl Captured {
    fn bytes(&self) -> u64 {
        (self.head.len() + self.body.as_ref().map_or(0, Bytes::len)) as u64
    }
}

impl Capture {
    /// Makes the directory, tries the key and starts the writer.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn start(settings: &model::Capture, metrics: &Metrics) -> Result<Self, CaptureError> {
        let directory = &settings.directory;
        atomic_file::private_directory(directory)
            .map_err(|source| CaptureError::Directory { path: directory.clone(), source })?;
        seal::seal(b"", settings.key).map_err(CaptureError::Key)?;
        let (capture, requests) = Self::queue(settings, metrics);
        let count = |outcome| metrics.captures.with_label_values(&[outcome]);
        let writer = Writer {
            settings: settings.clone(),
            file: None,
            files: 0,
            queued_bytes: Arc::clone(&capture.queued_bytes),
            written: count("written"),
            lost: count("lost"),
        };
        let thread = std::thread::Builder::new().name("capture".to_owned());
        thread.spawn(move || writer.run(&requests)).map_err(CaptureError::Thread)?;
        Ok(capture)
    }

    /// Makes the queue, and the end of it that a writer reads.
    fn queue(settings: &model::Capture, metrics: &Metrics) -> (Self, Receiver<Message>) {
        let (queue, requests) = sync_channel(QUEUE_RECORDS_MAX);
        let capture = Self {
            settings: settings.clone(),
            queue,
            queued_bytes: Arc::new(AtomicU64::new(0)),
            seen: AtomicU64::new(0),
            dropped: metrics.captures.with_label_values(&["dropped"]),
            bodies_left_out: metrics.capture_bodies_left_out.clone(),
        };
        (capture, requests)
    }

    /// Says whether a request is captured: each that was refused, and one in so many of all.
    pub(crate) fn wants(&self, is_refused: bool) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        let sampled = self.settings.sample_one_in;
        is_refused || sampled.is_some_and(|one_in| seen.is_multiple_of(u64::from(one_in.get())))
    }

    /// Hands a request over; drops and counts it where the writer has fallen behind. Never blocks.
    pub(crate) fn take(&self, mut captured: Captured) {
        let is_large =
            captured.body.as_ref().is_some_and(|body| body.len() as u64 > self.settings.body_max);
        if is_large {
            captured.body = None;
            self.bodies_left_out.inc();
        }
        let bytes = captured.bytes();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= QUEUE_BYTES_MAX;
        if !fits || self.queue.try_send(Message::Request(Box::new(captured))).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Waits until everything handed over before is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // An error means that the writer is gone; then there is nothing to wait for.
            wait.recv().unwrap_or_default();
        }
    }
}

struct Writer {
    settings: model::Capture,
    /// The file that is written, and its bytes.
    file: Option<(File, u64)>,
    /// Files that this process has begun.
    files: u64,
    queued_bytes: Arc<AtomicU64>,
    written: IntCounter,
    lost: IntCounter,
}

impl Writer {
    /// Runs until every sender is gone.
    fn run(mut self, requests: &Receiver<Message>) {
        while let Ok(message) = requests.recv() {
            match message {
                Message::Request(captured) => {
                    self.keep(&captured);
                    self.queued_bytes.fetch_sub(captured.bytes(), Ordering::Relaxed);
                }
                // The one who asked may have gone.
                Message::Flush(done) => done.send(()).unwrap_or_default(),
            }
        }
    }

    fn keep(&mut self, captured: &Captured) {
        let mut line = Vec::new();
        captured.record.write_line(&mut line);
        let plain = reader::plain(&line, &captured.head, captured.body.as_deref());
        let done = match seal::seal(&plain, self.settings.key) {
            Ok(sealed) => self.write(&sealed, captured.record.time.as_millis()),
            Err(error) => Err(io::Error::other(error)),
        };
        match done {
            Ok(()) => self.written.inc(),
            Err(error) => {
                // What may stand there in part does not swallow the next record.
                self.file = None;
                self.lost.inc();
                tracing::error!(%error, "a captured request is lost");
            }
        }
    }

    fn write(&mut self, sealed: &str, millis: u64) -> io::Result<()> {
        let bytes = sealed.len() as u64;
        let full = |(_, size): &(File, u64)| size.saturating_add(bytes) > self.settings.file_max;
        if self.file.as_ref().is_none_or(full) {
            self.file = None;
            self.make_room()?;
            self.file = Some(self.begin(millis)?);
        }
        if let Some((file, size)) = &mut self.file {
            file.write_all(sealed.as_bytes())?;
            *size += bytes;
        }
        Ok(())
    }

    /// Begins a file. Names sort by time, and those of two processes differ.
    fn begin(&mut self, millis: u64) -> io::Result<(File, u64)> {
        let number = self.files;
        self.files += 1;
        let name = format!("{millis:013}-{}-{number:06}.{EXTENSION}", std::process::id());
        let path = self.settings.directory.join(name);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(SECRET).open(path)?;
        let first = seal::first_line(self.settings.key) + "\n";
        file.write_all(first.as_bytes())?;
        Ok((file, first.len() as u64))
    }

    /// Removes the oldest files, so that there is room for one more.
    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.settings.directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_capture(path))
            .collect();
        files.sort();
        let keep = (self.settings.files_max as usize).saturating_sub(1);
        let surplus = files.len().saturating_sub(keep);
        files.iter().take(surplus).try_for_each(fs::remove_file)
    }
}

fn is_capture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture whose writer has fallen behind: nobody reads its queue.
    fn unread(body_max: u64) -> (Capture, Receiver<Message>) {
        let key = crate::capture::key::KeyPair::generate().unwrap().public;
        let settings = model::Capture {
            key,
            directory: PathBuf::new(),
            sample_one_in: None,
            body_max,
            file_max: 32 << 20,
            files_max: 2,
        };
        Capture::queue(&settings, &Metrics::new())
    }

    fn request(body: usize) -> Captured {
        let body = Some(Bytes::from(vec![b'x'; body]));
        Captured { record: crate::log::tests::record(), head: Vec::new(), body }
    }

    #[test]
    fn requests_wait_up_to_the_queues_length() {
        for (what, requests, dropped) in [
            ("one under", QUEUE_RECORDS_MAX - 1, 0),
            ("at it", QUEUE_RECORDS_MAX, 0),
            ("one over", QUEUE_RECORDS_MAX + 1, 1),
        ] {
            let (capture, waiting) = unread(1024);
            (0..requests).for_each(|_| capture.take(request(0)));
            assert_eq!(capture.dropped.get(), dropped, "{what}");
            assert_eq!(waiting.try_iter().count(), requests.min(QUEUE_RECORDS_MAX), "{what}");
        }
    }

    #[test]
    fn heads_and_bodies_wait_up_to_the_queues_bytes() {
        let half = usize::try_from(QUEUE_BYTES_MAX / 2).unwrap();
        for (what, last, dropped) in
            [("one under", half - 1, 0), ("at it", half, 0), ("one over", half + 1, 1)]
        {
            let (capture, waiting) = unread(QUEUE_BYTES_MAX);
            [half, last].into_iter().for_each(|body| capture.take(request(body)));
            assert_eq!(capture.dropped.get(), dropped, "{what}");
            assert!(capture.queued_bytes.load(Ordering::Relaxed) <= QUEUE_BYTES_MAX, "{what}");
            drop(waiting);
        }
    }
}
