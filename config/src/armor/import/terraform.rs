//! Terraform's resources as the tree of a security policy: the same fields, other names for what repeats.

use std::ops::Range;

use super::super::document::{Value, ValueKind};
use super::hcl::Item;

/// A security policy of a Terraform file.
#[derive(Debug)]
pub(super) struct Resource {
    /// `google_compute_security_policy.license_api_policy`.
    pub(super) address: String,
    /// The policy as a tree.
    pub(super) tree: Value,
}

/// A backend service.
#[derive(Debug)]
pub(super) struct Attachment {
    /// Its name.
    pub(super) name: String,
    /// The reference to the policy in front of it, as written.
    pub(super) policy: Option<String>,
    /// How long an answer may take.
    pub(super) timeout_secs: Option<i64>,
    /// How long requests in work get.
    pub(super) drain_secs: Option<i64>,
    /// What has no key in the configuration.
    pub(super) notes: Vec<String>,
}

/// What a file holds of policies.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The policies, with the rules that stand in resources of their own.
    pub(super) policies: Vec<Resource>,
    /// The backend services.
    pub(super) attachments: Vec<Attachment>,
    /// What is about policies and is not taken over: in words, with its place.
    pub(super) left: Vec<(String, Range<usize>)>,
}

const POLICIES: &[&str] =
    &["google_compute_security_policy", "google_compute_region_security_policy"];

/// What would be read as something else, or as nothing: the beginning of a resource's kind, and what is to be said.
const LEFT: &[(&str, &str)] = &[(
    "google_compute_organization_security_policy",
    "stands above the policies of projects, with actions of its own (`goto_next`)",
)];

/// What Terraform names in the singular and repeats is a list: parent, block, the list's key.
const REPEATED: &[(&str, &str, &str)] = &[
    ("", "rule", "rules"),
    ("", "rules", "rules"),
    ("preconfigured_waf_config", "exclusion", "exclusions"),
    ("exclusion", "request_header", "requestHeadersToExclude"),
    ("exclusion", "request_cookie", "requestCookiesToExclude"),
    ("exclusion", "request_query_param", "requestQueryParamsToExclude"),
    ("exclusion", "request_uri", "requestUrisToExclude"),
    ("header_action", "request_headers_to_adds", "requestHeadersToAdds"),
    ("rate_limit_options", "enforce_on_key_configs", "enforceOnKeyConfigs"),
    ("layer_7_ddos_defense_config", "threshold_configs", "thresholdConfigs"),
];

/// What Terraform keeps for itself.
const META: &[&str] = &[
    "project",
    "provider",
    "count",
    "for_each",
    "depends_on",
    "lifecycle",
    "timeouts",
    "region",
    "labels",
];

/// Reads a file's policies and backend services. Rules in resources of their own go to their policy.
pub(super) fn read(items: &[Item]) -> Held {
    let mut held = Held::default();
    let mut rules = Vec::new();
    for item in items {
        let Item::Block { name, labels, span, items } = item else { continue };
        if name == "module" {
            held.left.extend(module(labels, span, items));
        }
        let [kind, label] = labels.as_slice() else { continue };
        if name != "resource" {
            continue;
        }
        let address = format!("{kind}.{label}");
        if POLICIES.contains(&kind.as_str()) {
            let tree = Value { kind: map("", items), span: span.clone() };
            held.policies.push(Resource { address, tree });
        } else if let Some(policy) =
            kind.strip_suffix("_rule").filter(|policy| POLICIES.contains(policy))
        {
            rules.push((policy, address, own_rule(items, span)));
        } else if kind.ends_with("backend_service") {
            held.attachments.push(attachment(label, items));
        } else if let Some((_, why)) = LEFT.iter().find(|(start, _)| kind.starts_with(start)) {
            held.left.push((format!("`{address}` {why}"), span.clone()));
        }
    }
    for (policy, address, rule) in rules {
        let span = rule.span.clone();
        if !adopt(&mut held.policies, policy, rule) {
            let why = "belongs to a policy that is not in its file: put both into one";
            held.left.push((format!("`{address}` {why}"), span));
        }
    }
    held
}

/// A module that makes a policy out of variables.
fn module(
    labels: &[String],
    span: &Range<usize>,
    items: &[Item],
) -> Option<(String, Range<usize>)> {
    let is_source = |item: &&Item| matches!(item, Item::Attribute { name, value, .. } if name == "source" && matches!(&value.kind, ValueKind::Text(text) if text.contains("cloud-armor")));
    items.iter().find(is_source)?;
    let name = labels.first().map_or("", String::as_str);
    let message = format!(
        "the module `{name}` makes a policy out of its variables: import what `gcloud compute security-policies export` writes of it"
    );
    Some((message, span.clone()))
}

/// A rule's fields, without what Terraform keeps of the resource around it.
fn own_rule(items: &[Item], span: &Range<usize>) -> Value {
    let is_meta = |item: &Item| match item {
        Item::Attribute { name, .. } | Item::Block { name, .. } => META.contains(&name.as_str()),
    };
    let own: Vec<Item> = items.iter().filter(|item| !is_meta(item)).cloned().collect();
    Value { kind: map("rule", &own), span: span.clone() }
}

fn attachment(label: &str, items: &[Item]) -> Attachment {
    let mut found = Attachment {
        name: label.replace('_', "-"),
        policy: None,
        timeout_secs: None,
        drain_secs: None,
        notes: Vec::new(),
    };
    for item in items {
        let Item::Attribute { name, value, .. } = item else { continue };
        match (name.as_str(), &value.kind) {
            ("name", ValueKind::Text(text)) if !text.contains(['$', '{']) => {
                found.name.clone_from(text);
            }
            ("security_policy", ValueKind::Text(policy)) => found.policy = Some(policy.clone()),
            ("timeout_sec", ValueKind::Int(secs)) => found.timeout_secs = Some(*secs),
            ("connection_draining_timeout_sec", ValueKind::Int(secs)) => {
                found.drain_secs = Some(*secs);
            }
            ("edge_security_policy", ValueKind::Text(policy)) => {
                found.notes.push(format!(
                    "the edge policy {policy} runs before it: write its rules into the policy"
                ));
            }
            ("session_affinity", ValueKind::Text(affinity)) if affinity != "NONE" => {
                found.notes.push(format!("session affinity {affinity}"));
            }
            // What else a backend service has is Google's own business: groups, health checks, log samples.
            _ => {}
        }
    }
    found
}

/// Puts a rule into the policy that its `security_policy` names, or into the only one there is; says whether there is one.
fn adopt(policies: &mut [Resource], kind: &str, mut rule: Value) -> bool {
    let ValueKind::Map(entries) = &mut rule.kind else { return false };
    let named =
        |key: &Value| matches!(&key.kind, ValueKind::Text(name) if name == "security_policy");
    let reference = entries.iter().find(|(key, _)| named(key)).map(|(_, value)| value.clone());
    entries.retain(|(key, _)| !named(key));
    let reference = match reference.map(|value| value.kind) {
        Some(ValueKind::Text(text)) => text,
        Some(_) | None => String::new(),
    };
    let single = policies.len() == 1;
    let owner = policies.iter_mut().find(|policy| {
        policy.address.starts_with(kind) && (reference.starts_with(&policy.address) || single)
    });
    if let Some(Resource { tree: Value { kind: ValueKind::Map(entries), .. }, .. }) = owner {
        push(entries, "rules", rule);
        return true;
    }
    false
}

fn map(parent: &str, items: &[Item]) -> ValueKind {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for item in items {
        match item {
            Item::Attribute { name, .. } if parent.is_empty() && META.contains(&name.as_str()) => {}
            Item::Attribute { name, span, value } => {
                let renamed = renamed(parent, name);
                let key = Value { kind: ValueKind::Text(renamed.to_owned()), span: span.clone() };
                entries.push((key, value.clone()));
            }
            Item::Block { name, .. } if parent.is_empty() && META.contains(&name.as_str()) => {}
            Item::Block { name, span, items, .. } => {
                let value = Value { kind: map(name, items), span: span.clone() };
                match REPEATED.iter().find(|(of, block, _)| of == &parent && block == name) {
                    Some((_, _, list)) => push(&mut entries, list, value),
                    None => {
                        let key = Value { kind: ValueKind::Text(name.clone()), span: span.clone() };
                        entries.push((key, value));
                    }
                }
            }
        }
    }
    ValueKind::Map(entries)
}

/// Terraform's `layer_7_ddos_defense_config` is the API's `layer7DdosDefenseConfig`; an exclusion's `operator` and
/// `value` are read as they are.
fn renamed<'n>(parent: &str, name: &'n str) -> &'n str {
    match (parent, name) {
        ("exclusion", "target_rule_set") => "targetRuleSet",
        ("exclusion", "target_rule_ids") => "targetRuleIds",
        (_, name) => name,
    }
}

fn push(entries: &mut Vec<(Value, Value)>, list: &str, value: Value) {
    let known = entries
        .iter_mut()
        .find(|(key, _)| matches!(&key.kind, ValueKind::Text(name) if name == list));
    if let Some((_, Value { kind: ValueKind::List(items), .. })) = known {
        items.push(value);
        return;
    }
    let key = Value { kind: ValueKind::Text(list.to_owned()), span: value.span.clone() };
    let span = value.span.clone();
    entries.push((key, Value { kind: ValueKind::List(vec![value]), span }));
}
