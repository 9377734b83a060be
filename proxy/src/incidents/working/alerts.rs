//! Alerts of other systems: an incident each, for as long as it fires.

use std::collections::BTreeMap;

use portcullis_config::Timestamp;
use portcullis_incident::event::Rule;
use portcullis_incident::{Category, Event};

use super::Working;
use crate::alerts::{Alert, NotTaken};

/// Who ends an incident when its alert is over.
const BY: &str = "alertmanager";

impl Working {
    /// Takes alerts in and stores what they change, before anybody is told that they were taken.
    pub(crate) fn take_alerts(
        &mut self,
        alerts: &[Alert],
        now: Timestamp,
    ) -> Result<BTreeMap<&'static str, usize>, NotTaken> {
        if self.store.is_none() {
            return Err(NotTaken::NoDesk);
        }
        let mut done = BTreeMap::from([("firing", 0), ("resolved", 0), ("passed_over", 0)]);
        for alert in alerts {
            let what = match alert.is_resolved {
                true => self.end_alert(alert, now),
                false => self.fire(alert, now),
            };
            *done.entry(what).or_default() += 1;
        }
        self.lines.write();
        if self.save(true) { Ok(done) } else { Err(NotTaken::NotStored) }
    }

    fn fire(&mut self, alert: &Alert, now: Timestamp) -> &'static str {
        let Some(priority) = alert.priority else { return "passed_over" };
        let event = Event {
            alert: Some(alert.fingerprint.clone()),
            rule: Some(Rule { id: alert.name.clone(), ..Rule::default() }),
            urgency: Some(priority),
            payload: alert.summary.clone().into_bytes(),
            ..Event::new("", Category::Alert, None, now)
        };
        self.shared.events.count(&event);
        self.observe(event);
        "firing"
    }

    fn end_alert(&mut self, alert: &Alert, now: Timestamp) -> &'static str {
        let incident = self.correlator.of_alert(&alert.fingerprint).map(|one| one.id.clone());
        let ended = incident.and_then(|id| self.correlator.resolve(&id, BY, now).ok());
        let Some(change) = ended else { return "passed_over" };
        self.note(&[change]);
        "resolved"
    }
}
