//! A verdict in the words of logs, metrics and events.

use bytes::Bytes;
use portcullis_policy::{Hit, MatchedField, Verdict};

use super::work::Work;
use crate::log::{EventRecord, PolicyRecord, RateLimitRecord, WafRecord};
use crate::shared::Shared;

/// Counts what a verdict decided and would have decided, and writes the security events.
pub(super) fn count(shared: &Shared, work: &Work, verdict: &Verdict, status: u16) {
    let rule = |hit: &Hit| hit.priority.to_string();
    if !verdict.decision.passes() {
        let hit = &verdict.enforced;
        shared.metrics.blocked.with_label_values(&[&*hit.policy, rule(hit).as_str()]).inc();
        if let Some(kind) = verdict.security_event {
            shared.metrics.security_events.with_label_values(&[kind.as_str()]).inc();
            shared.events.record(event(work, hit, kind.as_str(), true, status));
        }
    }
    for hit in verdict.previews.iter().filter(|hit| hit.preview) {
        shared.metrics.previewed.with_label_values(&[&*hit.policy, rule(hit).as_str()]).inc();
        if let Some(kind) = hit.event {
            shared.events.record(event(work, hit, kind.as_str(), false, status));
        }
    }
}

fn event(work: &Work, hit: &Hit, kind: &'static str, blocked: bool, status: u16) -> EventRecord {
    EventRecord {
        time: work.begun,
        kind,
        request_id: work.id.clone(),
        client: Some(work.client.address),
        region_code: region(work),
        tenant: work.identity.as_ref().and_then(|identity| identity.tenant.clone()),
        subject: work.identity.as_ref().map(|identity| identity.subject.clone()),
        method: work.asked.method.clone(),
        host: work.asked.host.clone(),
        uri: work.asked.uri.clone(),
        user_agent: work.asked.user_agent.clone(),
        policy: hit.policy.to_string(),
        rule: Some(hit.priority),
        signatures: hit.preconfigured_expr_ids.clone(),
        blocked,
        status,
    }
}

/// The country of the client; empty if unknown.
pub(super) fn region(work: &Work) -> String {
    work.snapshot
        .geo
        .as_ref()
        .map_or_else(String::new, |geo| geo.region_code(work.client.address).to_owned())
}

/// The log's record of the rule that decided.
pub(super) fn enforced(verdict: &Verdict) -> PolicyRecord {
    record(&verdict.enforced)
}

/// The log's records of preview rules: those that matched, then those that were not evaluated.
pub(super) fn previews(verdict: &Verdict) -> Vec<PolicyRecord> {
    let missed = verdict.not_evaluated.iter().map(|priority| PolicyRecord {
        name: verdict.enforced.policy.to_string(),
        priority: *priority,
        not_evaluated: true,
        ..PolicyRecord::default()
    });
    verdict.previews.iter().map(record).chain(missed).collect()
}

fn record(hit: &Hit) -> PolicyRecord {
    PolicyRecord {
        name: hit.policy.to_string(),
        priority: hit.priority,
        configured_action: hit.configured_action.as_str().to_owned(),
        outcome: hit.outcome.as_str().to_owned(),
        preconfigured_expr_ids: hit.preconfigured_expr_ids.clone(),
        rate_limit: hit.rate_limit.as_ref().map(|rate| RateLimitRecord {
            key: rate.key.clone(),
            outcome: rate.outcome.as_str().to_owned(),
        }),
        matched: hit.matched_field.as_ref().map(matched),
        not_evaluated: false,
    }
}

fn matched(field: &MatchedField) -> WafRecord {
    WafRecord {
        field_type: field.field_type.to_owned(),
        field_name: Bytes::copy_from_slice(&field.name),
        value: Bytes::copy_from_slice(&field.value),
        field_length: field.length as u64,
        offset: field.offset as u64,
        length: field.matched_length as u64,
    }
}
