//! Watches the directories of every file that the compilation read, and reloads when one of the files may have changed.
//!
//! Directories are watched, not files: editors and deployments replace a file by a rename, and Kubernetes swaps the
//! symbolic link `..data` beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::Reloader;
use crate::audit::Actor;

/// How long it must be quiet after a change: a deployment writes several files.
const QUIET: Duration = Duration::from_millis(300);

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system gives no watch.
    #[error(
        "the configuration's files cannot be watched ({0}); reload by `portcullis reload` or SIGHUP"
    )]
    Notify(#[from] notify::Error),
    /// The system gives no thread.
    #[error("the watch's thread does not start ({0})")]
    Thread(#[from] std::io::Error),
}

/// A running watch. It ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Tells the thread to stop.
    stop: Sender<Signal>,
}

#[derive(Debug)]
enum Signal {
    Event(notify::Result<Event>),
    Stop,
}

impl Watch {
    /// Starts to watch what the served snapshot was made of.
    ///
    /// # Errors
    /// When the system gives no watch or no thread.
    pub fn start(reloader: Arc<Reloader>) -> Result<Self, WatchError> {
        let (stop, signals) = channel();
        let events = stop.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // An error means that the thread has stopped.
            events.send(Signal::Event(event)).unwrap_or_default();
        })?;
        let mut thread = Watching { reloader, watcher, directories: BTreeSet::new() };
        thread.follow();
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || thread.run(&signals))?;
        Ok(Self { stop })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An error means that the thread has stopped.
        self.stop.send(Signal::Stop).unwrap_or_default();
    }
}

struct Watching {
    reloader: Arc<Reloader>,
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

impl Watching {
    /// Reloads when it has been quiet for [`QUIET`] after a change. Only changes that matter put that off: a log beside the
    /// configuration is never quiet.
    fn run(mut self, signals: &Receiver<Signal>) {
        let mut due: Option<Instant> = None;
        loop {
            if due.is_some_and(|due| due <= now()) {
                due = None;
                self.reload();
            }
            let signal = match due {
                Some(due) => signals.recv_timeout(due.saturating_duration_since(now())),
                None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match signal {
                Ok(Signal::Event(Ok(event))) if !concerns(&event, &self.reloader.files()) => {}
                Ok(Signal::Event(Ok(_))) => due = Some(now() + QUIET),
                Ok(Signal::Event(Err(error))) => {
                    tracing::warn!(%error, "the watch lost events; reloading to be sure");
                    due = Some(now() + QUIET);
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn reload(&mut self) {
        // The reloader has logged a refusal.
        drop(self.reloader.reload(&Actor::Watch, None));
        self.follow();
    }

    /// Watches the directories of the files that count now.
    fn follow(&mut self) {
        let wanted = directories(&self.reloader.files());
        for gone in self.directories.difference(&wanted) {
            if let Err(error) = self.watcher.unwatch(gone) {
                tracing::debug!(%error, "a directory that is no longer watched");
            }
        }
        for new in wanted.difference(&self.directories) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(directory = %new.display(), %error, "changes here are not seen");
            }
        }
        self.directories = wanted;
    }
}

#[expect(clippy::disallowed_methods, reason = "what is waited for is the system's events")]
fn now() -> Instant {
    Instant::now()
}

/// The directories whose entries decide what the files hold: of the path, and of what it leads to.
fn directories(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    files.iter().cloned().chain(real).filter_map(|file| directory(&file)).collect()
}

fn directory(file: &Path) -> Option<PathBuf> {
    if file.is_dir() {
        return Some(file.to_owned());
    }
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

/// Says whether an event may have changed one of the files. Logs and databases beside them change all the time.
fn concerns(event: &Event, files: &[PathBuf]) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.need_rescan() || event.paths.iter().any(|path| may_matter(path, files))
}

fn may_matter(path: &Path, files: &[PathBuf]) -> bool {
    let name = path.file_name().unwrap_or_default();
    let swapped = name.as_encoded_bytes().starts_with(b"..");
    let is_one = |file: &PathBuf| file.file_name() == Some(name);
    let is_in_one = |file: &PathBuf| file.is_dir() && path.parent() == Some(file);
    swapped || files.iter().any(|file| is_one(file) || is_in_one(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind};

    #[test]
    fn only_the_files_that_were_read_matter() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        let files = vec![dir.path().join("portcullis.yaml"), rules.clone()];
        for (path, expected) in [
            (dir.path().join("portcullis.yaml"), true),
            (dir.path().join("requests.jsonl"), false),
            (dir.path().join("..data"), true),
            (dir.path().join("..2026_11_22"), true),
            (rules.join("new.conf"), true),
            (dir.path().join("portcullis.yaml~"), false),
        ] {
            let event = |kind| Event::new(kind).add_path(path.clone());
            let created = EventKind::Create(CreateKind::Any);
            assert_eq!(concerns(&event(created), &files), expected, "{}", path.display());
            assert!(!concerns(&event(EventKind::Access(AccessKind::Any)), &files));
        }
        assert_eq!(directories(&files).len(), 2);
    }

    #[test]
    fn the_target_of_a_link_is_watched_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("a.yaml"), "").unwrap();
        let link = dir.path().join("a.yaml");
        std::os::unix::fs::symlink(real.join("a.yaml"), &link).unwrap();
        let watched = directories(&[link]);
        assert!(watched.contains(dir.path()));
        assert!(watched.contains(&real.canonicalize().unwrap()));
    }
}
