//! `why`: the last decisions about a request, a client or a tenant, with what stands against them now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use http::StatusCode;
use portcullis_config::model::PolicySource;
use portcullis_policy::{Ban, BanKey};
use serde::Deserialize;

use super::message::{BanView, DecisionView, FieldView, RuleView, WhyView};
use super::server::{Answer, Operator, refuse};
use crate::log::{Escaped, PolicyRecord, rfc3339};
use crate::origin::Origin;
use crate::recent::{About, Decision};
use crate::remedy::{policy_named, remedy, test_of};
use crate::snapshot::Snapshot;

/// Decisions that one answer holds.
const DECISIONS_MAX: usize = 20;
/// Bans that one answer holds.
const BANS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    about: String,
}

pub(super) async fn show(
    State(operator): State<Arc<Operator>>,
    Query(asked): Query<Asked>,
) -> Answer<WhyView> {
    let shared = &operator.shared;
    let Ok(about) = asked.about.parse::<About>();
    let snapshot = shared.snapshot.load_full();
    let decisions = shared.recent.find(&about, DECISIONS_MAX);
    let now = shared.clock.now();
    let bans: Vec<_> = shared
        .state
        .bans(now)
        .iter()
        .filter(|ban| concerns(ban, &about, &decisions))
        .take(BANS_MAX)
        .map(|ban| BanView::of(ban, now))
        .collect();
    if decisions.is_empty() && bans.is_empty() {
        let error = format!(
            "nothing is remembered of `{}`: the last refusals and preview matches are kept in memory ({} of at most {}), and what passed is not; the request log has the rest",
            asked.about,
            shared.recent.len(),
            snapshot.config.limits.recent_decisions
        );
        return Err(refuse(StatusCode::NOT_FOUND, error));
    }
    let config = match operator.reloader.origin() {
        Origin::File(path) => absolute(path).display().to_string(),
        Origin::Embedded { .. } => String::new(),
    };
    Ok(Json(WhyView {
        generation: snapshot.generation,
        decisions: decisions.iter().map(|one| decision(&snapshot, &config, one)).collect(),
        bans,
    }))
}

fn concerns(ban: &Ban, about: &About, decisions: &[Decision]) -> bool {
    let of_client = |client| ban.key.names_address(client);
    match about {
        About::Client(client) => of_client(*client),
        About::Name(name) => match &ban.key {
            BanKey::Tenant(banned) | BanKey::Subject(banned) => **banned == **name,
            BanKey::Network(_) | BanKey::Fingerprint(_) | BanKey::Rule { .. } => {
                decisions.iter().any(|decision| of_client(decision.client))
            }
        },
    }
}

fn decision(snapshot: &Snapshot, config: &str, one: &Decision) -> DecisionView {
    let mut fix = remedy(snapshot, one);
    if let Some(edit) = fix.as_mut().and_then(|fix| fix.edit.as_mut()) {
        edit.file = absolute(&edit.file);
    }
    let test =
        fix.as_ref().and_then(|fix| fix.edit.as_ref()).map(|_| test_of(snapshot, config, one));
    DecisionView {
        time: rfc3339(one.time),
        request_id: one.request_id.clone(),
        generation: one.generation,
        client: one.client.to_string(),
        country: one.region_code.clone(),
        tenant: one.tenant.clone(),
        subject: one.subject.clone(),
        request: format!("{} {}{}", Escaped(&one.method), Escaped(&one.host), Escaped(&one.target)),
        status: one.status,
        reason: one.reason.map(|reason| reason.row().label.to_owned()),
        told: one.reason.map(|reason| reason.row().message.to_owned()),
        detail: one.detail.clone(),
        route: one.route.clone(),
        rule: one.enforced.as_ref().map(|record| rule(snapshot, record)),
        previews: one.previews.iter().map(|record| rule(snapshot, record)).collect(),
        fix,
        test,
    }
}

/// The path as it works from another directory: the command line may run anywhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn rule(snapshot: &Snapshot, record: &PolicyRecord) -> RuleView {
    let known = policy_named(snapshot, &record.name);
    let defined = known.and_then(|(_, definition)| {
        definition.rules.iter().find(|rule| rule.priority == record.priority)
    });
    let file = known.and_then(|(id, _)| match snapshot.config.policies.get(id.as_str()) {
        Some(PolicySource::File(file)) => Some(file.display().to_string()),
        Some(PolicySource::Builtin(name)) => Some(format!("builtin:{name}")),
        None => None,
    });
    RuleView {
        policy: record.name.clone(),
        file,
        priority: record.priority,
        description: defined.map(|rule| rule.description.clone()).unwrap_or_default(),
        at: defined.map(|rule| rule.at.to_string()),
        action: record.configured_action.clone(),
        outcome: record.outcome.clone(),
        counter: record
            .rate_limit
            .as_ref()
            .map(|limit| format!("{}: {}", limit.key, limit.outcome)),
        fields: record
            .signatures
            .iter()
            .map(|matched| FieldView {
                signature: matched.signature.clone(),
                field_type: matched.field_type.clone(),
                name: Escaped(&matched.field_name).to_string(),
            })
            .collect(),
        value: record.matched.as_ref().map(|matched| Escaped(&matched.value).to_string()),
    }
}
