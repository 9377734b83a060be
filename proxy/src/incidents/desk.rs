//! The desk's thread.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_incident::correlator::NoChange;
use portcullis_incident::event::{Placed, Taken};
use portcullis_incident::{Change, ChangeKind, Correlator, Detectors, Event, Incident, detector};
use tokio::sync::oneshot;

use super::lines::EventLines;
use super::store::{Changes, IncidentStore, Stored};
use crate::events::{Inbox, Message};
use crate::gate::request_id;
use crate::shared::Shared;

/// Incidents that are kept; then the oldest one that is over goes.
pub(crate) const INCIDENTS_MAX: usize = 2000;
/// Groups that scenarios track.
const GROUPS_MAX: usize = 50_000;
/// Events that are worked through before what operators ask is answered.
const EVENTS_AT_ONCE: usize = 1024;
/// How long the desk waits for events: the most that an operator waits for an answer, and how exact escalation is.
const WAIT: Duration = Duration::from_millis(20);
/// How long the growing count of an incident may wait for the disk. Everything else is written at once.
const COUNT_WAITS: Duration = Duration::from_millis(250);
/// Questions of operators that wait.
const QUESTIONS_MAX: usize = 64;

/// What the desk works with.
#[derive(Debug)]
pub struct DeskSettings {
    /// Where event lines go.
    pub lines: EventLines,
    /// Where incidents are kept; without it events are written down and that is all.
    pub store: Option<IncidentStore>,
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

enum Question {
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
            reply.send(desk.correlator.incidents().to_vec()).unwrap_or_default();
        }));
        let asked = self.questions.held().clone().is_some_and(|desk| desk.send(ask).is_ok());
        if asked { answer.recv().unwrap_or_default() } else { Vec::new() }
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

/// An operator's word about an incident.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) what: What,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

/// What an operator says of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Somebody works on it.
    Acknowledge,
    /// It can do no more harm.
    Contain,
    /// It is over.
    Resolve,
}

/// Why an operator's word has no effect, or is not kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ChangeRefused {
    /// There is no such incident, or it stands there already.
    #[error(transparent)]
    NoChange(#[from] NoChange),
    /// The disk refuses.
    #[error("the change holds, and is not on disk: see the log; it is tried again")]
    NotStored,
}

/// How much of an operator's reason a timeline keeps.
const REASON_CHARS_MAX: usize = 256;

fn cut(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// What the thread holds.
pub(crate) struct Working {
    shared: Arc<Shared>,
    lines: EventLines,
    store: Option<IncidentStore>,
    detectors: Detectors,
    correlator: Correlator,
    /// Incidents whose record on disk is old.
    dirty: BTreeSet<String>,
    /// Whether more than counts has changed.
    is_urgent: bool,
    written: Timestamp,
    swept: Timestamp,
}

impl Working {
    fn new(shared: Arc<Shared>, settings: DeskSettings, stored: Stored) -> Self {
        let now = shared.clock.now();
        let correlator =
            Correlator::restore(stored.incidents, INCIDENTS_MAX).numbered_after(stored.numbered);
        Self {
            shared,
            lines: settings.lines,
            store: settings.store,
            detectors: Detectors::new(detector::built_in(), GROUPS_MAX),
            correlator,
            dirty: BTreeSet::new(),
            is_urgent: false,
            written: now,
            swept: now,
        }
    }

    fn run(mut self, inbox: Inbox, asked: &Receiver<Question>) -> (Inbox, EventLines) {
        if self.store.is_none() {
            self.lines.never_rotate();
        }
        let mut is_stopping = false;
        while !is_stopping {
            let first = inbox.wait(WAIT);
            self.work_off(&inbox, first);
            while let Ok(question) = asked.try_recv() {
                // What is answered survives whatever comes.
                self.save(true);
                match question {
                    Question::Ask(question) => question(&mut self),
                    Question::Stop => is_stopping = true,
                }
            }
            if is_stopping {
                while let Some(message) = inbox.next() {
                    self.work_off(&inbox, Some(message));
                }
            }
            self.pass();
            self.save(is_stopping);
        }
        self.lines.write();
        (inbox, self.lines)
    }

    fn work_off(&mut self, inbox: &Inbox, first: Option<Message>) {
        let mut replies = Vec::new();
        let more = std::iter::from_fn(|| inbox.next()).take(EVENTS_AT_ONCE);
        for message in first.into_iter().chain(more) {
            match message {
                Message::Event(event) => self.observe(*event),
                Message::Reopen => self.lines.reopen(),
                Message::Flush(reply) => replies.push(reply),
            }
        }
        for event in inbox.added_up() {
            self.observe(event);
        }
        self.lines.write();
        if !replies.is_empty() {
            self.save(true);
        }
        for reply in replies {
            // Who asked may have gone; everything is written all the same.
            reply.send(()).unwrap_or_default();
        }
    }

    fn observe(&mut self, mut event: Event) {
        let now = self.shared.clock.now();
        if event.id.is_empty() {
            event.id = request_id(event.at);
        }
        // A rule in preview is being tried: what it finds is written down and is no incident.
        if self.store.is_none() || event.taken == Taken::Previewed {
            return self.lines.add(&event.to_json(&Placed::default()));
        }
        let raised = self.detectors.observe(&event, now);
        for event in std::iter::once(event).chain(raised) {
            let (changes, placed) = self.correlator.observe(&event, now);
            self.note(&changes);
            self.lines.add(&event.to_json(&placed));
        }
    }

    /// Takes note of what changed.
    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            self.dirty.insert(change.incident.clone());
            self.is_urgent |= change.kind != ChangeKind::Joined;
        }
    }

    /// Does what time does.
    fn pass(&mut self) {
        let now = self.shared.clock.now();
        let changes = self.correlator.tick(now);
        self.note(&changes);
        if now.since(self.swept) >= Duration::from_secs(60) {
            self.swept = now;
            self.detectors.sweep(now);
        }
        self.count();
    }

    fn count(&self) {
        let figures = self.correlator.figures();
        let metrics = &self.shared.metrics;
        metrics.incidents_open.set(i64::try_from(figures.open).unwrap_or(i64::MAX));
        let unanswered =
            figures.unanswered_total.saturating_sub(metrics.incidents_unanswered.get());
        metrics.incidents_unanswered.inc_by(unanswered);
    }

    /// Writes what is not on disk, if it is time to.
    fn save(&mut self, is_due: bool) {
        let now = self.shared.clock.now();
        let is_due = is_due || self.is_urgent || now.since(self.written) >= COUNT_WAITS;
        let Some(store) = self.store.as_ref().filter(|_| is_due && !self.dirty.is_empty()) else {
            return;
        };
        self.dirty.extend(self.correlator.take_forgotten());
        let record =
            |id: &String| (id.clone(), self.correlator.find(id).map(|one| one.to_record()));
        let changes = Changes {
            incidents: self.dirty.iter().map(record).collect(),
            numbered: self.correlator.numbered(),
        };
        match store.write(&changes) {
            Ok(()) => {
                self.dirty.clear();
                self.is_urgent = false;
                self.written = now;
            }
            Err(error) => {
                self.shared.metrics.incident_write_errors.inc();
                tracing::error!(%error, "incidents are not stored; tried again");
            }
        }
    }

    /// The incidents.
    pub(crate) const fn correlator(&self) -> &Correlator {
        &self.correlator
    }

    /// Makes an operator's change and stores it.
    pub(crate) fn change(
        &mut self,
        id: &str,
        word: &Word,
        now: Timestamp,
    ) -> Result<Incident, ChangeRefused> {
        let by = word.by.as_str();
        let change = match word.what {
            What::Acknowledge => self.correlator.acknowledge(id, by, now),
            What::Contain => self.correlator.contain(id, by, now),
            What::Resolve => self.correlator.resolve(id, by, now),
        }?;
        if let Some(reason) = &word.reason {
            self.correlator.note(id, format!("{by}: {}", cut(reason)), now);
        }
        self.note(&[change]);
        self.stored(id)
    }

    /// Writes, and returns the incident as it is on disk.
    fn stored(&mut self, id: &str) -> Result<Incident, ChangeRefused> {
        self.save(true);
        if !self.dirty.is_empty() {
            return Err(ChangeRefused::NotStored);
        }
        let found = self.correlator.find(id).cloned();
        found.ok_or_else(|| NoChange::Unknown(id.to_owned()).into())
    }
}
