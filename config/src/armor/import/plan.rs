//! What the resources around a policy say of backends, hosts and certificates: the plan of a configuration.

use std::collections::BTreeMap;

use super::ImportedPolicy;
use super::kubernetes::{self, Resource};
use super::terraform::Attachment;

/// The plan of a configuration: what a skeleton is written from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Backends, by id.
    pub backends: BTreeMap<String, PlannedBackend>,
    /// Hosts in the order of the files, with path and backend of each route.
    pub hosts: Vec<PlannedHost>,
    /// Whether plain HTTP is turned off at the source.
    pub https_only: bool,
}

/// A backend that a resource becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedBackend {
    /// Where it is reached, as far as that can be told.
    pub server: String,
    /// The policy in front of it, by its own name.
    pub policy: Option<String>,
    /// How long an answer may take.
    pub timeout_secs: Option<i64>,
    /// How long requests in work get.
    pub drain_secs: Option<i64>,
    /// The probe.
    pub health: Option<PlannedHealth>,
    /// That people sign in before it (IAP), and the Kubernetes secret with the client's id and secret, where one is named.
    pub iap: Option<Option<String>>,
    /// What has no key, or was guessed: a sentence each.
    pub notes: Vec<String>,
}

/// How a backend is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHealth {
    /// What is asked for.
    pub path: String,
    /// Seconds between two probes.
    pub every_secs: i64,
    /// Seconds that a probe may take.
    pub timeout_secs: i64,
    /// Good answers until it is up.
    pub healthy: i64,
    /// Bad answers until it is down.
    pub unhealthy: i64,
}

/// A host that an Ingress serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHost {
    /// Its name.
    pub name: String,
    /// Path and backend of each route.
    pub routes: Vec<(String, String)>,
}

/// Makes the plan.
pub(super) fn plan(
    policies: &[ImportedPolicy],
    attachments: &[Attachment],
    resources: &[Resource],
) -> Plan {
    let mut plan = Plan::default();
    for ingress in of_kind(resources, "Ingress") {
        hosts(ingress, &mut plan);
    }
    let mut bound = Vec::new();
    for config in of_kind(resources, "BackendConfig") {
        let services = services_of(config, resources, &plan);
        let is_bound = !services.is_empty();
        for (service, note) in services {
            let backend = plan.backends.entry(service.clone()).or_default();
            apply(config, backend);
            backend.notes.push(note);
            bound.push(service);
        }
        if !is_bound {
            let backend = plan.backends.entry(config.name.clone()).or_default();
            backend.server = format!("{}.invalid:80", config.name);
            apply(config, backend);
            backend.notes.push("no Service is seen to use this BackendConfig".to_owned());
        }
    }
    for attachment in attachments {
        terraform_backend(attachment, policies, &mut plan);
    }
    plan
}

fn of_kind<'r>(resources: &'r [Resource], kind: &'r str) -> impl Iterator<Item = &'r Resource> {
    resources.iter().filter(move |resource| resource.kind == kind)
}

fn hosts(ingress: &Resource, plan: &mut Plan) {
    let annotation = |name| kubernetes::get(&ingress.tree, &["metadata", "annotations", name]);
    let allow_http = annotation("kubernetes.io/ingress.allow-http").and_then(kubernetes::text);
    plan.https_only |= allow_http == Some("false");
    let namespace = kubernetes::get(&ingress.tree, &["metadata", "namespace"])
        .and_then(kubernetes::text)
        .unwrap_or("default");
    for (host, paths) in kubernetes::hosts(ingress) {
        let mut routes = Vec::new();
        for (path, service, port) in paths {
            let backend = plan.backends.entry(service.to_owned()).or_default();
            backend.server = format!("{service}.{namespace}.svc.cluster.local:{port}");
            routes.push((prefix(path), service.to_owned()));
        }
        if !routes.is_empty() {
            plan.hosts.push(PlannedHost { name: host.to_owned(), routes });
        }
    }
}

/// `/api/*`, in the older spelling, is the prefix `/api/`.
fn prefix(path: &str) -> String {
    let prefix = path.strip_suffix('*').unwrap_or(path);
    if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() }
}

/// Which services a BackendConfig is meant for, each with how that was found out.
fn services_of(config: &Resource, resources: &[Resource], plan: &Plan) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for service in of_kind(resources, "Service") {
        let names = kubernetes::backend_configs(service);
        if names.iter().any(|(_, _, name)| *name == config.name) {
            found.push((service.name.clone(), format!("`{}` from its Service", config.name)));
        }
    }
    for ingress in of_kind(resources, "Ingress") {
        for (annotation, key, name) in kubernetes::backend_configs(ingress) {
            if name != config.name {
                continue;
            }
            let first_label =
                |host: &PlannedHost| host.name.split('.').next() == Some(key.as_str());
            let Some(host) = plan.hosts.iter().find(|host| first_label(host)) else { continue };
            for (_, service) in &host.routes {
                let note = format!(
                    "`{name}`, bound by the key `{key}` of `{annotation}` on the Ingress, which GKE does not read: check"
                );
                if !found.iter().any(|(known, _)| known == service) {
                    found.push((service.clone(), note));
                }
            }
        }
    }
    found
}

/// Takes over what a BackendConfig says.
fn apply(config: &Resource, backend: &mut PlannedBackend) {
    let spec = |path: &[&str]| {
        kubernetes::get(&config.tree, &["spec"]).and_then(|spec| kubernetes::number(spec, path))
    };
    let word = |path: &[&str]| kubernetes::get(&config.tree, path).and_then(kubernetes::text);
    backend.policy = word(&["spec", "securityPolicy", "name"]).map(str::to_owned);
    backend.timeout_secs = spec(&["timeoutSec"]);
    backend.drain_secs = spec(&["connectionDraining", "drainingTimeoutSec"]);
    let number = |name: &str, usual| spec(&["healthCheck", name]).unwrap_or(usual);
    backend.health = word(&["spec", "healthCheck", "requestPath"]).map(|path| PlannedHealth {
        path: path.to_owned(),
        every_secs: number("checkIntervalSec", 5),
        timeout_secs: number("timeoutSec", 5),
        healthy: number("healthyThreshold", 2),
        unhealthy: number("unhealthyThreshold", 2),
    });
    if let Some(port) = spec(&["healthCheck", "port"]) {
        backend.notes.push(format!("probed on port {port} there; here on the server's own port"));
    }
    let affinity = word(&["spec", "sessionAffinity", "affinityType"]);
    if let Some(affinity) = affinity.filter(|affinity| *affinity != "NONE") {
        backend.notes.push(format!("session affinity {affinity}"));
    }
    let is_on = |feature| {
        let enabled = kubernetes::get(&config.tree, &["spec", feature, "enabled"]);
        enabled.is_some_and(kubernetes::is_true)
    };
    if is_on("cdn") {
        backend.notes.push("`cdn` is on there and has no counterpart".to_owned());
    }
    if is_on("iap") {
        let secret = word(&["spec", "iap", "oauthclientCredentials", "secretName"]);
        backend.iap = Some(secret.map(str::to_owned));
        backend
            .notes
            .push("`iap` is on there: people sign in, see `identity` and the host".to_owned());
    }
}

/// A backend service of Terraform; where a GKE backend is under the same policy it is that one, seen twice.
fn terraform_backend(attachment: &Attachment, policies: &[ImportedPolicy], plan: &mut Plan) {
    let policy = attachment.policy.as_ref().map(|reference| {
        let known = policies.iter().find(|policy| reference.starts_with(&policy.address));
        known.map_or_else(|| reference.clone(), |policy| policy.policy.name.clone())
    });
    let seen = plan.backends.values().any(|backend| policy.is_some() && backend.policy == policy);
    if seen {
        return;
    }
    let backend = plan.backends.entry(attachment.name.clone()).or_default();
    backend.server = format!("{}.invalid:80", attachment.name);
    backend.policy = policy;
    backend.timeout_secs = attachment.timeout_secs;
    backend.drain_secs = attachment.drain_secs;
    backend.notes.extend(attachment.notes.iter().cloned());
}
