//! The desk's thread.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use portcullis_incident::Incident;
use tokio::sync::oneshot;

use super::license::LicensePort;
use super::lines::EventLines;
use super::store::{IncidentStore, Stored};
use super::working::{What, Word, Working};
use crate::audit::Audit;
use crate::events::Inbox;
use crate::shared::Shared;

/// Questions of operators that wait.
const QUESTIONS_MAX: usize = 64;

/// What the desk works with.
#[derive(Debug)]
pub struct DeskSettings {
    /// Where event lines go.
    pub lines: EventLines,
    /// Where incidents are kept; without it events are written down and that is all.
    pub store: Option<IncidentStore>,
    /// Where responses are recorded.
    pub audit: Arc<Audit>,
    /// The way to the license service.
    pub license: LicensePort,
    /// The directory of evidence.
    pub evidence: PathBuf,
}

/// The running desk. Dropping it, or [`Self::stop`], writes everything and ends its thread.
pub struct Desk {
    questions: DeskHandle,
    thread: Mutex<Option<JoinHandle<(Inbox, EventLines)>>>,
}

/// Asks the desk.
#[derive(Clone)]
pub struct DeskHandle(Arc<Mutex<Option<SyncSender<Question>>>>);

/// The desk has stopped, or does not keep up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the incident desk does not answer: the process is stopping, or its disk hangs")]
pub struct DeskGone;

pub(super) enum Question {
    Ask(Box<dyn FnOnce(&mut Working) + Send>),
    Stop,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl fmt::Debug for DeskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskHandle")
    }
}

impl Desk {
    /// Takes stored incidents back and starts to work.
    ///
    /// # Errors
    /// When the file cannot be read, or the system gives no thread.
    pub fn start(
        shared: Arc<Shared>,
        inbox: Inbox,
        settings: DeskSettings,
    ) -> std::io::Result<Self> {
        let desk = Self { questions: DeskHandle(Arc::default()), thread: Mutex::new(None) };
        desk.resume(shared, inbox, settings)?;
        Ok(desk)
    }

    /// Goes on after [`Self::stop`]; who asks by a handle from before reaches it again.
    ///
    /// # Errors
    /// When the file cannot be read, or the system gives no thread.
    pub fn resume(
        &self,
        shared: Arc<Shared>,
        inbox: Inbox,
        settings: DeskSettings,
    ) -> std::io::Result<()> {
        let stored = match &settings.store {
            Some(store) => store.read().map_err(std::io::Error::other)?,
            None => Stored::default(),
        };
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        let working = Working::new(shared, settings, stored);
        let thread = std::thread::Builder::new()
            .name("incidents".to_owned())
            .spawn(move || working.run(inbox, &asked))?;
        *self.questions.held() = Some(questions);
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Returns the incidents as they stand, the oldest first; none once it has stopped. Blocks until the desk answers.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        let (reply, answer) = sync_channel(1);
        let ask = Question::Ask(Box::new(move |desk| {
            // Who asked may have gone.
            reply.send(desk.correlator().incidents().to_vec()).unwrap_or_default();
        }));
        let asked = self.questions.held().clone().is_some_and(|desk| desk.send(ask).is_ok());
        if asked { answer.recv().unwrap_or_default() } else { Vec::new() }
    }

    /// Says that an incident is over, as `portcullis incidents resolve` does; `false` where there is none such, or it was
    /// over before. Blocks until it is on disk.
    #[must_use]
    pub fn resolve(&self, id: &str, by: &str) -> bool {
        let (reply, answer) = sync_channel(1);
        let word = Word { what: What::Resolve, by: by.to_owned(), reason: None };
        let id = id.to_owned();
        let ask = Question::Ask(Box::new(move |desk| {
            let now = desk.now();
            reply.send(desk.change(&id, &word, now).is_ok()).unwrap_or_default();
        }));
        let asked = self.questions.held().clone().is_some_and(|desk| desk.send(ask).is_ok());
        asked && answer.recv().unwrap_or_default()
    }

    /// Returns what asks the desk.
    #[must_use]
    pub fn handle(&self) -> DeskHandle {
        self.questions.clone()
    }

    /// Works off what waits, writes it and ends the thread. Returns the inbox and the log, for whoever goes on; `None`
    /// where it has stopped before.
    pub fn stop(&self) -> Option<(Inbox, EventLines)> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if let Some(questions) = self.questions.held().take() {
            // An error means that the thread has ended.
            questions.send(Question::Stop).unwrap_or_default();
        }
        let left = thread.join();
        if left.is_err() {
            tracing::error!("the incident desk broke off");
        }
        left.ok()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

impl DeskHandle {
    fn held(&self) -> MutexGuard<'_, Option<SyncSender<Question>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the desk run `question` between two events and returns its answer.
    ///
    /// # Errors
    /// When the desk has stopped or too many ask.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Working) -> T + Send + 'static,
    ) -> Result<T, DeskGone> {
        let (reply, answer) = oneshot::channel();
        // Who asked may have gone.
        let asked = Question::Ask(Box::new(move |desk| drop(reply.send(question(desk)))));
        let questions = self.held().clone().ok_or(DeskGone)?;
        questions.try_send(asked).map_err(|_| DeskGone)?;
        answer.await.map_err(|_| DeskGone)
    }
}
