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

/// Returns the number at the end of a path of keys.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<i64> {
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

/// Whether a value is `true`.
pub(super) const fn is_true(value: &Value) -> bool {
    matches!(value.kind, ValueKind::Bool(true))
}

/// A path, its service and the service's port.
type Path<'v> = (&'v str, &'v str, String);

/// Returns an Ingress's hosts, each with its paths.
pub(super) fn hosts(resource: &Resource) -> Vec<(&str, Vec<Path<'_>>)> {
    let rules = items(get(&resource.tree, &["spec", "rules"]));
    let host = |rule| {
        let name = get(rule, &["host"]).and_then(text)?;
        let paths = items(get(rule, &["http", "paths"])).iter().filter_map(|path| {
            let service = get(path, &["backend", "service", "name"]).and_then(text)?;
            let port = number(path, &["backend", "service", "port", "number"]);
            let port = port.map_or_else(|| "80".to_owned(), |port| port.to_string());
            Some((get(path, &["path"]).and_then(text).unwrap_or("/"), service, port))
        });
        Some((name, paths.collect()))
    };
    rules.iter().filter_map(host).collect()
}

/// Annotations that name a BackendConfig.
pub(super) const CONFIG_ANNOTATIONS: &[&str] = &[
    "cloud.google.com/backend-config",
    "beta.cloud.google.com/backend-config",
    "ingress.gcp.kubernetes.io/backend-config",
];

/// Returns annotation, key and BackendConfig of every annotation that names one: `{"default": "config"}`, or
/// `{"ports": {"80": "config"}}`.
pub(super) fn backend_configs(resource: &Resource) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    for annotation in CONFIG_ANNOTATIONS {
        let value = get(&resource.tree, &["metadata", "annotations", annotation]).and_then(text);
        let json: Option<serde_json::Value> =
            value.and_then(|value| serde_json::from_str(value).ok());
        let Some(serde_json::Value::Object(map)) = json else { continue };
        for (key, value) in map {
            match value {
                serde_json::Value::String(name) => found.push((*annotation, key, name)),
                serde_json::Value::Object(ports) => {
                    found.extend(ports.into_iter().filter_map(|(port, name)| {
                        Some((*annotation, port, name.as_str()?.to_owned()))
                    }));
                }
                // Anything else names no BackendConfig.
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Number(_)
                | serde_json::Value::Array(_) => {}
            }
        }
    }
    found
}

/// Returns the domains of a ManagedCertificate.
pub(super) fn domains(resource: &Resource) -> Vec<&str> {
    items(get(&resource.tree, &["spec", "domains"])).iter().filter_map(text).collect()
}
