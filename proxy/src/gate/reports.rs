//! Reports of browsers about a content security policy that a page ran against: taken at the edge, into the event log.
//!
//! Anybody can send them, and a page with a fault sends one for each visit: what is read and what is written is bounded.

use http::Method;
use portcullis_config::model::{BodyPlan, Compressed, Oversize};
use serde_json::Value;

use super::decide::Admitted;
use super::sanity::Target;
use super::work::Work;
use crate::csp::{REPORT_BYTES_MAX, reports};
use crate::log::{CspRecord, Redaction};
use crate::router::RouteEntry;
use crate::shared::Shared;

/// Reports of one request that are looked at.
const REPORTS_MAX: usize = 8;
/// The longest text that is taken out of a report.
const TEXT_BYTES_MAX: usize = 256;

/// How the body of reports is read. Policies do not look into it: what a browser reports of an attack looks like one.
pub(super) const BODY: BodyPlan = BodyPlan::Inspect {
    limit: REPORT_BYTES_MAX,
    inspect: 0,
    oversize: Oversize::Pass,
    compressed: Compressed::Refuse,
};

/// Whether a request brings reports to the host's own path for them.
pub(super) fn are(entry: &RouteEntry, method: &Method, target: &Target) -> bool {
    let here = entry.reports.as_ref().is_some_and(|path| path.as_bytes() == &*target.path);
    here && *method == Method::POST
}

/// Writes what a request reports.
pub(super) fn take(shared: &Shared, work: &Work, admitted: &Admitted) {
    let body = admitted.held.as_ref().map_or(&b""[..], |held| &held.bytes);
    let Ok(said) = serde_json::from_slice::<Value>(body) else { return };
    let redaction = Redaction(&work.snapshot.config.log.redact);
    for report in reports(&said).take(REPORTS_MAX) {
        if !shared.report_rate.may_write(shared.clock.now()) {
            shared.metrics.csp_reports.with_label_values(&["dropped"]).inc();
            continue;
        }
        shared.metrics.csp_reports.with_label_values(&["written"]).inc();
        let record = CspRecord {
            time: work.begun,
            request_id: work.id.clone(),
            client: work.client.address,
            host: work.asked.host.clone(),
            document: text(report, ["document-uri", "documentURL"], redaction),
            directive: text(report, ["effective-directive", "effectiveDirective"], redaction),
            blocked: text(report, ["blocked-uri", "blockedURL"], redaction),
            disposition: text(report, ["disposition", "disposition"], redaction),
        };
        shared.events.write(record.to_json());
    }
}

/// A text by either of its names, without the values that no log gets.
fn text(report: &Value, names: [&str; 2], redaction: Redaction<'_>) -> Vec<u8> {
    let found = names.iter().find_map(|name| report.get(name)?.as_str()).unwrap_or_default();
    let start = found.as_bytes();
    let start = start.get(..TEXT_BYTES_MAX).unwrap_or(start);
    redaction.uri(&bytes::Bytes::copy_from_slice(start)).to_vec()
}
