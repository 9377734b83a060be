//! What the desk's thread holds and does: events in, incidents and responses out, in an order that survives being killed
//! at any point.

mod alerts;
mod letters;
mod measured;
mod responses;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::LogTarget;
use portcullis_incident::correlator::NoChange;
use portcullis_incident::event::{Placed, Taken};
use portcullis_incident::{
    Category, Change, ChangeKind, Correlator, Detectors, Event, Incident, Responder, Response,
    Scenario,
};
use serde_json::Value;

use super::desk::{DeskSettings, Question};
use super::hands::Hands;
use super::letter::Letter;
use super::lines::EventLines;
use super::settings;
use super::store::{Changes, IncidentStore, Stored};
use letters::Post;
use measured::Measured;

pub(crate) use letters::LETTERS_MAX;

use crate::erasure::{self, Rewrite};
use crate::events::{Inbox, Message};
use crate::gate::request_id;
use crate::retention;
use crate::shared::Shared;

/// Incidents that are kept; then the oldest one that is over goes.
pub(crate) const INCIDENTS_MAX: usize = 2000;
/// Groups that scenarios track.
const GROUPS_MAX: usize = 50_000;
/// Sources of which it is known who shares them.
const SOURCES_MAX: usize = 50_000;
/// Events that evidence is gathered from.
const EVENTS_KEPT: usize = 1000;
/// Events that are worked through before what operators ask is answered.
const EVENTS_AT_ONCE: usize = 1024;
/// How long the desk waits for events: the most that an operator waits for an answer, and how exact escalation is.
const WAIT: Duration = Duration::from_millis(20);
/// How long the growing count of an incident may wait for the disk. Everything else is written at once.
const COUNT_WAITS: Duration = Duration::from_millis(250);
/// How much of an operator's reason a timeline keeps.
const REASON_CHARS_MAX: usize = 256;

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
    /// What was done about it is taken back.
    Undo,
}

/// Why an operator's word has no effect, or is not kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ChangeRefused {
    /// There is no such incident, or it stands there already.
    #[error(transparent)]
    NoChange(#[from] NoChange),
    /// Nothing that was done holds.
    #[error("nothing that was done about incident `{0}` holds: there is nothing to take back")]
    NothingHolds(String),
    /// The disk refuses.
    #[error("the change holds, and is not on disk: see the log; it is tried again")]
    NotStored,
}

/// What the thread holds.
pub(crate) struct Working {
    shared: Arc<Shared>,
    lines: EventLines,
    store: Option<IncidentStore>,
    detectors: Detectors,
    /// The scenarios that they hold.
    scenarios: Arc<Vec<Scenario>>,
    correlator: Correlator,
    responder: Responder,
    hands: Hands,
    post: Post,
    /// Responses that have ended, or that an operator took back, until they are taken back indeed.
    ending: Vec<Response>,
    /// When what did not succeed is tried again.
    again: Timestamp,
    /// The generation whose settings hold.
    generation: u64,
    /// The last events, for evidence.
    recent: VecDeque<Value>,
    /// What was withheld and is in a timeline.
    withheld: HashSet<(String, String)>,
    /// Incidents whose record on disk is old.
    dirty: BTreeSet<String>,
    /// Responses whose record on disk is old.
    dirty_responses: BTreeSet<u64>,
    /// Whether more than counts has changed.
    is_urgent: bool,
    /// Whether the disk refused the last write.
    is_store_failing: bool,
    written: Timestamp,
    swept: Timestamp,
    measured: Measured,
}

impl Working {
    pub(super) fn new(shared: Arc<Shared>, desk: DeskSettings, stored: Stored) -> Self {
        let now = shared.clock.now();
        let snapshot = shared.snapshot.load_full();
        let correlator =
            Correlator::restore(stored.incidents, INCIDENTS_MAX).numbered_after(stored.numbered);
        let mut responder = Responder::new(settings::of(&shared), SOURCES_MAX);
        responder.begin(now);
        let hands = Hands {
            shared: Arc::clone(&shared),
            audit: desk.audit,
            license: desk.license,
            evidence: desk.evidence,
        };
        let post = Post::new(stored.letters, stored.told, hands.license.runtime().clone(), now);
        let taken_back = |one: &&Response| one.is_undone && one.is_done;
        let ending = stored.responses.iter().filter(taken_back).cloned().collect();
        responder.restore(stored.responses);
        for response in responder.active().iter().filter(|one| one.is_done && !one.is_dry_run) {
            hands.put_back(response, now);
        }
        let mut lines = desk.lines;
        lines.set(&snapshot.config.log, &shared, hands.license.runtime());
        Self {
            lines,
            store: desk.store,
            detectors: Detectors::new(snapshot.scenarios.to_vec(), GROUPS_MAX),
            scenarios: Arc::clone(&snapshot.scenarios),
            correlator,
            responder,
            hands,
            post,
            ending,
            again: now,
            generation: snapshot.generation,
            recent: VecDeque::new(),
            withheld: HashSet::new(),
            dirty: BTreeSet::new(),
            dirty_responses: BTreeSet::new(),
            is_urgent: false,
            is_store_failing: false,
            written: now,
            swept: now,
            measured: Measured::begin(now),
            shared,
        }
    }

    pub(super) fn run(mut self, inbox: Inbox, asked: &Receiver<Question>) -> (Inbox, EventLines) {
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
            self.act();
            self.deliver();
        }
        self.save(true);
        self.lines.write();
        (inbox, self.lines)
    }

    fn work_off(&mut self, inbox: &Inbox, first: Option<Message>) {
        let mut replies = Vec::new();
        let more = std::iter::from_fn(|| inbox.next()).take(EVENTS_AT_ONCE);
        for message in first.into_iter().chain(more) {
            match message {
                Message::Event(event) => self.observe(*event),
                Message::Everyday(event) => self.see(&event),
                Message::Line(line) => self.lines.add(&line),
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
            self.act();
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
            self.place(&event, now);
        }
    }

    /// Shows scenarios what goes on every day: only what they make of it is written down. When it happened counts, not
    /// when the desk comes to it: a journey is a matter of times.
    fn see(&mut self, event: &Event) {
        let now = self.shared.clock.now();
        if let (Category::Session, Some(address), Some(subject)) =
            (event.category, event.source_ip, &event.actor.subject)
        {
            self.responder.note_valid(address, subject, now);
        }
        if self.store.is_none() {
            return;
        }
        for raised in self.detectors.observe(event, event.at) {
            let id = request_id(event.at);
            self.shared.events.count(&raised);
            self.place(&Event { id, ..raised }, now);
        }
    }

    /// Puts an event where it belongs, answers it, and writes it down.
    fn place(&mut self, event: &Event, now: Timestamp) {
        let (changes, mut placed) = self.correlator.observe(event, now);
        self.note(&changes);
        placed.response = self.plan(&placed, event, now);
        let line = event.to_json(&placed);
        self.lines.add(&line);
        if placed.incident_id.is_some() {
            self.keep(line);
        }
    }

    fn keep(&mut self, line: Value) {
        if self.recent.len() >= EVENTS_KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(line);
    }

    /// Takes note of what changed.
    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            self.dirty.insert(change.incident.clone());
            if change.kind != ChangeKind::Joined {
                self.is_urgent = true;
                self.write_letters(change, self.shared.clock.now());
            }
        }
    }

    /// Adds a line to a timeline.
    fn tell(&mut self, incident: &str, what: String, now: Timestamp) {
        self.correlator.note(incident, what, now);
        self.dirty.insert(incident.to_owned());
        self.is_urgent = true;
    }

    /// Does what time does.
    fn pass(&mut self) {
        let now = self.shared.clock.now();
        let generation = self.shared.snapshot.load().generation;
        if generation != self.generation {
            self.generation = generation;
            self.responder.set(settings::of(&self.shared));
            self.take_scenarios();
            let config = Arc::clone(&self.shared.snapshot.load().config);
            self.lines.set(&config.log, &self.shared, self.hands.license.runtime());
        }
        let changes = self.correlator.tick(now);
        self.note(&changes);
        self.end(now);
        self.measure(now);
        if now.since(self.swept) >= Duration::from_secs(60) {
            self.swept = now;
            self.detectors.sweep(now);
            self.expire(now);
        }
        self.count();
    }

    /// Deletes what has been kept for long enough. What a successor writes as well is the successor's.
    fn expire(&mut self, now: Timestamp) {
        if self.store.is_none() {
            return;
        }
        let config = Arc::clone(&self.shared.snapshot.load().config);
        let keep = config.log.keep;
        if let Some(keep) = keep.security {
            self.lines.expire(keep, now);
        }
        if let (Some(keep), LogTarget::File(path)) = (keep.access, &config.log.requests) {
            retention::expire(path, keep, now);
        }
        if let Some(keep) = keep.evidence {
            retention::expire_directory(&self.hands.evidence, keep, now);
        }
    }

    /// Counts by the scenarios of a new configuration. Where they are the same, what was counted stays.
    fn take_scenarios(&mut self) {
        let scenarios = Arc::clone(&self.shared.snapshot.load().scenarios);
        if scenarios != self.scenarios {
            self.detectors = Detectors::new(scenarios.to_vec(), GROUPS_MAX);
            self.scenarios = scenarios;
        }
    }

    fn count(&self) {
        let figures = self.correlator.figures();
        let metrics = &self.shared.metrics;
        metrics.incidents_open.set(i64::try_from(figures.open).unwrap_or(i64::MAX));
        let before = metrics.incidents_unanswered.get();
        metrics.incidents_unanswered.inc_by(figures.unanswered_total.saturating_sub(before));
    }

    /// Writes what is not on disk, if it is time to. Says whether everything is there.
    fn save(&mut self, is_due: bool) -> bool {
        let now = self.shared.clock.now();
        let forgotten = self.correlator.take_forgotten();
        self.post.forget(&forgotten);
        self.dirty.extend(forgotten);
        let is_told = self.post.dirty.is_empty() && self.post.dirty_told.is_empty();
        if self.dirty.is_empty() && self.dirty_responses.is_empty() && is_told {
            return true;
        }
        let is_due = is_due || self.is_urgent || now.since(self.written) >= COUNT_WAITS;
        let Some(store) = self.store.as_ref().filter(|_| is_due) else { return false };
        let incident =
            |id: &String| (id.clone(), self.correlator.find(id).map(Incident::to_record));
        let response = |number: &u64| (*number, self.response(*number).map(Response::to_record));
        let letter = |number: &u64| (*number, self.post.letter(*number).map(Letter::to_record));
        let told = |id: &String| {
            let names = self.post.told(id).map(|names| names.iter().cloned().collect::<Vec<_>>());
            (id.clone(), names.map(|names| names.join(" ")))
        };
        let changes = Changes {
            letters: self.post.dirty.iter().map(letter).collect(),
            told: self.post.dirty_told.iter().map(told).collect(),
            incidents: self.dirty.iter().map(incident).collect(),
            responses: self.dirty_responses.iter().map(response).collect(),
            numbered: self.correlator.numbered(),
        };
        match store.write(&changes) {
            Ok(()) => {
                self.dirty.clear();
                self.dirty_responses.clear();
                self.post.dirty.clear();
                self.post.dirty_told.clear();
                self.is_urgent = false;
                self.is_store_failing = false;
                self.written = now;
                true
            }
            Err(error) => {
                self.is_store_failing = true;
                self.shared.metrics.incident_write_errors.inc();
                tracing::error!(%error, "incidents are not stored; tried again");
                false
            }
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The incidents.
    pub(crate) const fn correlator(&self) -> &Correlator {
        &self.correlator
    }

    /// Ends the rewriting of the event log's files, and blanks a name in incidents that are over. Returns how many lines and
    /// incidents were erased, and which incidents name it and are not over.
    pub(crate) fn erase(
        &mut self,
        rewrites: Vec<Rewrite>,
        name: &str,
    ) -> std::io::Result<(u64, usize, Vec<String>)> {
        let lines = self.lines.pause(|| erasure::finish(rewrites))?;
        let (erased, open) = self.correlator.erase(name);
        self.dirty.extend(erased.iter().cloned());
        if !self.save(true) {
            return Err(std::io::Error::other("the incident file cannot be written: see the log"));
        }
        self.recent.clear();
        Ok((lines, erased.len(), open))
    }

    /// Makes an operator's change and stores it.
    pub(crate) fn change(
        &mut self,
        id: &str,
        word: &Word,
        now: Timestamp,
    ) -> Result<Incident, ChangeRefused> {
        let by = word.by.as_str();
        match word.what {
            What::Acknowledge => {
                let change = self.correlator.acknowledge(id, by, now)?;
                self.note(&[change]);
            }
            What::Contain => {
                let change = self.correlator.contain(id, by, now)?;
                self.note(&[change]);
            }
            What::Resolve => {
                let change = self.correlator.resolve(id, by, now)?;
                self.note(&[change]);
            }
            What::Undo => self.undo(id, by, now)?,
        }
        if let Some(reason) = &word.reason {
            let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
            self.tell(id, format!("{by}: {reason}"), now);
        }
        if !self.save(true) {
            return Err(ChangeRefused::NotStored);
        }
        if word.what == What::Undo {
            self.end(now);
            self.save(true);
        }
        let found = self.correlator.find(id).cloned();
        found.ok_or_else(|| NoChange::Unknown(id.to_owned()).into())
    }
}
