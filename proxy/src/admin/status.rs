//! `status`: what is served, since when, and how full the tables are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portcullis_config::Timestamp;
use portcullis_config::armor;
use portcullis_config::model::{Acme, ListSource, PolicyId, PolicySource};

use super::message::{CertificateView, ListView, PolicyView, StatusView, TestedView};
use super::server::Operator;
use crate::acme::{self, Kept};
use crate::feeds;
use crate::log::rfc3339;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::trial::Tested;

pub(super) async fn show(State(operator): State<Arc<Operator>>) -> Json<StatusView> {
    let shared = &operator.shared;
    let snapshot = shared.snapshot.load_full();
    let (published, last_error) = operator.reloader.last();
    let standing = operator.reloader.standing();
    let figures = shared.state.figures();
    let now = shared.clock.now();
    Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_secs: now.since(operator.started).as_secs(),
        environment: snapshot.config.environment.to_string(),
        config: operator.reloader.origin().to_string(),
        generation: snapshot.generation,
        fingerprint: snapshot.fingerprint.clone(),
        published: rfc3339(published),
        last_error,
        previous_generation: standing.previous,
        revert_at: standing.revert_at.map(rfc3339),
        rolled_back: standing.is_rolled_back,
        listeners: operator.listeners.clone(),
        metrics: operator.metrics.map(|address| address.to_string()),
        policies: policies(&snapshot),
        tests: tested(&snapshot),
        geo: snapshot.geo.as_ref().map(|geo| geo.describe().0.to_owned()),
        networks: snapshot.networks.as_ref().map(|one| one.describe().0.to_owned()),
        lists: lists(&snapshot, now),
        certificates: certificates(shared, &snapshot),
        bans: shared.state.bans(now).len() as u64,
        rate_keys: figures.keys_live,
        rate_keys_max: figures.keys_max,
    })
}

fn tested(snapshot: &Snapshot) -> Option<TestedView> {
    let Tested { files, passed, failed } = snapshot.tested;
    let view = TestedView { files: files as u64, passed: passed as u64, failed: failed as u64 };
    (files > 0).then_some(view)
}

fn lists(snapshot: &Snapshot, now: Timestamp) -> Vec<ListView> {
    let config = &snapshot.config;
    let view = |(name, source): (&String, &ListSource)| {
        let (shown, fetched, max_age) = match source {
            ListSource::File(path) => (path.display().to_string(), None, None),
            ListSource::Include(parts) => (parts.join(" + "), None, None),
            ListSource::Feed(feed) => {
                let kept = feeds::Kept::of(&config.state_dir, name, &feed.url);
                (feed.url.to_string(), kept.fetched(), Some(feed.max_age))
            }
        };
        let is_old = |max_age| fetched.is_none_or(|fetched| now.since(fetched) > max_age);
        ListView {
            name: name.clone(),
            source: shown,
            prefixes: snapshot.lists.get(name).map_or(0, |set| set.len() as u64),
            fetched: fetched.map(rfc3339),
            stale: max_age.is_some_and(is_old),
        }
    };
    config.lists.iter().map(view).collect()
}

fn certificates(shared: &Shared, snapshot: &Snapshot) -> Vec<CertificateView> {
    let config = &snapshot.config;
    let view = |acme: &Acme| {
        let kept = Kept::of(&config.state_dir, acme);
        let issued = kept.issued(&acme.names);
        let failure = shared.proofs.failure(kept.path());
        let next = failure.as_ref().map(|failure| failure.retry);
        CertificateView {
            names: acme.names.iter().map(ToString::to_string).collect(),
            directory: acme.directory.to_string(),
            not_after: issued.as_ref().map(|issued| rfc3339(issued.not_after)),
            next_order: next.or_else(|| Some(issued?.renew_at())).map(rfc3339),
            last_error: failure.map(|failure| failure.why),
        }
    };
    acme::of(config).map(view).collect()
}

fn policies(snapshot: &Snapshot) -> Vec<PolicyView> {
    let mut routes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in snapshot.router.entries() {
        if let Some(policy) = &entry.policy {
            let route = format!("{}{}", entry.host, entry.route.path);
            routes.entry(policy.as_str()).or_default().push(route);
        }
    }
    let view = |(id, source): (&String, &PolicySource)| {
        let mut routes = routes.remove(id.as_str()).unwrap_or_default();
        routes.sort();
        let source = match source {
            PolicySource::File(path) => path.display().to_string(),
            PolicySource::Builtin(name) => format!("builtin:{name}"),
        };
        let definition = snapshot.definitions.get(&PolicyId::new(id));
        let rules = definition.map_or(&[][..], |definition| &definition.rules);
        PolicyView {
            id: id.clone(),
            source,
            routes,
            rules: rules.len(),
            previews: rules.iter().filter(|rule| rule.preview).count(),
            text: definition.map_or_else(String::new, |definition| armor::write(definition)),
        }
    };
    snapshot.config.policies.iter().map(view).collect()
}
