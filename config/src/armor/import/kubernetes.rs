//! GKE's resources around a policy: BackendConfig, Ingress, ManagedCertificate. They become backends and hosts of the
//! configuration; what of them does not do what it seems to is found.

use super::super::document::{self, Value, ValueKind};
use crate::{Diagnostic, Location, SourceFile};

/// One resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) tree: Value,
    pub(super) source: SourceFile,
}

impl Resource {
    /// Returns the place of a value in the file.
    pub(super) fn at(&self, value: &Value) -> Location {
        self.source.location(value.span.clone())
    }
}

/// Returns the resources of a file, which may hold several documents; none where it is something else.
pub(super) fn read(source: &SourceFile) -> (Vec<Resource>, Vec<Diagnostic>) {
    let mut resources = Vec::new();
    let mut problems = Vec::new();
    for document in documents(source) {
        let (tree, found) = document::parse(&document);
        problems.extend(found);
        let Some(tree) = tree else { continue };
        let name = get(&tree, &["metadata", "name"]).and_then(text).unwrap_or_default().to_owned();
        if let Some(kind) = get(&tree, &["kind"]).and_then(text) {
            resources.push(Resource { kind: kind.to_owned(), name, tree, source: document });
        }
    }
    (resources, problems)
}

/// Whether a file's text is of Kubernetes.
pub(super) fn is_kubernetes(source: &SourceFile) -> bool {
    source.text().lines().any(|line| line.starts_with("apiVersion:"))
}

/// Cuts a file at its `---`; what stands before a document becomes empty lines, so that places stay true.
fn documents(source: &SourceFile) -> Vec<SourceFile> {
    let mut texts = vec![String::new()];
    let mut lines = 0;
    for line in source.text().split_inclusive('\n') {
        lines += 1;
        if line.trim_end() == "---" {
            texts.push("\n".repeat(lines));
        } else if let Some(text) = texts.last_mut() {
            text.push_str(line);
        }
    }
    let filled = texts.into_iter().filter(|text| !text.trim().is_empty());
    filled.map(|text| SourceFile::new(source.name(), text)).collect()
}

/// Goes down a path of keys.
pub(super) fn get<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    let mut found = value;
    for name in path {
        let ValueKind::Map(entries) = &found.kind else { return None };
        found = entries.iter().find(|(key, _)| text(key) == Some(name)).map(|(_, value)| value)?;
    }
    Some(found)
}

/// Returns the text of a value.
pub(super) fn text(value: &Value) -> Option<&str> {
    if let ValueKind::Text(text) = &value.kind { Some(text) } else { None }
}

fn number(value: &Value, path: &[&str]) -> Option<i64> {
    match get(value, path)?.kind {
        ValueKind::Int(number) => Some(number),
        ValueKind::Null
        | ValueKind::Bool(_)
        | ValueKind::Float
        | ValueKind::Text(_)
        | ValueKind::List(_)
        | ValueKind::Map(_) => None,
    }
}

/// Returns the items of a list.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value { kind: ValueKind::List(items), .. }) => items,
        Some(_) | None => &[],
    }
}

/// Writes a BackendConfig as a backend of the configuration.
pub(super) fn backend(resource: &Resource) -> String {
    let spec = |path: &[&str]| get(&resource.tree, &["spec"]).and_then(|spec| number(spec, path));
    let mut out = format!("backends:\n  {}:\n    servers: [ADDRESS:PORT]\n", resource.name);
    let policy = get(&resource.tree, &["spec", "securityPolicy", "name"]).and_then(text);
    if let Some(policy) = policy {
        out += &format!("    policy: {policy}\n");
    }
    if let Some(secs) = spec(&["timeoutSec"]) {
        out += &format!("    timeout: {secs}s\n");
    }
    if let Some(secs) = spec(&["connectionDraining", "drainingTimeoutSec"]) {
        out += &format!("    drain: {secs}s\n");
    }
    let path = get(&resource.tree, &["spec", "healthCheck", "requestPath"]).and_then(text);
    if let Some(path) = path {
        let or = |name: &str, usual| spec(&["healthCheck", name]).unwrap_or(usual);
        out += &format!(
            "    health: {{ path: {path}, every: {}s, timeout: {}s, healthy: {}, unhealthy: {} }}\n",
            or("checkIntervalSec", 5),
            or("timeoutSec", 5),
            or("healthyThreshold", 2),
            or("unhealthyThreshold", 2),
        );
    }
    out
}

/// Returns an Ingress's hosts, each with its paths and services.
pub(super) fn hosts(resource: &Resource) -> Vec<(&str, Vec<(&str, &str)>)> {
    let rules = items(get(&resource.tree, &["spec", "rules"]));
    let host = |rule| {
        let name = get(rule, &["host"]).and_then(text)?;
        let paths = items(get(rule, &["http", "paths"])).iter().filter_map(|path| {
            let service = get(path, &["backend", "service", "name"]).and_then(text)?;
            Some((get(path, &["path"]).and_then(text).unwrap_or("/"), service))
        });
        Some((name, paths.collect()))
    };
    rules.iter().filter_map(host).collect()
}

/// Writes an Ingress as hosts of the configuration.
pub(super) fn routes(resource: &Resource) -> String {
    let mut out = String::from("hosts:\n");
    for (host, paths) in hosts(resource) {
        out += &format!("  {host}:\n    routes:\n");
        for (path, service) in paths {
            out += &format!("      - {{ path: {path}, backend: {service}, identity: none }}\n");
        }
    }
    out
}
