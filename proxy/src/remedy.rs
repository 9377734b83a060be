//! The narrowest change that would have let a refused request pass, and nothing else that can be helped.

mod edit;

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_config::armor::{Action, Condition, Rule, SecurityPolicy};
use portcullis_config::expr::Kind;
use portcullis_config::model::{IdentityRule, PolicyId, PolicySource, RouteAction};
use serde::{Deserialize, Serialize};

pub use edit::{EditError, apply};

use crate::log::{Escaped, PolicyRecord, SignatureRecord};
use crate::reason::Reason;
use crate::recent::Decision;
use crate::snapshot::Snapshot;
use crate::trial::Ask;
use crate::trial::attacks::Attack;

/// What can be done about a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// In words.
    pub words: String,
    /// The change of the policy, where one helps.
    pub edit: Option<Edit>,
    /// The command that helps, where none of the policy does.
    pub command: Option<String>,
}

/// A change of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The policy's id in the configuration.
    pub policy: String,
    /// Its file.
    pub file: PathBuf,
    /// The rule.
    pub rule: u32,
    /// What is changed.
    pub changes: Vec<Change>,
    /// The path of the request that it is for.
    pub path: String,
}

/// One change of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Leaves the value of one named field out for some signatures.
    Exclude {
        /// The preconfigured set.
        set: String,
        /// The signatures.
        signatures: Vec<u32>,
        /// Where.
        field: Field,
        /// The field's name; for the URI its path.
        name: String,
    },
    /// Keeps the rule as it is, in a rule of its own above it, for all but what the condition leaves out.
    Keep {
        /// The new rule's priority.
        priority: u32,
        /// Its condition.
        expression: String,
        /// What it leaves out, in words.
        but: String,
    },
    /// Puts another expression in the place of the rule's condition.
    Condition {
        /// The new one.
        expression: String,
    },
}

/// The kinds of field that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// A header's value.
    Header,
    /// A cookie's value.
    Cookie,
    /// A query or body parameter's value.
    Parameter,
    /// The URI of one path.
    Uri,
}

impl Field {
    /// Returns the key of `preconfiguredWafConfig.exclusions`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Header => "requestHeadersToExclude",
            Self::Cookie => "requestCookiesToExclude",
            Self::Parameter => "requestQueryParamsToExclude",
            Self::Uri => "requestUrisToExclude",
        }
    }

    /// Returns the word of reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Parameter => "parameter",
            Self::Uri => "URI of path",
        }
    }

    /// Returns the kind of the field that a signature matched, by the log's word; `None` where no exclusion reaches it.
    #[must_use]
    pub fn of_match(field_type: &str) -> Option<Self> {
        match field_type {
            "ARG_VALUES" => Some(Self::Parameter),
            "COOKIE_VALUES" => Some(Self::Cookie),
            "HEADER_VALUES" => Some(Self::Header),
            "RAW_URI" | "REQUEST_LINE" | "FILENAME" => Some(Self::Uri),
            _ => None, // names, bodies and methods
        }
    }

    /// Puts an attack where this field of this name is read. A URI is named by its path.
    #[must_use]
    pub fn carrying(self, attack: &Attack, path: &str, name: &str) -> Ask {
        const HOST: &str = "host.invalid";
        match self {
            Self::Parameter => attack.in_parameter(HOST, path.as_bytes(), name),
            Self::Header => attack.in_header(HOST, path.as_bytes(), name.as_bytes()),
            Self::Cookie => attack.in_cookie(HOST, path.as_bytes(), name),
            Self::Uri => attack.in_parameter(HOST, name.as_bytes(), "id"),
        }
    }
}

impl Change {
    /// Says it in a line.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exclude { set, signatures, field, name } => {
                let ids: Vec<String> = signatures.iter().map(ToString::to_string).collect();
                format!("leave the {} `{name}` out of {} of {set}", field.as_str(), ids.join(", "))
            }
            Self::Keep { priority, but, .. } => {
                format!("a rule {priority} above keeps it as it is, but for {but}")
            }
            Self::Condition { expression } => format!("make the condition {expression}"),
        }
    }
}

impl Remedy {
    fn words(words: impl Into<String>) -> Self {
        Self { words: words.into(), edit: None, command: None }
    }
}

/// Finds the narrowest remedy for a decision. `None` where nothing was refused.
#[must_use]
pub fn remedy(snapshot: &Snapshot, decision: &Decision) -> Option<Remedy> {
    let reason = decision.reason?;
    if matches!(reason, Reason::DeniedByPolicy | Reason::BodyDeniedByPolicy) {
        return Some(by_policy(snapshot, decision));
    }
    if reason == Reason::RateLimited {
        return Some(rate(snapshot, decision));
    }
    if reason == Reason::Banned {
        let words = "a ban stands; lifting it forgets what was counted of the client too";
        let command = Some(format!("portcullis ban rm {}", decision.client));
        return Some(Remedy { command, ..Remedy::words(words) });
    }
    if matches!(
        reason,
        Reason::MissingAuth
            | Reason::InvalidToken
            | Reason::AmbiguousCredential
            | Reason::MissingTenant
            | Reason::InsufficientScope
    ) {
        let words =
            "the client has to bring another token; `detail` says what is wrong with this one";
        return Some(Remedy::words(words));
    }
    if reason == Reason::TenantAccess {
        let words =
            "the caller has to keep to its own tenant; the event of the request says what it named";
        return Some(Remedy::words(words));
    }
    Some(Remedy::words(format!("no rule refused it: {}", reason.row().message)))
}

fn by_policy(snapshot: &Snapshot, decision: &Decision) -> Remedy {
    let Some(record) = &decision.enforced else {
        return Remedy::words("the policy's verdict was not kept");
    };
    let Some((id, definition)) = policy_named(snapshot, &record.name) else {
        return Remedy::words(format!("the policy `{}` is not served any more", record.name));
    };
    let Some(rule) = definition.rules.iter().find(|rule| rule.priority == record.priority) else {
        return Remedy::words(format!("rule {} is not there any more", record.priority));
    };
    let changes = if record.signatures.is_empty() {
        except_client(rule, decision).map(|change| vec![change])
    } else {
        exclusions(rule, record, decision).map(|changes| kept(definition, rule, decision, changes))
    };
    let Some(changes) = changes else {
        return Remedy::words(format!(
            "no narrow change of rule {} lets it pass: what matched has no name that an exclusion could leave out",
            rule.priority
        ));
    };
    let words: Vec<String> = changes.iter().map(Change::words).collect();
    let words = format!("rule {}: {}", rule.priority, words.join("; "));
    let Some(PolicySource::File(file)) = snapshot.config.policies.get(id.as_str()) else {
        return Remedy::words(format!("{words}; the policy is built in: copy it to a file first"));
    };
    let edit = Edit {
        policy: id.to_string(),
        file: file.clone(),
        rule: rule.priority,
        changes,
        path: path_of(&decision.target),
    };
    Remedy { words, edit: Some(edit), command: None }
}

/// Returns a policy by its own name, with its id.
pub(crate) fn policy_named<'s>(
    snapshot: &'s Snapshot,
    name: &str,
) -> Option<(&'s PolicyId, &'s Arc<SecurityPolicy>)> {
    snapshot.definitions.iter().find(|(_, definition)| definition.name == name)
}

/// One exclusion for each field; where a match has no field that can be left out, its signature is left out on this one
/// path. Both together leave everything else of the rule as it was.
fn exclusions(rule: &Rule, record: &PolicyRecord, decision: &Decision) -> Option<Vec<Change>> {
    let path = path_of(&decision.target);
    let mut changes: Vec<Change> = Vec::new();
    let mut unnamed: Vec<&SignatureRecord> = Vec::new();
    for matched in &record.signatures {
        let name = Escaped(&matched.field_name).to_string();
        match Field::of_match(&matched.field_type) {
            Some(Field::Uri) => add(&mut changes, matched, Field::Uri, path.clone()),
            Some(field) if is_name(&name) => add(&mut changes, matched, field, name),
            Some(_) | None => unnamed.push(matched),
        }
    }
    if !unnamed.is_empty() {
        changes.push(opted_out(rule, &unnamed, &path)?);
    }
    Some(changes)
}

/// Where all that is left out is parameters whose values are words, the rule stays as it is for all other values of them,
/// and on all other paths: an attack in the same field is refused as before.
fn kept(
    definition: &SecurityPolicy,
    rule: &Rule,
    decision: &Decision,
    mut changes: Vec<Change>,
) -> Vec<Change> {
    if let Some(keep) = keep(definition, rule, decision, &changes) {
        changes.insert(0, keep);
    }
    changes
}

fn keep(
    definition: &SecurityPolicy,
    rule: &Rule,
    decision: &Decision,
    changes: &[Change],
) -> Option<Change> {
    let Condition::Expression(expression) = &rule.condition else { return None };
    let path = path_of(&decision.target);
    if !is_quotable(&path) {
        return None;
    }
    let mut names = Vec::new();
    for change in changes {
        let Change::Exclude { field: Field::Parameter, name, .. } = change else { return None };
        if !is_quotable(name) || !is_of_words(&decision.target, name) {
            return None;
        }
        names.push(name.as_str());
    }
    names.sort_unstable();
    names.dedup();
    let priority = rule.priority.checked_sub(1)?;
    if names.is_empty() || definition.rules.iter().any(|other| other.priority == priority) {
        return None;
    }
    let guards: Vec<String> = names
        .iter()
        .map(|name| {
            let value = format!("request.params['{name}']");
            format!("(has({value}) && {value}.matches('[^0-9A-Za-z ]'))")
        })
        .collect();
    let whole = expression.typed.text.trim();
    Some(Change::Keep {
        priority,
        expression: format!("(request.path != '{path}' || {}) && ({whole})", guards.join(" || ")),
        but: format!("`{}` of letters, digits and spaces on {path}", names.join("`, `")),
    })
}

/// Whether a parameter is in a query, and every value of it is letters, digits and spaces. A name that is written in
/// escapes could be its own.
fn is_of_words(target: &[u8], name: &str) -> bool {
    let query = target.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    let mut found = false;
    for pair in query.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (known, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        if known.contains(&b'%') || known.contains(&b'+') {
            return false;
        }
        if known == name.as_bytes() {
            let text = str::from_utf8(value).unwrap_or("%").replace("%20", "+");
            if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Whether a text can stand between quotes in an expression.
fn is_quotable(text: &str) -> bool {
    !text.contains(['\'', '\\']) && !text.contains(char::is_control)
}

/// What Google takes as a field's name in an exclusion.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

fn add(changes: &mut Vec<Change>, matched: &SignatureRecord, wanted: Field, wanted_name: String) {
    for change in changes.iter_mut() {
        if let Change::Exclude { set, signatures, field, name } = change
            && (set.as_str(), *field, name.as_str()) == (&matched.set, wanted, &wanted_name)
        {
            if !signatures.contains(&matched.id) {
                signatures.push(matched.id);
            }
            return;
        }
    }
    changes.push(Change::Exclude {
        set: matched.set.clone(),
        signatures: vec![matched.id],
        field: wanted,
        name: wanted_name,
    });
}

/// `call` becomes `(request.path != 'P' && call) || call without the signatures`: at any other path both are as before.
fn opted_out(rule: &Rule, unnamed: &[&SignatureRecord], path: &str) -> Option<Change> {
    let Condition::Expression(expression) = &rule.condition else { return None };
    let Kind::Waf(call) = &expression.typed.root.kind else { return None };
    let has_more = expression.typed.text.contains("scoring");
    if !call.opt_in.is_empty() || call.deprecated || has_more || !is_quotable(path) {
        return None;
    }
    let mut ids: Vec<String> = call.opt_out.iter().map(|one| one.text.clone()).collect();
    ids.extend(unnamed.iter().map(|matched| matched.signature.clone()));
    ids.sort();
    ids.dedup();
    let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    let text = expression.typed.text.trim();
    let without = format!(
        "evaluatePreconfiguredWaf('{}', {{'sensitivity': {}, 'opt_out_rule_ids': [{}]}})",
        call.set.name,
        call.level(),
        ids.join(", ")
    );
    Some(Change::Condition {
        expression: format!("(request.path != '{path}' && {text}) || {without}"),
    })
}

/// A rule about addresses, countries or paths: it stays as it is for everybody but this client.
fn except_client(rule: &Rule, decision: &Decision) -> Option<Change> {
    let prefix = if decision.client.is_ipv4() { 32 } else { 64 };
    let net = ipnet::IpNet::new(decision.client, prefix).ok()?.trunc();
    let condition = match &rule.condition {
        Condition::Any => return None,
        Condition::SourceRanges(nets) => {
            let ranges: Vec<String> =
                nets.iter().map(|net| format!("inIpRange(origin.ip, '{net}')")).collect();
            ranges.join(" || ")
        }
        Condition::Expression(expression) => expression.typed.text.trim().to_owned(),
    };
    if !matches!(rule.action, Action::Deny(_) | Action::Redirect(_)) {
        return None;
    }
    Some(Change::Condition {
        expression: format!("!inIpRange(origin.ip, '{net}') && ({condition})"),
    })
}

fn rate(snapshot: &Snapshot, decision: &Decision) -> Remedy {
    let record = decision.enforced.as_ref();
    let rule = record.and_then(|record| {
        let (_, definition) = policy_named(snapshot, &record.name)?;
        definition.rules.iter().find(|rule| rule.priority == record.priority)
    });
    match rule.map(|rule| &rule.action) {
        Some(Action::Throttle(limit) | Action::RateBasedBan(limit)) => {
            let (count, secs) = (limit.threshold.count, limit.threshold.interval_secs);
            Remedy::words(format!(
                "more than {count} requests in {secs} s; it ends by itself. If the client is right, raise `count`, or count by what tells its users apart: TENANT, USER"
            ))
        }
        Some(Action::Allow | Action::Deny(_) | Action::Redirect(_) | Action::Log) | None => {
            Remedy::words("the rule is not a limit any more: it ends by itself")
        }
    }
}

pub(crate) fn path_of(target: &[u8]) -> String {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    Escaped(path).to_string()
}

/// Writes a test of a remedy: the request passes, and no attack of what the policy asks for does.
#[must_use]
pub fn test_of(snapshot: &Snapshot, config: &str, decision: &Decision) -> String {
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let request = format!(
        "{} {} HTTP/1.1\nHost: {}\n",
        Escaped(&decision.method),
        Escaped(&decision.target),
        Escaped(&decision.host)
    );
    let mut text = format!(
        "# What `portcullis why {}` was about.\nconfig: {}\n",
        decision.request_id,
        quoted(config)
    );
    text.push_str(&format!("attacks: [{}]\n", crate::trial::attacks::CATEGORIES.join(", ")));
    text.push_str(&format!(
        "cases:\n  - name: {}\n    request: {}\n    from: {}\n",
        quoted(&format!("request {} passes", decision.request_id)),
        quoted(&request),
        quoted(&decision.client.to_string())
    ));
    if !decision.region_code.is_empty() {
        text.push_str(&format!("    country: {}\n", decision.region_code));
    }
    if wants_token(snapshot, decision) {
        let tenant = decision.tenant.as_deref().unwrap_or("somebody");
        let subject = decision.subject.as_deref().unwrap_or("somebody");
        text.push_str(&format!(
            "    token: {{ subject: {}, tenant: {} }}\n",
            quoted(subject),
            quoted(tenant)
        ));
    }
    text.push_str("    expect: allow\n");
    text
}

/// Whether the route wants a token, which nobody has kept.
fn wants_token(snapshot: &Snapshot, decision: &Decision) -> bool {
    let host = decision.host.split(|byte| *byte == b':').next().unwrap_or_default();
    let path = decision.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match snapshot.router.find(host, path) {
        crate::router::Routed::Route(entry) => match &entry.route.action {
            RouteAction::Forward { identity, .. } => *identity != IdentityRule::None,
            RouteAction::Redirect { .. } => false,
        },
        crate::router::Routed::NoRoute | crate::router::Routed::NoHost => false,
    }
}
