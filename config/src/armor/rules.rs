//! One rule: action, condition, headers.

use ipnet::IpNet;

use super::document::{Value, ValueKind};
use super::import::BrokenRule;
use super::policy::{
    Action, Condition, DEFAULT_PRIORITY, DenyStatus, HeaderToAdd, RateLimit, Rule,
};
use super::reader::{Fields, Reader};
use super::{accepted, exclusions, extension, options, rate};
use crate::expr;

const RULE_KEYS: &[&str] = &[
    "priority",
    "action",
    "preview",
    "description",
    "match",
    "rateLimitOptions",
    "redirectOptions",
    "headerAction",
    "preconfiguredWafConfig",
    "denyBody",
    "expires",
];

pub(super) fn rule(
    reader: &mut Reader<'_>,
    value: &Value,
    bookkeeping: &mut Vec<String>,
) -> Option<Rule> {
    let mut known = RULE_KEYS.to_vec();
    known.extend(accepted::keys("rule"));
    let fields = reader.fields(value, "a rule", &known)?;
    options::table(reader, "rule", &fields, bookkeeping);
    let priority = required(reader, &fields, "priority", |reader, fields| {
        reader.number(fields, "priority", 0..=DEFAULT_PRIORITY)
    });
    let action = required(reader, &fields, "action", action);
    let condition = required(reader, &fields, "match", condition);
    let headers = headers(reader, &fields);
    let (exclusions, scoring) = exclusions::waf_config(reader, &fields);
    let deny_body = extension::deny_body(reader, &fields, action.as_ref());
    let expires = extension::expires(reader, &fields, priority);
    let preview = reader.flag(&fields, "preview").unwrap_or(false);
    let description = options::description(reader, &fields);
    if matches!(action, Some(Action::Allow)) && !exclusions.is_empty() {
        let at = fields.key("preconfiguredWafConfig").unwrap_or(value);
        reader.error("exclusions", at, "exclusions are not allowed in an `allow` rule");
    }
    Some(Rule {
        priority: priority?,
        action: action?,
        preview,
        description,
        condition: condition?,
        headers: headers?,
        exclusions,
        scoring,
        deny_body: deny_body?,
        expires: expires?,
        at: reader.location(value),
    })
}

/// Returns what can be told of a rule that does not load.
pub(super) fn sketch(value: &Value) -> BrokenRule {
    let text = |of: &Value, names: &[&str]| match entry(of, names).map(|found| &found.kind) {
        Some(ValueKind::Text(text)) => Some(text.clone()),
        Some(ValueKind::Int(number)) => Some(number.to_string()),
        Some(_) | None => None,
    };
    let expression = entry(value, &["match"]).and_then(|found| entry(found, &["expr"]));
    BrokenRule {
        priority: text(value, &["priority"]).and_then(|text| text.parse().ok()),
        expression: expression.and_then(|found| text(found, &["expression"])),
        description: text(value, &["description"]).unwrap_or_default(),
        problems: Vec::new(),
    }
}

fn entry<'v>(of: &'v Value, names: &[&str]) -> Option<&'v Value> {
    let ValueKind::Map(entries) = &of.kind else { return None };
    let named =
        |key: &Value| matches!(&key.kind, ValueKind::Text(name) if names.contains(&name.as_str()));
    entries.iter().find(|(key, _)| named(key)).map(|(_, value)| value)
}

/// Reads a field that must be there.
fn required<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    read: fn(&mut Reader<'_>, &Fields<'_>) -> Option<T>,
) -> Option<T> {
    if fields.value(name).is_none() {
        reader.error("missing-key", fields.whole(), format!("a rule has a `{name}`"));
        return None;
    }
    read(reader, fields)
}

fn action(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Action> {
    let (text, value) = reader.text(fields, "action")?;
    let spelled = text.trim().to_ascii_lowercase().replace('-', "_");
    let limit = matches!(spelled.as_str(), "throttle" | "rate_based_ban");
    forbid(reader, fields, "rateLimitOptions", limit, text);
    forbid(reader, fields, "redirectOptions", spelled == "redirect", text);
    match spelled.as_str() {
        "allow" => Some(Action::Allow),
        "log" => Some(Action::Log),
        "throttle" => rate_limit(reader, fields, false).map(Action::Throttle),
        "rate_based_ban" => rate_limit(reader, fields, true).map(Action::RateBasedBan),
        "redirect" => redirect(reader, fields, "redirectOptions").map(Action::Redirect),
        "deny" => {
            reader.warn(
                "bare-deny",
                value,
                "`deny` without a status is read as `deny(403)`",
                "write deny(403)",
            );
            Some(Action::Deny(DenyStatus(403)))
        }
        _ => {
            // a deny with a status, or nothing known
            let status = deny_status(&spelled);
            if status.is_none() {
                let help = "one of allow, deny(403), deny(404), deny(502), throttle, rate_based_ban, redirect, log";
                reader.error_with_help(
                    "unknown-value",
                    value,
                    format!("`{text}` is no action"),
                    help,
                );
            }
            if status == Some(DenyStatus(429)) {
                let help = "on Google 429 is an exceed action only; here it refuses with 429";
                reader.warn("deny-429", value, "`deny(429)` as a rule's action", help);
            }
            status.map(Action::Deny)
        }
    }
}

fn forbid(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, allowed: bool, action: &str) {
    if let (false, Some(key)) = (allowed, fields.present(name)) {
        reader.error("not-of-this-action", key, format!("`{name}` does not go with `{action}`"));
    }
}

/// Reads `deny(403)`, also as gcloud writes it: `deny-403`.
pub(super) fn deny_status(spelled: &str) -> Option<DenyStatus> {
    let folded = spelled.trim().to_ascii_lowercase().replace('-', "_");
    let digits = folded
        .strip_prefix("deny(")
        .and_then(|rest| rest.strip_suffix(')'))
        .or_else(|| folded.strip_prefix("deny_"))?;
    let status = digits.trim().parse().ok()?;
    matches!(status, 403 | 404 | 429 | 502).then_some(DenyStatus(status))
}

fn rate_limit(reader: &mut Reader<'_>, fields: &Fields<'_>, bans: bool) -> Option<RateLimit> {
    let Some(value) = fields.value("rateLimitOptions") else {
        reader.error("missing-key", fields.whole(), "a rate rule has `rateLimitOptions`");
        return None;
    };
    rate::rate_limit(reader, value, bans)
}

/// Reads a redirect's options and returns its target.
pub(super) fn redirect(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    let Some(value) = fields.value(name) else {
        reader.error("missing-key", fields.whole(), format!("a redirect has `{name}`"));
        return None;
    };
    let options = reader.fields(value, "redirect options", &["type", "target"])?;
    let external = match reader.text(&options, "type") {
        Some(("EXTERNAL_302", _)) => true,
        Some(("GOOGLE_RECAPTCHA", at)) => {
            let help = "no reCAPTCHA challenge exists here; use EXTERNAL_302 to a page of your own, or deny(403)";
            reader.error_with_help(
                "not-supported",
                at,
                "`GOOGLE_RECAPTCHA` is not supported",
                help,
            );
            false
        }
        Some((unknown, at)) => {
            let help = "write EXTERNAL_302";
            reader.error_with_help(
                "unknown-value",
                at,
                format!("`{unknown}` is no redirect type"),
                help,
            );
            false
        }
        None => {
            reader.error("missing-key", value, "a redirect has a `type`");
            false
        }
    };
    if !external {
        return None;
    }
    let Some((target, at)) = reader.text(&options, "target") else {
        reader.error("missing-key", value, "a redirect has a `target`");
        return None;
    };
    let fits = (target.starts_with("https://")
        || target.starts_with("http://")
        || target.starts_with('/'))
        && target.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        reader.error("redirect-target", at, format!("`{target}` is no location"));
        return None;
    }
    Some(target.to_owned())
}

fn condition(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Condition> {
    let value = fields.value("match")?;
    let mut known = vec!["versionedExpr", "config", "srcIpRanges", "expr"];
    known.extend(accepted::keys("match"));
    let fields = reader.fields(value, "`match`", &known)?;
    options::table(reader, "match", &fields, &mut Vec::new());
    if let Some(expr) = fields.value("expr") {
        if let Some(key) = fields.present("versionedExpr").or_else(|| fields.present("config")) {
            let help = "delete `versionedExpr` and `config`";
            reader.warn(
                "two-conditions",
                key,
                "a rule has `expr` or `versionedExpr`: `expr` counts",
                help,
            );
        }
        let expr =
            reader.fields(expr, "`expr`", &["expression", "title", "description", "location"])?;
        let Some(expression) = expr.value("expression") else {
            reader.error("missing-key", expr.whole(), "`expr` has an `expression`");
            return None;
        };
        return reader
            .expression(expression, expr::parse_and_check)
            .map(|expression| Condition::Expression(Box::new(expression)));
    }
    source_ranges(reader, &fields)
}

fn source_ranges(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Condition> {
    if let Some((version, at)) = reader.text(fields, "versionedExpr")
        && version != "SRC_IPS_V1"
    {
        reader.error_with_help(
            "unknown-value",
            at,
            format!("`{version}` is no versioned expression"),
            "write SRC_IPS_V1",
        );
        return None;
    }
    let items = match fields.value("config") {
        Some(config) => {
            let config = reader.fields(config, "`config`", &["srcIpRanges"])?;
            reader.list(&config, "srcIpRanges")
        }
        None => reader.list(fields, "srcIpRanges"),
    };
    if items.is_empty() {
        reader.error(
            "missing-key",
            fields.whole(),
            "`match` has an `expr`, or `versionedExpr` with `srcIpRanges`",
        );
        return None;
    }
    let mut nets = Vec::with_capacity(items.len());
    let mut any = false;
    for item in items {
        match &item.kind {
            ValueKind::Text(text) if text == "*" => any = true,
            ValueKind::Text(text) => nets.extend(range(reader, item, text)),
            ValueKind::Null
            | ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::Float
            | ValueKind::List(_)
            | ValueKind::Map(_) => reader.error("ip-range", item, "a range is text"),
        }
    }
    if any {
        return Some(Condition::Any);
    }
    (nets.len() == items.len()).then_some(Condition::SourceRanges(nets))
}

fn range(reader: &mut Reader<'_>, at: &Value, text: &str) -> Option<IpNet> {
    let parsed = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    let Some(net) = parsed else {
        reader.error("ip-range", at, format!("`{text}` is no address and no range"));
        return None;
    };
    if net != net.trunc() {
        let help = format!("write {}", net.trunc());
        reader.warn("host-bits", at, format!("`{text}` has bits set beyond its prefix"), help);
    }
    Some(net.trunc())
}

/// Headers that the edge itself sets or that frame the message are not a policy's to set.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "authorization",
];

fn headers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Vec<HeaderToAdd>> {
    let Some(value) = fields.value("headerAction") else { return Some(Vec::new()) };
    let fields = reader.fields(value, "`headerAction`", &["requestHeadersToAdds"])?;
    let items = reader.list(&fields, "requestHeadersToAdds");
    let mut headers = Vec::with_capacity(items.len());
    for item in items {
        let Some(fields) = reader.fields(item, "a header to add", &["headerName", "headerValue"])
        else {
            continue;
        };
        let Some((name, at)) = reader.text(&fields, "headerName") else {
            reader.error("missing-key", item, "a header to add has a `headerName`");
            continue;
        };
        let value = reader.text(&fields, "headerValue").map_or("", |(value, _)| value);
        if header_fits(name, value) {
            headers.push(HeaderToAdd { name: name.to_owned(), value: value.to_owned() });
        } else {
            reader.error(
                "header",
                at,
                format!("`{name}` with this value is no header that a policy may set"),
            );
        }
    }
    (headers.len() == items.len()).then_some(headers)
}

fn header_fits(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let visible = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    let folded = name.to_ascii_lowercase().replace('_', "-");
    !name.is_empty()
        && name.bytes().all(token)
        && value.bytes().all(visible)
        && !RESERVED_HEADERS.contains(&folded.as_str())
        && !folded.starts_with("x-edge-")
}
