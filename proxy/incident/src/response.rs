//! What is done about an incident, as values: each with an end, an undo and a reason. The shell carries them out. What
//! nobody may turn into a weapon is held back here: the allow-list, sources that several subjects share, evidence that
//! is too thin, and a cap per time.

mod action;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;

use crate::category::Category;
use crate::event::Event;
use crate::incident::{Incident, is_deliberate};
use crate::source;
pub use action::{Action, Target, Withheld};
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
    recent: VecDeque<Timestamp>,
    shared: SharedSources,
    next: u64,
}

impl Responder {
    /// Makes a responder that tracks the valid sessions of at most so many sources.
    #[must_use]
    pub fn new(settings: ResponseSettings, sources_max: usize) -> Self {
        let shared = SharedSources::new(sources_max);
        Self { settings, active: Vec::new(), recent: VecDeque::new(), shared, next: 1 }
    }

    /// Notes that a verified subject uses a source. A source that several use is an office: it is never banned.
    pub fn note_valid(&mut self, address: std::net::IpAddr, subject: &str, now: Timestamp) {
        self.shared.note(address, subject, now);
    }

    /// Plans what an event of an incident asks for. What holds already is not done twice.
    pub fn plan(&mut self, incident: &Incident, event: &Event, now: Timestamp) -> Planned {
        let mut planned = Planned::default();
        for action in wanted(incident, event, now) {
            if self.active.iter().any(|held| held.action.is_same(&action)) {
                continue;
            }
            match self.why_not(&action, incident, now) {
                Some(why) => planned.withheld.push((action, why)),
                None => planned.responses.push(self.start(incident, action, now)),
            }
        }
        planned
    }

    /// Returns the responses that have ended; the shell undoes them.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Response> {
        let (ended, active) = self.active.drain(..).partition(|held| held.until <= now);
        self.active = active;
        ended
    }

    /// Takes back every response to an incident, by an operator's word. Returns them; the shell undoes them.
    pub fn undo(&mut self, incident: &str) -> Vec<Response> {
        let (undone, active) = self.active.drain(..).partition(|held| held.incident == incident);
        self.active = active;
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
        self.active = responses;
    }

    fn why_not(&self, action: &Action, incident: &Incident, now: Timestamp) -> Option<Withheld> {
        let target = action.target();
        if target.as_ref().is_some_and(|target| (self.settings.allow)(target)) {
            return Some(Withheld::Allowed);
        }
        let is_shared = |net| self.shared.subjects(net, now) > 1;
        let is_thin = incident.objects.len() < self.settings.breach_objects_min;
        match action {
            Action::BanSource(net) | Action::LimitSource(net) if is_shared(net) => {
                return Some(Withheld::SharedSource);
            }
            Action::Suspend { .. } | Action::ReleaseSessions { .. } if is_thin => {
                return Some(Withheld::ThinEvidence);
            }
            Action::RevokeTokens { .. }
                if incident.category == Category::TenantBreach && is_thin =>
            {
                return Some(Withheld::ThinEvidence);
            }
            Action::BanSource(_)
            | Action::LimitSource(_)
            | Action::LimitSubject(_)
            | Action::RevokeTokens { .. }
            | Action::Suspend { .. }
            | Action::ReleaseSessions { .. }
            | Action::CaptureEvidence => {}
        }
        let in_window = |at: &&Timestamp| now.since(**at) < self.settings.cap_window;
        let recent = self.recent.iter().filter(in_window).count();
        (recent >= self.settings.responses_max).then_some(Withheld::CapReached)
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
        };
        self.next += 1;
        self.active.push(response.clone());
        response
    }
}

/// The seed's table: what each kind of incident asks for.
fn wanted(incident: &Incident, event: &Event, now: Timestamp) -> Vec<Action> {
    let of_source = || event.source_ip.map(source::of_client);
    let ban = || of_source().map(Action::BanSource).into_iter().collect();
    match incident.category {
        Category::Ddos | Category::CredentialStuffing | Category::BruteForce => ban(),
        Category::TokenForgery | Category::Scanner | Category::ProtocolAttack => {
            of_source().map(Action::LimitSource).into_iter().collect()
        }
        Category::SqlInjection
        | Category::Xss
        | Category::LocalFile
        | Category::RemoteFile
        | Category::CommandExecution
        | Category::PhpInjection
        | Category::JavaAttack
        | Category::SessionFixation
        | Category::GenericAttack => {
            let of_subject = event.actor.subject.clone().map(Action::LimitSubject);
            of_subject.or_else(|| of_source().map(Action::LimitSource)).into_iter().collect()
        }
        Category::TenantBreach => breach_actions(event, now),
        Category::TokenReplay => {
            let subject = event.actor.subject.clone();
            let revoke = |subject| Action::RevokeTokens { subject, before: now };
            subject.map(revoke).into_iter().collect()
        }
        Category::ConfigTamper => vec![Action::CaptureEvidence],
        Category::LoginFailed
        | Category::ImpossibleTravel
        | Category::LicenseAbuse
        | Category::RateLimit
        | Category::Ban
        | Category::GeoBlock
        | Category::IpBlock
        | Category::MethodEnforcement
        | Category::WafLimit
        | Category::PolicyDeny
        | Category::TokenRefused
        | Category::RequestRefused
        | Category::Unavailable
        | Category::SignerFailure => Vec::new(),
    }
}

/// A breach that was meant asks for everything; the evidence decides how much of it is done. One that was not asks for
/// nothing.
fn breach_actions(event: &Event, now: Timestamp) -> Vec<Action> {
    let Some(subject) = event.actor.subject.clone().filter(|_| is_deliberate(event)) else {
        return Vec::new();
    };
    vec![
        Action::Suspend { subject: subject.clone() },
        Action::RevokeTokens { subject: subject.clone(), before: now },
        Action::ReleaseSessions { subject },
        Action::CaptureEvidence,
    ]
}

#[cfg(test)]
mod tests;
