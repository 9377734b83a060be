//! The policy object: its name, its options, and the whole of its rules.

use super::accepted::{self, Fate};
use super::document::Value;
use super::import::BrokenRule;
use super::policy::{
    Advanced, Condition, DEFAULT_PRIORITY, JsonParsing, LogLevel, PolicyType, Rule, SecurityPolicy,
};
use super::reader::{Fields, Reader};
use super::rules;

/// The longest description of the API.
const DESCRIPTION_CHARS_MAX: usize = 2048;
/// The most rules of a policy.
const RULES_MAX: usize = 10_000;

pub(super) fn policy(reader: &mut Reader<'_>, root: &Value) -> Option<SecurityPolicy> {
    let (policy, broken) = lenient_policy(reader, root);
    let whole = broken.is_empty();
    for rule in broken {
        for problem in rule.problems {
            reader.push(problem);
        }
    }
    policy.filter(|_| whole)
}

/// Reads a policy without the rules that do not load, and those beside it.
pub(super) fn lenient_policy(
    reader: &mut Reader<'_>,
    root: &Value,
) -> (Option<SecurityPolicy>, Vec<BrokenRule>) {
    let mut known = vec!["name", "description", "type", "rules", "advancedOptionsConfig"];
    known.extend(accepted::keys("policy"));
    let Some(fields) = reader.fields(root, "a security policy", &known) else {
        return (None, Vec::new());
    };
    let mut bookkeeping = Vec::new();
    table(reader, "policy", &fields, &mut bookkeeping);
    let name = name(reader, &fields);
    let description = description(reader, &fields);
    let policy_type = policy_type(reader, &fields);
    let advanced = advanced(reader, &fields);
    let (rules, broken) = all_rules(reader, &fields, &mut bookkeeping);
    mention(reader, &fields, &mut bookkeeping);
    let at = reader.location(root);
    let policy =
        name.map(|name| SecurityPolicy { name, description, policy_type, rules, advanced, at });
    (policy, broken)
}

/// Applies the table of what is not enforced to the keys that are there.
pub(super) fn table(
    reader: &mut Reader<'_>,
    of: &str,
    fields: &Fields<'_>,
    bookkeeping: &mut Vec<String>,
) {
    let present: Vec<String> = fields.names().map(str::to_owned).collect();
    for name in present {
        let (Some(row), Some(key)) = (accepted::find(of, &name), fields.key(&name)) else {
            continue;
        };
        if fields.value(&name).is_none() {
            continue;
        }
        match row.fate {
            Fate::Bookkeeping => bookkeeping.push(name),
            Fate::NotEnforced => {
                reader.warn(
                    "not-enforced",
                    key,
                    format!("`{name}` is accepted, not enforced"),
                    row.reason,
                );
            }
            Fate::Refused => reader.error_with_help(
                "not-supported",
                key,
                format!("`{name}` is not supported"),
                row.reason,
            ),
        }
    }
}

fn mention(reader: &mut Reader<'_>, fields: &Fields<'_>, bookkeeping: &mut Vec<String>) {
    bookkeeping.sort_unstable();
    bookkeeping.dedup();
    if !bookkeeping.is_empty() {
        let message = format!("without meaning here: `{}`", bookkeeping.join("`, `"));
        reader.warn(
            "bookkeeping",
            fields.whole(),
            message,
            "these are Google's own notes; they may be deleted",
        );
    }
}

fn name(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let Some((name, value)) = reader.text(fields, "name") else {
        if fields.value("name").is_none() {
            reader.error("missing-key", fields.whole(), "a security policy has a `name`");
        }
        return None;
    };
    let tail_fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = name.len() <= 63
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && name.bytes().all(tail_fits)
        && !name.ends_with('-');
    if !fits {
        let help = "1 to 63 of a-z, 0-9 and -, starting with a letter";
        reader.error_with_help("name", value, format!("`{name}` is no policy name"), help);
    }
    Some(name.to_owned())
}

pub(super) fn description(reader: &mut Reader<'_>, fields: &Fields<'_>) -> String {
    let Some((text, value)) = reader.text(fields, "description") else { return String::new() };
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        reader.error(
            "description",
            value,
            format!("longer than {DESCRIPTION_CHARS_MAX} characters"),
        );
    }
    text.to_owned()
}

fn policy_type(reader: &mut Reader<'_>, fields: &Fields<'_>) -> PolicyType {
    let Some((text, value)) = reader.text(fields, "type") else { return PolicyType::Backend };
    match text {
        "CLOUD_ARMOR" => PolicyType::Backend,
        "CLOUD_ARMOR_EDGE" => PolicyType::Edge,
        "CLOUD_ARMOR_NETWORK" | "CLOUD_ARMOR_INTERNAL_SERVICE" => {
            let help = "a network policy filters packets and an internal-service policy a mesh: both are below a reverse proxy";
            reader.error_with_help(
                "not-supported",
                value,
                format!("a policy of type `{text}` is not supported"),
                help,
            );
            PolicyType::Backend
        }
        unknown => {
            let help = "one of CLOUD_ARMOR, CLOUD_ARMOR_EDGE";
            reader.error_with_help(
                "unknown-value",
                value,
                format!("`{unknown}` is no policy type"),
                help,
            );
            PolicyType::Backend
        }
    }
}

fn advanced(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Advanced {
    let mut advanced = Advanced {
        json_parsing: JsonParsing::Disabled,
        json_content_types: Vec::new(),
        body_inspection_bytes: None,
        log_level: LogLevel::Normal,
        user_ip_headers: Vec::new(),
    };
    let known = [
        "jsonParsing",
        "jsonCustomConfig",
        "logLevel",
        "userIpRequestHeaders",
        "requestBodyInspectionSize",
    ];
    let Some(value) = fields.value("advancedOptionsConfig") else { return advanced };
    let Some(options) = reader.fields(value, "`advancedOptionsConfig`", &known) else {
        return advanced;
    };
    let parsing = [
        ("DISABLED", JsonParsing::Disabled),
        ("STANDARD", JsonParsing::Standard),
        ("STANDARD_WITH_GRAPHQL", JsonParsing::StandardWithGraphql),
    ];
    advanced.json_parsing =
        reader.word(&options, "jsonParsing", &parsing).unwrap_or(JsonParsing::Disabled);
    let levels = [("NORMAL", LogLevel::Normal), ("VERBOSE", LogLevel::Verbose)];
    advanced.log_level = reader.word(&options, "logLevel", &levels).unwrap_or(LogLevel::Normal);
    let sizes =
        [("8KB", 8_192), ("16KB", 16_384), ("32KB", 32_768), ("48KB", 49_152), ("64KB", 65_536)];
    advanced.body_inspection_bytes = reader.word(&options, "requestBodyInspectionSize", &sizes);
    if let Some(size) = options.value("requestBodyInspectionSize") {
        let message = "`requestBodyInspectionSize` has no effect: how much of a body is inspected is the route's";
        reader.warn("not-enforced", size, message, "set `body: { inspect: … }` on the route");
    }
    advanced.user_ip_headers = lowered(reader, &options, "userIpRequestHeaders");
    if let Some(custom) = options.value("jsonCustomConfig")
        && let Some(custom) = reader.fields(custom, "`jsonCustomConfig`", &["contentTypes"])
    {
        advanced.json_content_types = lowered(reader, &custom, "contentTypes");
        let message = "`jsonCustomConfig` has no effect: a body that looks like JSON is read as JSON, whatever its type";
        reader.warn("not-enforced", custom.whole(), message, "take it out");
        if advanced.json_parsing == JsonParsing::Disabled {
            reader.error(
                "json",
                custom.whole(),
                "`jsonCustomConfig` needs `jsonParsing: STANDARD`",
            );
        }
    }
    advanced
}

fn lowered(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Vec<String> {
    let items = reader.list(fields, name);
    items
        .iter()
        .filter_map(|item| reader.text_of(item, name))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn all_rules(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    bookkeeping: &mut Vec<String>,
) -> (Vec<Rule>, Vec<BrokenRule>) {
    let items = reader.list(fields, "rules");
    if items.len() > RULES_MAX {
        reader.error("too-many-rules", fields.whole(), format!("more than {RULES_MAX} rules"));
        return (Vec::new(), Vec::new());
    }
    let mut rules = Vec::with_capacity(items.len());
    let mut broken = Vec::new();
    for item in items {
        let before = reader.mark();
        match rules::rule(reader, item, bookkeeping) {
            Some(rule) => rules.push((rule, item)),
            None => {
                broken.push(BrokenRule { problems: reader.since(before), ..rules::sketch(item) })
            }
        }
    }
    rules.sort_by_key(|(rule, _)| rule.priority);
    for pair in rules.windows(2) {
        if let [(first, _), (second, value)] = pair
            && first.priority == second.priority
        {
            let help = format!("the other stands at {}", first.at);
            reader.error_with_help(
                "duplicate-priority",
                value,
                format!("priority {} is taken", second.priority),
                help,
            );
        }
    }
    let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
    if broken.is_empty() {
        default_rule(reader, fields, &rules);
    }
    (rules, broken)
}

fn default_rule(reader: &mut Reader<'_>, fields: &Fields<'_>, rules: &[Rule]) {
    let at = fields.key("rules").unwrap_or_else(|| fields.whole());
    match rules.last() {
        Some(last) if last.priority == DEFAULT_PRIORITY => {
            if !matches!(last.condition, Condition::Any) {
                reader.error(
                    "default-rule",
                    at,
                    format!("the rule at {DEFAULT_PRIORITY} matches everything: `*`"),
                );
            }
        }
        Some(_) | None => {
            let help = "Google's pages disagree on what a missing default rule means, so it is written out: \
                        allow or deny(403), with `srcIpRanges: ['*']`";
            reader.error_with_help(
                "default-rule",
                at,
                format!("no default rule: none has priority {DEFAULT_PRIORITY}"),
                help,
            );
        }
    }
}
