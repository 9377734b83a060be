//! What carries responses out and takes them back. Both may be done twice: a process that was killed in between does them
//! again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_identity::revocation::Revoked;
use portcullis_incident::response::Target;
use portcullis_incident::{Action, Incident, Response};
use portcullis_policy::{Ban, BanKey, BanOrigin, BanSelector};
use serde_json::{Map, Value, json};

use super::evidence;
use super::license::LicensePort;
use super::tightened::Held;
use crate::audit::{Actor, Audit};
use crate::bans;
use crate::lockdown::Lockdown;
use crate::log::rfc3339;
use crate::revocations::Entry;
use crate::shared::Shared;

/// Everything that a response may touch.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) shared: Arc<Shared>,
    pub(super) audit: Arc<Audit>,
    pub(super) license: LicensePort,
    pub(super) evidence: PathBuf,
}

/// Whether the allow-list names whom a response would touch: nothing passes that.
pub(super) fn is_spared(shared: &Shared, target: &Target) -> bool {
    let key = match target {
        Target::Source(net) => {
            let hops = &shared.snapshot.load().config.trusted_hops;
            if hops.iter().any(|hop| hop.contains(&net.addr())) {
                return true;
            }
            BanKey::Network(*net)
        }
        Target::Fingerprint(print) => BanKey::Fingerprint(print.as_str().into()),
        Target::Subject(subject) => BanKey::Subject(subject.as_str().into()),
        Target::Place(_) => return false,
    };
    bans::spares(shared, &key)
}

impl Hands {
    /// Carries a response out, and returns what is to be said of it beyond its words.
    pub(super) fn carry_out(
        &self,
        response: &Response,
        incident: &Incident,
        events: &VecDeque<Value>,
        now: Timestamp,
    ) -> Result<Option<String>, String> {
        self.record(response, "", now)?;
        self.put(response, Some((incident, events)), now)
    }

    /// Puts back what only memory held, as after a restart.
    pub(super) fn put_back(&self, response: &Response, now: Timestamp) {
        let is_in_memory = matches!(
            response.action,
            Action::LimitSource(_)
                | Action::LimitSubject(_)
                | Action::RaiseProtection(_)
                | Action::EnforceRule(_)
        );
        if is_in_memory && let Err(error) = self.put(response, None, now) {
            tracing::error!(%error, "a response does not hold any more");
        }
    }

    /// Takes a response back.
    pub(super) fn take_back(&self, response: &Response, now: Timestamp) -> Result<(), String> {
        if !response.action.has_undo() {
            return Ok(());
        }
        self.record(response, "undo: ", now)?;
        let origin = BanOrigin::Incident(response.incident.clone());
        match &response.action {
            Action::BanSource(net) => self.lift(&BanKey::Network(*net), &origin, now),
            Action::BanFingerprint(print) => {
                self.lift(&BanKey::Fingerprint(print.as_str().into()), &origin, now);
            }
            Action::LimitSource(_)
            | Action::LimitSubject(_)
            | Action::RaiseProtection(_)
            | Action::EnforceRule(_) => self.shared.tightened.let_go(response.number),
            Action::RevokeTokens { provider, subject, before: _ } => {
                self.accept_again(provider, subject, response)?;
            }
            Action::Suspend { tenant, subject } => {
                self.lift(&BanKey::Subject(subject.as_str().into()), &origin, now);
                self.license.set_suspended(tenant, subject, false)?;
            }
            Action::LockDown(route) => {
                let lifted = self.shared.lockdowns.lift(Some(route), now);
                lifted.map_err(|error| error.to_string())?;
            }
            Action::ReleaseSessions { .. } | Action::CaptureEvidence => {}
        }
        Ok(())
    }

    fn put(
        &self,
        response: &Response,
        about: Option<(&Incident, &VecDeque<Value>)>,
        now: Timestamp,
    ) -> Result<Option<String>, String> {
        let hold = |held| self.shared.tightened.hold(response.number, held, response.until);
        let by = format!("incident:{}", response.incident);
        match &response.action {
            Action::BanSource(net) => self.ban(BanKey::Network(*net), response, now)?,
            Action::BanFingerprint(print) => {
                self.ban(BanKey::Fingerprint(print.as_str().into()), response, now)?;
            }
            Action::LimitSource(net) => hold(Held::Source(*net)),
            Action::LimitSubject(subject) => hold(Held::Subject(subject.clone())),
            Action::RaiseProtection(route) => hold(Held::Route(route.clone())),
            Action::EnforceRule(rule) => hold(Held::Rule(rule.clone())),
            Action::RevokeTokens { provider, subject, before } => {
                let what =
                    Revoked::Subject { provider: provider.clone(), subject: subject.clone() };
                let reason = Some(format!("response to {}", response.incident));
                let entry = Entry { before: Some(*before), since: now, by, reason };
                let revoked = self.shared.revocations.revoke(what, entry);
                revoked.map_err(|error| error.to_string())?;
            }
            Action::Suspend { tenant, subject } => {
                self.ban(BanKey::Subject(subject.as_str().into()), response, now)?;
                if !self.license.set_suspended(tenant, subject, true)? {
                    return Ok(Some(
                        "at the edge; no license service here knows the tenant".into(),
                    ));
                }
            }
            Action::ReleaseSessions { tenant, subject } => {
                let released = self.license.release(tenant, subject, &by)?;
                return Ok(Some(match released {
                    Some(sessions) => format!("{sessions} sessions"),
                    None => "no license service here knows the tenant".to_owned(),
                }));
            }
            Action::LockDown(route) => {
                let reason = Some(format!("response to {}", response.incident));
                let lockdown = Lockdown { until: response.until, reason };
                let placed = self.shared.lockdowns.place(route, lockdown, now);
                placed.map_err(|error| error.to_string())?;
            }
            Action::CaptureEvidence => {
                let Some((incident, events)) = about else { return Ok(None) };
                let path = evidence::capture(
                    &self.evidence,
                    &self.shared,
                    &self.license,
                    incident,
                    events,
                )?;
                return Ok(Some(path.display().to_string()));
            }
        }
        Ok(None)
    }

    fn ban(&self, key: BanKey, response: &Response, now: Timestamp) -> Result<(), String> {
        let ban = Ban {
            key,
            until: Some(response.until),
            since: now,
            reason: format!("response to {}", response.incident),
            origin: BanOrigin::Incident(response.incident.clone()),
            definition: None,
            generation: self.shared.snapshot.load().generation,
        };
        self.shared.state.add_ban(ban, now).map_err(|error| error.to_string())?;
        self.shared.metrics.bans_added.with_label_values(&["incident"]).inc();
        Ok(())
    }

    /// Lifts the ban that the incident placed; one that somebody else has placed over it stays.
    fn lift(&self, key: &BanKey, origin: &BanOrigin, now: Timestamp) {
        let is_ours = |ban: &Ban| ban.key == *key && ban.origin == *origin;
        if self.shared.state.bans(now).iter().any(is_ours) {
            self.shared.state.remove_bans(&BanSelector::Key(key.clone()));
        }
    }

    /// Undoes the revocation that the incident made; one that an operator made over it stays.
    fn accept_again(
        &self,
        provider: &str,
        subject: &str,
        response: &Response,
    ) -> Result<(), String> {
        let what = Revoked::Subject { provider: provider.to_owned(), subject: subject.to_owned() };
        let by = format!("incident:{}", response.incident);
        let entries = self.shared.revocations.entries();
        if entries.iter().any(|(known, entry)| *known == what && entry.by == by) {
            self.shared.revocations.undo(&what).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn record(&self, response: &Response, how: &str, now: Timestamp) -> Result<(), String> {
        let actor = Actor::Incident(response.incident.clone());
        let outcome = Map::from_iter([("until".to_owned(), json!(rfc3339(response.until)))]);
        let command = format!("{how}{}", response.action);
        let recorded = self.audit.record(&actor, &command, None, &outcome, now);
        recorded.map_err(|error| format!("the audit file cannot be written: {error}"))
    }
}
