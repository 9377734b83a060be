//! Responses: planned, stored, carried out, ended.

use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_incident::correlator::NoChange;
use portcullis_incident::event::Placed;
use portcullis_incident::response::Withheld;
use portcullis_incident::{Event, Response};

use super::{ChangeRefused, Working};
use crate::log::rfc3339;

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Reasons that are remembered, so that a timeline says each once.
const WITHHELD_MAX: usize = 4096;

impl Working {
    /// Plans what an event asks for. Returns the first response, for the event's line.
    pub(super) fn plan(
        &mut self,
        placed: &Placed,
        event: &Event,
        now: Timestamp,
    ) -> Option<(&'static str, u64)> {
        let incident = self.correlator.find(placed.incident_id.as_deref()?)?;
        let id = incident.id.clone();
        let planned = self.responder.plan(incident, event, now);
        for (action, why) in planned.withheld {
            let what = format!("not done: {action} ({})", why.as_str());
            if self.withheld.len() >= WITHHELD_MAX {
                self.withheld.clear();
            }
            // A flood has many sources: what holds for all of them is said of the first.
            let said = match why {
                Withheld::CapReached | Withheld::Learning => why.as_str().to_owned(),
                Withheld::Allowed
                | Withheld::SharedSource
                | Withheld::ThinEvidence
                | Withheld::SignatureAlone => what.clone(),
            };
            if self.withheld.insert((id.clone(), said)) {
                self.count_response(action.kind().as_str(), why.as_str());
                self.tell(&id, what, now);
            }
        }
        let first = planned.responses.first();
        let first = first.map(|one| (one.action.as_str(), one.until.since(one.since).as_secs()));
        for response in &planned.responses {
            self.dirty_responses.insert(response.number);
            self.is_urgent = true;
        }
        first
    }

    /// Returns a response that holds, or that is kept until its time is over.
    pub(super) fn response(&self, number: u64) -> Option<&Response> {
        let ending = self.ending.iter();
        ending.chain(self.responder.kept()).find(|one| one.number == number)
    }

    /// Carries out what is on disk and not done yet.
    pub(super) fn act(&mut self) {
        let now = self.shared.clock.now();
        if now < self.again || !self.dirty_responses.is_empty() {
            return;
        }
        let waiting: Vec<Response> =
            self.responder.active().iter().filter(|one| !one.is_done).cloned().collect();
        for response in waiting {
            self.carry_out(&response, now);
        }
        self.save(false);
    }

    fn carry_out(&mut self, response: &Response, now: Timestamp) {
        let (id, kind) = (response.incident.clone(), response.action.kind().as_str());
        let until = rfc3339(response.until);
        let Some(incident) = self.correlator.find(&id) else { return self.forget(response) };
        let done = match response.is_dry_run {
            true => Ok(None),
            false => self.hands.carry_out(response, incident, &self.recent, now),
        };
        match done {
            Ok(more) => {
                let more = more.map(|more| format!(" ({more})")).unwrap_or_default();
                let (outcome, how) =
                    if response.is_dry_run { ("dry_run", "would: ") } else { ("done", "") };
                let span = if response.action.has_undo() {
                    format!(" until {until}")
                } else {
                    String::new()
                };
                self.count_response(kind, outcome);
                self.tell(&id, format!("{how}{}{span}{more}", response.action), now);
                if outcome == "done" && response.action.has_undo() {
                    self.correlator.note_contained(&id, now);
                }
                self.responder.note_done(response.number);
                self.dirty_responses.insert(response.number);
            }
            Err(error) => {
                tracing::error!(incident = id, "{} is tried again: {error}", response.action);
                self.count_response(kind, "failed");
                self.again = now.plus(AGAIN);
            }
        }
    }

    /// Ends what has had its time, and takes back what was taken back.
    pub(super) fn end(&mut self, now: Timestamp) {
        let ended = self.responder.tick(now);
        for response in ended {
            self.dirty_responses.insert(response.number);
            self.is_urgent = true;
            if response.is_done && !response.is_dry_run && !response.is_undone {
                self.ending.push(response);
            }
        }
        if now < self.again {
            return;
        }
        for response in std::mem::take(&mut self.ending) {
            self.take_back(response, now);
        }
    }

    fn take_back(&mut self, response: Response, now: Timestamp) {
        let (id, kind) = (response.incident.clone(), response.action.kind().as_str());
        if let Err(error) = self.hands.take_back(&response, now) {
            tracing::error!(incident = id, "{} still holds: {error}", response.action);
            self.count_response(kind, "failed");
            self.again = now.plus(AGAIN);
            self.ending.push(response);
            return;
        }
        self.dirty_responses.insert(response.number);
        self.responder.note_taken_back(response.number);
        if response.action.has_undo() {
            let how = if response.is_undone { "undone" } else { "ended" };
            self.count_response(kind, how);
            self.tell(&id, format!("{how}: {}", response.action), now);
        }
    }

    /// Takes note that an operator takes back what was done about an incident.
    pub(super) fn undo(&mut self, id: &str, by: &str, now: Timestamp) -> Result<(), ChangeRefused> {
        if self.correlator.find(id).is_none() {
            return Err(NoChange::Unknown(id.to_owned()).into());
        }
        let undone = self.responder.undo(id);
        if undone.is_empty() {
            return Err(ChangeRefused::NothingHolds(id.to_owned()));
        }
        self.tell(id, format!("{by} takes back what was done"), now);
        self.again = now;
        for response in undone {
            self.dirty_responses.insert(response.number);
            if response.is_done && !response.is_dry_run {
                self.ending.push(response);
            }
        }
        Ok(())
    }

    /// Returns what was done about an incident and is not over.
    pub(crate) fn responses(&self, id: &str) -> Vec<Response> {
        let kept = self.responder.kept().filter(|one| one.incident == id);
        kept.cloned().collect()
    }

    fn forget(&mut self, response: &Response) {
        self.responder.note_done(response.number);
        self.dirty_responses.insert(response.number);
    }

    fn count_response(&self, kind: &str, outcome: &str) {
        self.shared.metrics.incident_responses.with_label_values(&[kind, outcome]).inc();
    }
}
