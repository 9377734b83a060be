//! A verdict in the words of logs, metrics and events.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_policy::{Hit, MatchedField, RateHit, SignatureHit, Verdict};

use super::work::Work;
use crate::events::Refused;
use crate::lockdown::route_name;
use crate::log::{PolicyRecord, REDACTED, RateLimitRecord, Redaction, SignatureRecord, WafRecord};
use crate::shared::Shared;

/// Counts what a verdict decided and would have decided.
pub(super) fn count(shared: &Shared, work: &Work, verdict: &Verdict) {
    let rule = |hit: &Hit| hit.priority.to_string();
    let hits = std::iter::once(&verdict.enforced).chain(&verdict.previews);
    hits.for_each(|hit| count_hit(shared, hit));
    for priority in &verdict.errors {
        let labels = [&*verdict.enforced.policy, &priority.to_string()];
        shared.metrics.rule_errors.with_label_values(&labels).inc();
    }
    if !verdict.decision.passes() && work.load_test.is_none() {
        let hit = &verdict.enforced;
        shared.metrics.blocked.with_label_values(&[&*hit.policy, rule(hit).as_str()]).inc();
    }
    for hit in verdict.previews.iter().filter(|hit| hit.preview) {
        shared.metrics.previewed.with_label_values(&[&*hit.policy, rule(hit).as_str()]).inc();
    }
}

/// What the events of a request say of its verdict; nothing where there are none, as of nearly every request: it
/// `is_noted` for how it ended, or a rule in preview would have refused it.
pub(super) fn refused(work: &Work, hidden: Hidden<'_>, is_noted: bool) -> Refused {
    let verdict = work.verdict.as_deref();
    let hits = verdict.map_or(&[][..], |verdict| &verdict.previews);
    let previews = hits.iter().filter(|hit| hit.preview);
    let previewed: Vec<_> = previews.filter_map(|hit| Some((hit.priority, hit.event?))).collect();
    if !is_noted && previewed.is_empty() {
        return Refused::default();
    }
    let matched = verdict.and_then(|verdict| verdict.enforced.matched_field.as_ref());
    Refused {
        kind: verdict.and_then(|one| one.security_event.filter(|_| !one.decision.passes())),
        previewed,
        matched: matched.map(|field| {
            let value = Bytes::copy_from_slice(hidden.value(field));
            (field.name.escape_ascii().to_string(), value)
        }),
        token_id: work.identity.as_ref().and_then(|identity| identity.token_id.clone()),
        route: work.entry.as_ref().map(|entry| route_name(&entry.host, &entry.route.path)),
        breach: work.breach.clone(),
    }
}

/// Counts a rule that matched, and each signature that made it match. Labels come from loaded policies and rule sets.
fn count_hit(shared: &Shared, hit: &Hit) {
    let mode = if hit.preview { "preview" } else { "enforced" };
    let action = hit.configured_action.as_str();
    let rule = hit.priority.to_string();
    let labels = [&*hit.policy, &rule, mode, action, hit.outcome.as_str()];
    shared.metrics.rule_hits.with_label_values(&labels).inc();
    for signature in &hit.preconfigured_expr_ids {
        shared.metrics.signature_hits.with_label_values(&[&*hit.policy, signature, mode]).inc();
    }
}

/// The country of the client; empty if unknown.
pub(super) fn region(work: &Work) -> String {
    work.snapshot.region_code(work.client.address).to_owned()
}

/// What a record must not give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden<'n> {
    pub(super) redaction: Redaction<'n>,
    /// Whether the URI holds a value that must not be given.
    pub(super) in_uri: bool,
}

impl Hidden<'_> {
    fn value(self, field: &MatchedField) -> &[u8] {
        let of_uri = matches!(field.field_type, "RAW_URI" | "REQUEST_LINE");
        if self.redaction.names(&field.name) || of_uri && self.in_uri {
            return REDACTED.as_bytes();
        }
        &field.value
    }

    fn rate_key(self, rate: &RateHit) -> String {
        if rate.fields.iter().any(|name| self.redaction.names(name.as_bytes())) {
            return REDACTED.to_owned();
        }
        rate.key.clone()
    }
}

/// The log's record of the rule that decided.
pub(super) fn enforced(verdict: &Verdict, hidden: Hidden<'_>) -> PolicyRecord {
    record(&verdict.enforced, verdict.is_verbose, hidden)
}

/// The log's records of preview rules: those that matched, then those that were not evaluated.
pub(super) fn previews(verdict: &Verdict, hidden: Hidden<'_>) -> Vec<PolicyRecord> {
    let missed = verdict.not_evaluated.iter().map(|priority| PolicyRecord {
        name: verdict.enforced.policy.to_string(),
        priority: *priority,
        not_evaluated: true,
        ..PolicyRecord::default()
    });
    let matched = verdict.previews.iter().map(|hit| record(hit, verdict.is_verbose, hidden));
    matched.chain(missed).collect()
}

fn record(hit: &Hit, is_verbose: bool, hidden: Hidden<'_>) -> PolicyRecord {
    let names = |all: &[Arc<str>]| all.iter().map(ToString::to_string).collect();
    PolicyRecord {
        name: hit.policy.to_string(),
        priority: hit.priority,
        configured_action: hit.configured_action.as_str().to_owned(),
        outcome: hit.outcome.as_str().to_owned(),
        preconfigured_expr_ids: hit.preconfigured_expr_ids.clone(),
        rate_limit: hit.rate_limit.as_ref().map(|rate| RateLimitRecord {
            key: hidden.rate_key(rate),
            outcome: rate.outcome.as_str().to_owned(),
        }),
        matched: hit
            .matched_field
            .as_ref()
            .filter(|_| is_verbose)
            .map(|field| matched(field, hidden)),
        signatures: hit.signatures.iter().map(signature).collect(),
        address_groups: names(&hit.address_groups),
        threat_categories: names(&hit.threat_categories),
        not_evaluated: false,
    }
}

/// Names only: what stands in the field is not given.
fn signature(hit: &SignatureHit) -> SignatureRecord {
    SignatureRecord {
        set: hit.set.to_string(),
        id: hit.id,
        signature: hit.signature.clone(),
        field_type: hit.field_type.to_owned(),
        field_name: Bytes::copy_from_slice(&hit.name),
    }
}

fn matched(field: &MatchedField, hidden: Hidden<'_>) -> WafRecord {
    WafRecord {
        field_type: field.field_type.to_owned(),
        field_name: Bytes::copy_from_slice(&field.name),
        value: Bytes::copy_from_slice(hidden.value(field)),
        field_length: field.length as u64,
        offset: field.offset as u64,
        length: field.matched_length as u64,
    }
}
