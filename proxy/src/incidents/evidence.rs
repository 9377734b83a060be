//! What is put aside for whoever investigates an incident: its record and events, the recent refusals of whom it is
//! about, the policy that decided, the metrics, and a copy of the license service's database.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use portcullis_incident::Incident;
use serde_json::{Value, json};

use super::license::LicensePort;
use crate::atomic_file;
use crate::log::{Escaped, rfc3339};
use crate::recent::{About, Decision};
use crate::shared::Shared;

/// Recent refusals of one subject or source that are put in.
const DECISIONS_MAX: usize = 50;

/// Writes the bundle and returns where it is.
pub(super) fn capture(
    directory: &Path,
    shared: &Shared,
    license: &LicensePort,
    incident: &Incident,
    events: &VecDeque<Value>,
) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("the evidence cannot be written: {error}");
    atomic_file::private_directory(directory).map_err(failed)?;
    let snapshot = shared.snapshot.load_full();
    let of_incident: Vec<&Value> =
        events.iter().filter(|event| event["incident_id"] == incident.id.as_str()).collect();
    let database = directory.join(format!("{}.license.db", incident.id));
    let is_copied = database.exists() || license.backup(&database)?;
    let bundle = json!({
        "incident": serde_json::from_str::<Value>(&incident.to_record()).unwrap_or_default(),
        "captured_at": rfc3339(shared.clock.now()),
        "events": of_incident,
        "recent_requests": recent(shared, incident),
        "configuration": { "generation": snapshot.generation, "fingerprint": snapshot.fingerprint },
        "metrics": String::from_utf8(shared.metrics.text()).unwrap_or_default(),
        "license_database": is_copied.then(|| database.display().to_string()),
    });
    let path = directory.join(format!("{}.json", incident.id));
    let text = serde_json::to_vec_pretty(&bundle).map_err(|error| error.to_string())?;
    atomic_file::replace(&path, &text, atomic_file::SECRET).map_err(failed)?;
    Ok(path)
}

/// The refusals that are remembered of the incident's subjects and sources; their targets are redacted already.
fn recent(shared: &Shared, incident: &Incident) -> Vec<Value> {
    let names = incident.subjects.iter().map(|name| About::Name(name.to_owned()));
    let sources = incident.sources.iter().filter_map(|text| text.parse().ok()).map(About::Client);
    let found = names.chain(sources).flat_map(|about| shared.recent.find(&about, DECISIONS_MAX));
    found.map(|one| decision(&one)).collect()
}

fn decision(one: &Decision) -> Value {
    json!({
        "time": rfc3339(one.time),
        "request_id": one.request_id,
        "generation": one.generation,
        "client": one.client.to_string(),
        "subject": one.subject,
        "tenant": one.tenant,
        "method": Escaped(&one.method),
        "host": Escaped(&one.host),
        "target": Escaped(&one.target),
        "status": one.status,
        "reason": one.reason.map(|reason| reason.row().label),
        "rule": one.enforced.as_ref().map(|rule| format!("{}/{}", rule.name, rule.priority)),
    })
}
