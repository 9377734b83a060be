//! Alerts that Alertmanager posts (its webhook, version 4): each becomes an incident, and ends it when it is over. Taken on
//! the metrics listener with a bearer key, and on the admin socket by whoever may use that.

use std::collections::BTreeMap;

use portcullis_incident::Priority;
use serde_json::Value;

use crate::incidents::DeskHandle;
use crate::shared::Shared;

/// The largest message.
pub(crate) const ALERTS_BYTES_MAX: usize = 256 * 1024;
/// Alerts of one message.
pub(crate) const ALERTS_MAX: usize = 256;
/// The longest name of an alert or fingerprint.
const NAME_BYTES_MAX: usize = 128;

/// One alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Alert {
    /// What Alertmanager calls it: the same for the same labels.
    pub(crate) fingerprint: String,
    /// Its name, `alertname`.
    pub(crate) name: String,
    /// Whether it is over.
    pub(crate) is_resolved: bool,
    /// How urgent it is, by its label `severity`; `None` for what is no incident.
    pub(crate) priority: Option<Priority>,
    /// What it says.
    pub(crate) summary: String,
}

/// Why a message is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BadAlerts {
    /// It is no JSON.
    #[error("the message is no JSON")]
    Json,
    /// It is of another version.
    #[error("the message is not of version 4 of Alertmanager's webhook")]
    Version,
    /// It has no list of alerts.
    #[error("the message has no list `alerts`")]
    NoAlerts,
    /// It has too many.
    #[error("the message has more than {ALERTS_MAX} alerts: set `max_alerts` of the webhook")]
    TooMany,
    /// One lacks something.
    #[error("alert {0} has no `{1}`, or one that it cannot have")]
    Lacks(usize, &'static str),
}

/// Why alerts are not kept; Alertmanager sends them again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The desk does not answer, or keeps no incidents in this process.
    #[error("the incident desk does not take alerts now")]
    NoDesk,
    /// The disk refuses.
    #[error("the incidents are not on disk: see the log")]
    NotStored,
}

/// Reads a message. What it has beyond what is needed is passed over: Alertmanager adds to it.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Alert>, BadAlerts> {
    let message: Value = serde_json::from_slice(body).map_err(|_| BadAlerts::Json)?;
    if message["version"] != "4" {
        return Err(BadAlerts::Version);
    }
    let alerts = message["alerts"].as_array().ok_or(BadAlerts::NoAlerts)?;
    if alerts.len() > ALERTS_MAX {
        return Err(BadAlerts::TooMany);
    }
    alerts.iter().enumerate().map(|(at, one)| alert(at + 1, one)).collect()
}

fn alert(at: usize, written: &Value) -> Result<Alert, BadAlerts> {
    let named = |value: &Value, what| {
        let name = value.as_str().filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()));
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
        name.filter(is_plain).map(str::to_owned).ok_or(BadAlerts::Lacks(at, what))
    };
    let is_resolved = match written["status"].as_str() {
        Some("firing") => false,
        Some("resolved") => true,
        Some(_) | None => return Err(BadAlerts::Lacks(at, "status")),
    };
    let labels = &written["labels"];
    let annotation = |name: &str| written["annotations"][name].as_str().map(str::to_owned);
    Ok(Alert {
        fingerprint: named(&written["fingerprint"], "fingerprint")?,
        name: named(&labels["alertname"], "labels.alertname")?,
        is_resolved,
        priority: priority(labels["severity"].as_str()),
        summary: annotation("summary").or_else(|| annotation("description")).unwrap_or_default(),
    })
}

/// The words that people use for `severity`. An alert that always fires has `none`: a dead man's switch is no incident.
fn priority(severity: Option<&str>) -> Option<Priority> {
    match severity.map(str::to_ascii_lowercase).as_deref() {
        Some("critical" | "error" | "page" | "p1") => Some(Priority::P1),
        Some("info" | "p3") => Some(Priority::P3),
        Some("none") => None,
        Some(_) | None => Some(Priority::P2),
    }
}

/// Gives alerts to the desk. Returns how many incidents each change concerns, once they are on disk.
pub(crate) async fn take(
    shared: &Shared,
    desk: &DeskHandle,
    alerts: Vec<Alert>,
) -> Result<BTreeMap<&'static str, usize>, NotTaken> {
    let now = shared.clock.now();
    let asked = desk.ask(move |desk| desk.take_alerts(&alerts, now));
    asked.await.map_err(|_| NotTaken::NoDesk)?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one() -> Value {
        json!({
            "status": "firing",
            "labels": { "alertname": "KmsDown", "severity": "critical" },
            "annotations": { "summary": "the signer is down" },
            "startsAt": "2026-01-01T00:00:00Z",
            "fingerprint": "c0ffee0123456789",
        })
    }

    fn message(alerts: &[Value]) -> Vec<u8> {
        json!({ "version": "4", "status": "firing", "groupKey": "{}", "alerts": alerts })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn an_alert_is_read_with_its_urgency() {
        let read_one = read(&message(&[one()])).unwrap().remove(0);
        assert_eq!((read_one.name.as_str(), read_one.is_resolved), ("KmsDown", false));
        assert_eq!(read_one.summary, "the signer is down");
        for (severity, priority) in [
            (json!("critical"), Some(Priority::P1)),
            (json!("Warning"), Some(Priority::P2)),
            (json!("info"), Some(Priority::P3)),
            (json!("none"), None),
            (json!("odd"), Some(Priority::P2)),
            (Value::Null, Some(Priority::P2)),
        ] {
            let mut alert = one();
            alert["labels"]["severity"] = severity;
            assert_eq!(read(&message(&[alert])).unwrap()[0].priority, priority);
        }
        let mut over = one();
        over["status"] = json!("resolved");
        assert!(read(&message(&[over])).unwrap()[0].is_resolved);
    }

    #[test]
    fn what_is_malformed_is_refused_whole() {
        assert_eq!(read(b"{"), Err(BadAlerts::Json));
        assert_eq!(read(b"\xff"), Err(BadAlerts::Json));
        assert_eq!(read(br#"{"version":"3","alerts":[]}"#), Err(BadAlerts::Version));
        assert_eq!(read(br#"{"version":"4"}"#), Err(BadAlerts::NoAlerts));
        for (at, value, lacks) in [
            ("/status", json!("on"), "status"),
            ("/fingerprint", json!(""), "fingerprint"),
            ("/fingerprint", json!("a b"), "fingerprint"),
            ("/fingerprint", json!("x".repeat(129)), "fingerprint"),
            ("/labels/alertname", Value::Null, "labels.alertname"),
        ] {
            let mut wrong = one();
            *wrong.pointer_mut(at).unwrap() = value;
            assert_eq!(read(&message(&[one(), wrong])), Err(BadAlerts::Lacks(2, lacks)));
        }
    }

    #[test]
    fn a_message_has_alerts_up_to_the_cap() {
        for (what, count, is_taken) in [
            ("one under", ALERTS_MAX - 1, true),
            ("at it", ALERTS_MAX, true),
            ("one over", ALERTS_MAX + 1, false),
        ] {
            let read = read(&message(&vec![one(); count]));
            assert_eq!(read.is_ok(), is_taken, "{what}");
        }
    }
}
