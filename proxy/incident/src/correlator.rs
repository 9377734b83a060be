//! Puts events together into incidents: one per cause, whatever the number of events. It raises and lowers priorities,
//! notices that nobody answers, and closes what has become quiet. What it does it returns as values.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_config::Timestamp;

use crate::category::{Category, Priority, Scope};
use crate::event::{Event, Placed, date};
use crate::incident::{Incident, Status, base_priority};
use crate::source;

/// How long after its resolution an incident opens again instead of a new one.
const REOPEN: Duration = Duration::from_secs(24 * 3600);
/// How quiet an answered incident must be to become less urgent again.
const LOWER_AFTER: Duration = Duration::from_secs(15 * 60);
/// How often an unanswered P0 is paged again.
const UNANSWERED_MAX: u32 = 12;

/// What became of an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It is new.
    Opened,
    /// An event was added; nobody is told.
    Joined,
    /// It is more urgent than before.
    Raised(Priority),
    /// It is less urgent than before.
    Lowered(Priority),
    /// Nobody answered in time.
    Unanswered(Priority),
    /// Somebody answered.
    Acknowledged(String),
    /// Somebody says that it can do no more harm.
    Contained(String),
    /// It is over; by whom, or by quiet.
    Resolved(Option<String>),
    /// It is back.
    Reopened,
}

/// A change of one incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The incident's id.
    pub incident: String,
    /// What changed.
    pub kind: ChangeKind,
    /// When.
    pub at: Timestamp,
}

/// Why an operator's word has no effect.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoChange {
    /// No incident has the id.
    #[error("no incident `{0}`")]
    Unknown(String),
    /// It stands there already, or is over.
    #[error("incident `{0}` is {1}")]
    Already(String, &'static str),
}

/// The correlator's own figures, for the metrics page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CorrelatorFigures {
    /// Incidents that are not over.
    pub open: u64,
    /// Incidents opened.
    pub opened_total: u64,
    /// Times that nobody answered in time.
    pub unanswered_total: u64,
    /// Incidents forgotten at the cap.
    pub dropped_total: u64,
}

/// The last number that was given, with its day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbered {
    /// Year, month and day in UTC.
    pub day: (u64, u64, u64),
    /// The number.
    pub number: u32,
}

impl Numbered {
    /// Reads `INC-YYYY-MM-DD-NNN`.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix("INC-")?.split('-');
        let mut next = || parts.next()?.parse::<u64>().ok();
        let (day, number) = ((next()?, next()?, next()?), next()?);
        Some(Self { day, number: number.try_into().ok()? })
    }
}

impl std::fmt::Display for Numbered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.day;
        write!(f, "INC-{year:04}-{month:02}-{day:02}-{:03}", self.number)
    }
}

/// Every incident that is not forgotten.
#[derive(Debug)]
pub struct Correlator {
    incidents: Vec<Incident>,
    by_key: HashMap<String, String>,
    incidents_max: usize,
    /// Ids that were forgotten at the cap, for the store.
    forgotten: Vec<String>,
    today: ((u64, u64, u64), u32),
    figures: CorrelatorFigures,
}

impl Correlator {
    /// Makes a correlator that keeps at most so many incidents. At the cap the oldest one that is over goes, or, where
    /// none is, the least urgent.
    #[must_use]
    pub fn new(incidents_max: usize) -> Self {
        Self {
            incidents: Vec::new(),
            by_key: HashMap::new(),
            incidents_max: incidents_max.max(1),
            forgotten: Vec::new(),
            today: ((0, 0, 0), 0),
            figures: CorrelatorFigures::default(),
        }
    }

    /// Blanks somebody's name in every incident that is over. Returns the ids of these, and of those that name them and
    /// are not over: they are worked on, and stay as they are.
    pub fn erase(&mut self, name: &str) -> (Vec<String>, Vec<String>) {
        let (mut erased, mut open) = (Vec::new(), Vec::new());
        for incident in self.incidents.iter_mut().filter(|incident| incident.names(name)) {
            if !incident.is_resolved() {
                open.push(incident.id.clone());
                continue;
            }
            if self.by_key.get(&incident.dedup_key) == Some(&incident.id) {
                self.by_key.remove(&incident.dedup_key);
            }
            incident.erase(name);
            self.by_key.insert(incident.dedup_key.clone(), incident.id.clone());
            erased.push(incident.id.clone());
        }
        (erased, open)
    }

    /// Takes stored incidents back, as after a restart. Numbers go on after the highest of each day.
    #[must_use]
    pub fn restore(mut incidents: Vec<Incident>, incidents_max: usize) -> Self {
        let mut correlator = Self::new(incidents_max);
        // Of several with one key the newest is the one that goes on.
        incidents.sort_by_key(|incident| incident.first_seen);
        for incident in incidents {
            let numbered = Numbered::of(&incident.id).unwrap_or_default();
            correlator.today = correlator.today.max((numbered.day, numbered.number));
            correlator.by_key.insert(incident.dedup_key.clone(), incident.id.clone());
            correlator.incidents.push(incident);
        }
        correlator
    }

    /// Goes on numbering after this one, as after a restart: what was forgotten at the cap had a number too.
    #[must_use]
    pub fn numbered_after(mut self, numbered: Numbered) -> Self {
        self.today = self.today.max((numbered.day, numbered.number));
        self
    }

    /// Returns the last number that was given.
    #[must_use]
    pub const fn numbered(&self) -> Numbered {
        Numbered { day: self.today.0, number: self.today.1 }
    }

    /// Puts an event into its incident, if it belongs to one or opens one. Returns what changed and what the event's
    /// log line says of it.
    pub fn observe(&mut self, event: &Event, now: Timestamp) -> (Vec<Change>, Placed) {
        let key = dedup_key(event);
        let known = self.by_key.get(&key).cloned().or_else(|| self.of_nobody(event, &key));
        let index = known.and_then(|id| self.incidents.iter().rposition(|i| i.id == id));
        let stands = |i: &Incident| !i.is_resolved() || now.since(i.last_seen) < REOPEN;
        let index = index.filter(|at| self.incidents.get(*at).is_some_and(stands));
        let by_scenario = event.scenario.is_some() && event.category.opens_by_scenario();
        let opens = by_scenario || event.category.opens_alone();
        match index {
            Some(index) => self.join(index, event, now),
            None if opens => self.open(key, event, now),
            None => (Vec::new(), Placed::default()),
        }
    }

    /// Does what time does: raises what nobody answers, lowers what has calmed down, closes what is quiet.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for incident in self.incidents.iter_mut().filter(|incident| !incident.is_resolved()) {
            let kind = if is_quiet(incident, now) {
                Some(ChangeKind::Resolved(None))
            } else if is_unanswered(incident, now) {
                self.figures.unanswered_total += 1;
                Some(ChangeKind::Unanswered(incident.priority.raised()))
            } else {
                calmer(incident, now).map(ChangeKind::Lowered)
            };
            changes.extend(kind.map(|kind| apply(incident, kind, now)));
        }
        changes
    }

    /// Notes that somebody answers an incident.
    ///
    /// # Errors
    /// When there is none such, or it is not open.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Change, NoChange> {
        self.change(id, &[Status::Open], ChangeKind::Acknowledged(by.to_owned()), now)
    }

    /// Notes that an incident can do no more harm.
    ///
    /// # Errors
    /// When there is none such, or it is contained or over.
    pub fn contain(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Change, NoChange> {
        let from = [Status::Open, Status::Acknowledged];
        self.change(id, &from, ChangeKind::Contained(by.to_owned()), now)
    }

    /// Notes that an incident is over.
    ///
    /// # Errors
    /// When there is none such, or it is over.
    pub fn resolve(&mut self, id: &str, by: &str, now: Timestamp) -> Result<Change, NoChange> {
        let from = [Status::Open, Status::Acknowledged, Status::Contained];
        self.change(id, &from, ChangeKind::Resolved(Some(by.to_owned())), now)
    }

    /// Finds an incident.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.id == id)
    }

    /// Finds the incident of an alert, by what its sender calls it.
    #[must_use]
    pub fn of_alert(&self, alert: &str) -> Option<&Incident> {
        self.find(self.by_key.get(&key(Category::Alert, "", alert))?)
    }

    /// Adds a line to an incident's timeline.
    pub fn note(&mut self, id: &str, what: String, now: Timestamp) {
        if let Some(incident) = self.incidents.iter_mut().find(|incident| incident.id == id) {
            incident.note(what, now);
        }
    }

    /// Notes that something holds that stops an incident's cause. The first time counts.
    pub fn note_contained(&mut self, id: &str, now: Timestamp) {
        if let Some(incident) = self.incidents.iter_mut().find(|incident| incident.id == id) {
            incident.contained_at.get_or_insert(now);
        }
    }

    /// Takes the ids that were forgotten at the cap since it was last asked.
    pub fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }

    /// Returns every incident, the oldest first.
    #[must_use]
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Returns the correlator's figures.
    #[must_use]
    pub fn figures(&self) -> CorrelatorFigures {
        let open = self.incidents.iter().filter(|incident| !incident.is_resolved()).count();
        CorrelatorFigures { open: open as u64, ..self.figures }
    }

    /// The newest incident of its kind that is not over, for an event that says only of what kind it is: under a flood the
    /// rest is added up so, and is no incident of its own beside the one that it belongs to.
    fn of_nobody(&self, event: &Event, key: &str) -> Option<String> {
        let is_nobodys = match event.category.scope() {
            Scope::Subject | Scope::Source | Scope::Route => key.ends_with('|'),
            Scope::Alert | Scope::Node => false,
        };
        let is_like = |one: &&Incident| one.category == event.category && !one.is_resolved();
        let newest = self.incidents.iter().rev().find(is_like).filter(|_| is_nobodys);
        newest.map(|one| one.id.clone())
    }

    fn open(&mut self, key: String, event: &Event, now: Timestamp) -> (Vec<Change>, Placed) {
        if self.incidents.len() >= self.incidents_max {
            self.drop_one();
        }
        // An event that comes late, over midnight, does not begin its day anew.
        let day = date(now).max(self.today.0);
        let number = if self.today.0 == day { self.today.1 + 1 } else { 1 };
        self.today = (day, number);
        self.figures.opened_total += 1;
        let mut incident = Incident::open(self.numbered(), key.clone(), event);
        let change = apply(&mut incident, ChangeKind::Opened, now);
        let placed = placed(&incident);
        self.by_key.insert(key, incident.id.clone());
        self.incidents.push(incident);
        (vec![change], placed)
    }

    fn join(&mut self, index: usize, event: &Event, now: Timestamp) -> (Vec<Change>, Placed) {
        let incident = self.incidents.get_mut(index).expect("the index was just found");
        let was_resolved = incident.is_resolved();
        incident.join(event);
        let first = if was_resolved { ChangeKind::Reopened } else { ChangeKind::Joined };
        let mut changes = vec![apply(incident, first, now)];
        let by_evidence = incident.priority_by_evidence(base_priority(event));
        if by_evidence > incident.priority {
            changes.push(apply(incident, ChangeKind::Raised(by_evidence), now));
        }
        (changes, placed(incident))
    }

    fn change(
        &mut self,
        id: &str,
        from: &[Status],
        kind: ChangeKind,
        now: Timestamp,
    ) -> Result<Change, NoChange> {
        let found = self.incidents.iter_mut().find(|incident| incident.id == id);
        let incident = found.ok_or_else(|| NoChange::Unknown(id.to_owned()))?;
        if !from.contains(&incident.status) {
            return Err(NoChange::Already(id.to_owned(), incident.status.as_str()));
        }
        Ok(apply(incident, kind, now))
    }

    fn drop_one(&mut self) {
        let order = |(_, i): &(usize, &Incident)| (!i.is_resolved(), i.priority, i.last_seen);
        let least = self.incidents.iter().enumerate().min_by_key(order).map(|(at, _)| at);
        if let Some(at) = least {
            let gone = self.incidents.remove(at);
            // A newer incident may have taken the key over.
            if self.by_key.get(&gone.dedup_key) == Some(&gone.id) {
                self.by_key.remove(&gone.dedup_key);
            }
            self.figures.dropped_total += 1;
            self.forgotten.push(gone.id);
        }
    }
}

/// Returns the key under which events of one cause meet.
fn dedup_key(event: &Event) -> String {
    let of_source = || event.source_ip.map(|ip| source::text(&source::of_client(ip)));
    let about = match event.category.scope() {
        Scope::Subject => event.actor.subject.clone().or_else(of_source),
        Scope::Source => of_source(),
        Scope::Route => Some(event.route.clone()),
        Scope::Alert => event.alert.clone(),
        Scope::Node => None,
    };
    let tenant = match event.category.scope() {
        Scope::Subject => event.actor.tenant.as_deref().unwrap_or_default(),
        Scope::Source | Scope::Route | Scope::Alert | Scope::Node => "",
    };
    key(event.category, tenant, &about.unwrap_or_default())
}

fn key(category: Category, tenant: &str, about: &str) -> String {
    format!("{}|{tenant}|{about}", category.as_str())
}

fn placed(incident: &Incident) -> Placed {
    Placed {
        incident_id: Some(incident.id.clone()),
        dedup_key: Some(incident.dedup_key.clone()),
        priority: Some(incident.priority),
        response: None,
    }
}

/// Makes a change and writes it into the timeline, so that nothing changes unseen.
fn apply(incident: &mut Incident, kind: ChangeKind, now: Timestamp) -> Change {
    let what = match &kind {
        ChangeKind::Opened => Some(format!("opened at {}", incident.priority.as_str())),
        ChangeKind::Joined => None,
        ChangeKind::Raised(to) => Some(format!("raised to {} by evidence", to.as_str())),
        ChangeKind::Lowered(to) => Some(format!("lowered to {}, it has calmed down", to.as_str())),
        ChangeKind::Unanswered(to) => Some(format!("nobody answered, now {}", to.as_str())),
        ChangeKind::Acknowledged(by) => Some(format!("acknowledged by {by}")),
        ChangeKind::Contained(by) => Some(format!("contained by {by}")),
        ChangeKind::Resolved(Some(by)) => Some(format!("resolved by {by}")),
        ChangeKind::Resolved(None) => Some("resolved by quiet".to_owned()),
        ChangeKind::Reopened => Some("reopened".to_owned()),
    };
    match &kind {
        ChangeKind::Opened | ChangeKind::Joined => {}
        ChangeKind::Raised(to) => {
            incident.priority = *to;
            incident.waiting_since = now;
        }
        ChangeKind::Lowered(to) => incident.priority = *to,
        ChangeKind::Unanswered(to) => {
            incident.priority = *to;
            incident.waiting_since = now;
            incident.unanswered += 1;
        }
        ChangeKind::Acknowledged(_) => incident.status = Status::Acknowledged,
        ChangeKind::Contained(_) => {
            incident.status = Status::Contained;
            incident.contained_at.get_or_insert(now);
        }
        ChangeKind::Resolved(_) => incident.status = Status::Resolved,
        ChangeKind::Reopened => {
            incident.status = Status::Open;
            incident.waiting_since = now;
            incident.unanswered = 0;
        }
    }
    if let Some(what) = what {
        incident.note(what, now);
    }
    Change { incident: incident.id.clone(), kind, at: now }
}

fn is_unanswered(incident: &Incident, now: Timestamp) -> bool {
    incident.status == Status::Open
        && incident.unanswered < UNANSWERED_MAX
        && now.since(incident.waiting_since) >= incident.priority.response_time()
}

/// What is quiet for long enough is over; a P0 never by itself, and an alert when its sender says so: while it fires it is
/// told again after hours only.
fn is_quiet(incident: &Incident, now: Timestamp) -> bool {
    if incident.category == Category::Alert {
        return false;
    }
    let quiet = match (incident.category.priority(), incident.priority) {
        (_, Priority::P0) => return false,
        (Priority::P3, _) => Duration::from_secs(30 * 60),
        (Priority::P0 | Priority::P1 | Priority::P2, _) => Duration::from_secs(2 * 3600),
    };
    now.since(incident.last_seen) >= quiet
}

/// Returns the priority to fall back to: the table's, when somebody has answered and nothing new comes.
fn calmer(incident: &Incident, now: Timestamp) -> Option<Priority> {
    let base = incident.category.priority();
    let is_answered = matches!(incident.status, Status::Acknowledged | Status::Contained);
    let has_calmed = now.since(incident.last_seen) >= LOWER_AFTER;
    let is_lowerable = incident.category != Category::TenantBreach;
    (is_answered && has_calmed && is_lowerable && base < incident.priority).then_some(base)
}

#[cfg(test)]
mod tests;
