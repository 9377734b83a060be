//! What is done about an incident, as values: each with an end, an undo and a reason. The shell carries them out. What
//! nobody may turn into a weapon is held back here: the allow-list, sources that several subjects share, evidence that
//! is too thin, and a cap per time.

mod action;
mod plan;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;

use crate::category::Category;
use crate::event::Event;
use crate::incident::Incident;
pub use action::{Action, ActionKind, Target, Withheld};
pub use plan::{PlanRule, default_plan};
use shared::SharedSources;

/// How responses are made.
#[derive(Clone)]
pub struct ResponseSettings {
    /// Write down what would be done, and do nothing.
    pub dry_run: bool,
    /// How long a ban, a limit or a suspension lasts.
    pub duration: Duration,
    /// How many foreign objects a subject must ask for before it is suspended. One may be a bookmark.
    pub breach_objects_min: usize,
    /// How many responses there may be in [`Self::cap_window`].
    pub responses_max: usize,
    /// The time that the cap is for.
    pub cap_window: Duration,
    /// What each kind of incident asks for.
    pub plan: Vec<PlanRule>,
    /// How long after its start a responder bans no source: it does not know yet who shares one.
    pub learn: Duration,
    /// Whom no automation touches.
    pub allow: Arc<dyn Fn(&Target) -> bool + Send + Sync>,
}

impl Default for ResponseSettings {
    /// An hour each, three objects, a hundred responses in ten minutes, nobody on the list.
    fn default() -> Self {
        Self {
            dry_run: false,
            duration: Duration::from_secs(3600),
            breach_objects_min: 3,
            responses_max: 100,
            cap_window: Duration::from_secs(600),
            plan: default_plan(),
            learn: Duration::ZERO,
            allow: Arc::new(|_| false),
        }
    }
}

impl std::fmt::Debug for ResponseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseSettings")
            .field("dry_run", &self.dry_run)
            .field("duration", &self.duration)
            .field("breach_objects_min", &self.breach_objects_min)
            .field("responses_max", &self.responses_max)
            .field("cap_window", &self.cap_window)
            .field("plan", &self.plan)
            .field("learn", &self.learn)
            .finish_non_exhaustive()
    }
}

/// Something that is done, or would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// A number that grows.
    pub number: u64,
    /// The incident that it answers.
    pub incident: String,
    /// What is done.
    pub action: Action,
    /// Since when.
    pub since: Timestamp,
    /// Until when; then it is undone.
    pub until: Timestamp,
    /// Whether it is only written down.
    pub is_dry_run: bool,
    /// Whether the shell has carried it out.
    pub is_done: bool,
    /// Whether an operator has taken it back: until its end it is not done again for the same incident.
    pub is_undone: bool,
}

/// What an event led to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Planned {
    /// To be carried out now.
    pub responses: Vec<Response>,
    /// What was considered and not done, and why.
    pub withheld: Vec<(Action, Withheld)>,
}

/// Plans responses and remembers which hold.
#[derive(Debug)]
pub struct Responder {
    settings: ResponseSettings,
    active: Vec<Response>,
    /// What operators took back, until its time is over.
    undone: Vec<Response>,
    recent: VecDeque<Timestamp>,
    shared: SharedSources,
    next: u64,
    /// When it began to learn who shares a source: with the first thing that it was told.
    begun: Option<Timestamp>,
}

impl Responder {
    /// Makes a responder that tracks the valid sessions of at most so many sources.
    #[must_use]
    pub fn new(settings: ResponseSettings, sources_max: usize) -> Self {
        let shared = SharedSources::new(sources_max);
        let (active, undone, recent) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { settings, active, undone, recent, shared, next: 1, begun: None }
    }

    /// Goes on by other settings, as after a reload. What holds goes on.
    pub fn set(&mut self, settings: ResponseSettings) {
        self.settings = settings;
    }

    /// Says since when this responder learns who shares a source.
    pub const fn begin(&mut self, now: Timestamp) {
        self.begun = Some(now);
    }

    /// Notes that a verified subject uses a source. A source that several use is an office: it is never banned.
    pub fn note_valid(&mut self, address: std::net::IpAddr, subject: &str, now: Timestamp) {
        self.shared.note(address, subject, now);
    }

    /// Plans what an event of an incident asks for. What holds already is not done twice.
    pub fn plan(&mut self, incident: &Incident, event: &Event, now: Timestamp) -> Planned {
        let mut planned = Planned::default();
        for action in plan::wanted(&self.settings.plan, incident, event, now) {
            if self.holds(&action, incident) {
                continue;
            }
            match self.why_not(&action, incident, now) {
                Some(why) => planned.withheld.push((action, why)),
                None => planned.responses.push(self.start(incident, action, now)),
            }
        }
        planned
    }

    /// Returns the responses that have ended; the shell undoes those that no operator took back before.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Response> {
        let is_over = |held: &Response| held.until <= now;
        let (mut ended, active): (Vec<_>, Vec<_>) = self.active.drain(..).partition(is_over);
        self.active = active;
        let (over, undone): (Vec<_>, Vec<_>) = self.undone.drain(..).partition(is_over);
        self.undone = undone;
        ended.extend(over);
        ended
    }

    /// Takes back every response to an incident, by an operator's word, and does none of them again for it before its
    /// time is over. Returns them; the shell undoes them.
    pub fn undo(&mut self, incident: &str) -> Vec<Response> {
        let (undone, active): (Vec<_>, Vec<_>) =
            self.active.drain(..).partition(|held| held.incident == incident);
        self.active = active;
        let undone: Vec<_> =
            undone.into_iter().map(|one| Response { is_undone: true, ..one }).collect();
        self.undone.extend(undone.iter().cloned());
        undone
    }

    /// Returns the responses that hold.
    #[must_use]
    pub fn active(&self) -> &[Response] {
        &self.active
    }

    /// Takes stored responses back, as after a restart.
    pub fn restore(&mut self, responses: Vec<Response>) {
        self.next = responses.iter().map(|held| held.number + 1).max().unwrap_or(1).max(self.next);
        (self.undone, self.active) = responses.into_iter().partition(|held| held.is_undone);
    }

    fn holds(&self, action: &Action, incident: &Incident) -> bool {
        let of_incident =
            |held: &Response| action.target().is_some() || held.incident == incident.id;
        let is_undone = self
            .undone
            .iter()
            .any(|held| held.action.is_same(action) && held.incident == incident.id);
        is_undone || self.active.iter().any(|held| held.action.is_same(action) && of_incident(held))
    }

    /// Notes that the shell has carried a response out.
    pub fn note_done(&mut self, number: u64) -> Option<&Response> {
        let held = self.active.iter_mut().find(|held| held.number == number)?;
        held.is_done = true;
        Some(held)
    }

    /// Notes that the shell has taken a response back.
    pub fn note_taken_back(&mut self, number: u64) {
        if let Some(held) = self.undone.iter_mut().find(|held| held.number == number) {
            held.is_done = false;
        }
    }

    /// Returns the responses that hold, and those that operators took back, until their time is over.
    pub fn kept(&self) -> impl Iterator<Item = &Response> {
        self.active.iter().chain(&self.undone)
    }

    fn why_not(&self, action: &Action, incident: &Incident, now: Timestamp) -> Option<Withheld> {
        let target = action.target();
        if target.as_ref().is_some_and(|target| (self.settings.allow)(target)) {
            return Some(Withheld::Allowed);
        }
        if let Some(why) = self.weak_spot(action, incident, now) {
            return Some(why);
        }
        let in_window = |at: &&Timestamp| now.since(**at) < self.settings.cap_window;
        let recent = self.recent.iter().filter(in_window).count();
        (recent >= self.settings.responses_max).then_some(Withheld::CapReached)
    }

    /// Says what an attacker could use the action for, with the evidence that there is.
    fn weak_spot(&self, action: &Action, incident: &Incident, now: Timestamp) -> Option<Withheld> {
        let is_shared = |net| self.shared.subjects(net, now) > 1;
        let is_thin = incident.category == Category::TenantBreach
            && incident.objects.len() < self.settings.breach_objects_min;
        let learns = |begun| now.since(begun) < self.settings.learn;
        match action {
            Action::BanSource(_) | Action::BanFingerprint(_) if incident.category.is_waf() => {
                Some(Withheld::SignatureAlone)
            }
            Action::BanSource(net) | Action::LimitSource(net) if is_shared(net) => {
                Some(Withheld::SharedSource)
            }
            Action::BanSource(_) if self.begun.is_some_and(learns) => Some(Withheld::Learning),
            Action::Suspend { .. }
            | Action::ReleaseSessions { .. }
            | Action::RevokeTokens { .. }
                if is_thin || incident.category.is_waf() =>
            {
                Some(Withheld::ThinEvidence)
            }
            Action::BanSource(_)
            | Action::BanFingerprint(_)
            | Action::LimitSource(_)
            | Action::LimitSubject(_)
            | Action::RevokeTokens { .. }
            | Action::Suspend { .. }
            | Action::ReleaseSessions { .. }
            | Action::LockDown(_)
            | Action::RaiseProtection(_)
            | Action::EnforceRule(_)
            | Action::CaptureEvidence => None,
        }
    }

    fn start(&mut self, incident: &Incident, action: Action, now: Timestamp) -> Response {
        if self.recent.len() >= self.settings.responses_max {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let response = Response {
            number: self.next,
            incident: incident.id.clone(),
            action,
            since: now,
            until: now.plus(self.settings.duration),
            is_dry_run: self.settings.dry_run,
            is_done: false,
            is_undone: false,
        };
        self.next += 1;
        self.active.push(response.clone());
        response
    }
}

#[cfg(test)]
mod tests;
