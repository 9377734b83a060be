//! A policy as text again: the YAML that `gcloud` exports, rules by priority.

use std::fmt::Write;

use super::{
    Action, Advanced, Condition, Conform, Exceed, ExclusionField, ExclusionOperator, Expression,
    Fallback, JsonParsing, LogLevel, PolicyType, Rate, RateKey, RateKeyKind, RateLimit, Rule,
    Scoring, SecurityPolicy, extension,
};

/// Writes a policy; reading it again gives the same policy.
#[must_use]
pub fn write(policy: &SecurityPolicy) -> String {
    write_with(policy, &text_of)
}

fn text_of(_: &Rule, expression: &Expression) -> String {
    expression.typed.text.to_string()
}

/// Writes a policy with the text that `text_of` gives for each rule's expression.
pub(super) fn write_with(
    policy: &SecurityPolicy,
    text_of: &dyn Fn(&Rule, &Expression) -> String,
) -> String {
    let mut out = head(policy);
    out.push_str("rules:\n");
    for one in &policy.rules {
        rule(&mut out, one, text_of);
    }
    out
}

/// Writes what is not a rule.
pub(super) fn head(policy: &SecurityPolicy) -> String {
    let mut out = String::new();
    line(&mut out, 0, "name", &policy.name);
    if !policy.description.is_empty() {
        line(&mut out, 0, "description", &quoted(&policy.description));
    }
    let policy_type = match policy.policy_type {
        PolicyType::Backend => "CLOUD_ARMOR",
        PolicyType::Edge => "CLOUD_ARMOR_EDGE",
    };
    line(&mut out, 0, "type", policy_type);
    advanced(&mut out, &policy.advanced);
    out
}

/// Writes one rule, as an item of the list.
pub(super) fn rule_text(one: &Rule) -> String {
    let mut out = String::new();
    rule(&mut out, one, &text_of);
    out
}

fn line(out: &mut String, indent: usize, key: &str, value: &str) {
    writeln!(out, "{:indent$}{key}: {value}", "").expect("a string takes any text");
}

/// JSON's strings are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn listed(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn advanced(out: &mut String, options: &Advanced) {
    out.push_str("advancedOptionsConfig:\n");
    let parsing = match options.json_parsing {
        JsonParsing::Disabled => "DISABLED",
        JsonParsing::Standard => "STANDARD",
        JsonParsing::StandardWithGraphql => "STANDARD_WITH_GRAPHQL",
    };
    line(out, 2, "jsonParsing", parsing);
    if !options.json_content_types.is_empty() {
        line(
            out,
            2,
            "jsonCustomConfig",
            &format!("{{ contentTypes: {} }}", listed(&options.json_content_types)),
        );
    }
    let level = match options.log_level {
        LogLevel::Normal => "NORMAL",
        LogLevel::Verbose => "VERBOSE",
    };
    line(out, 2, "logLevel", level);
    if let Some(bytes) = options.body_inspection_bytes {
        line(out, 2, "requestBodyInspectionSize", &format!("{}KB", bytes / 1024));
    }
    if !options.user_ip_headers.is_empty() {
        line(out, 2, "userIpRequestHeaders", &listed(&options.user_ip_headers));
    }
}

fn rule(out: &mut String, rule: &Rule, text_of: &dyn Fn(&Rule, &Expression) -> String) {
    writeln!(out, "- priority: {}", rule.priority).expect("a string takes any text");
    if !rule.description.is_empty() {
        line(out, 2, "description", &quoted(&rule.description));
    }
    let action = match &rule.action {
        Action::Allow => "allow".to_owned(),
        Action::Deny(status) => format!("deny({})", status.as_u16()),
        Action::Throttle(_) => "throttle".to_owned(),
        Action::RateBasedBan(_) => "rate_based_ban".to_owned(),
        Action::Redirect(_) => "redirect".to_owned(),
        Action::Log => "log".to_owned(),
    };
    line(out, 2, "action", &action);
    if rule.preview {
        line(out, 2, "preview", "true");
    }
    out.push_str("  match:\n");
    match &rule.condition {
        Condition::Any => ranges(out, &["*".to_owned()]),
        Condition::SourceRanges(nets) => {
            ranges(out, &nets.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        Condition::Expression(expression) => {
            out.push_str("    expr:\n");
            line(out, 6, "expression", &quoted(&text_of(rule, expression)));
        }
    }
    match &rule.action {
        Action::Throttle(limit) | Action::RateBasedBan(limit) => rate_limit(out, limit),
        Action::Redirect(target) => redirect(out, 2, "redirectOptions", target),
        Action::Allow | Action::Deny(_) | Action::Log => {}
    }
    if !rule.headers.is_empty() {
        out.push_str("  headerAction:\n    requestHeadersToAdds:\n");
        for header in &rule.headers {
            let pair = format!(
                "- {{ headerName: {}, headerValue: {} }}",
                quoted(&header.name),
                quoted(&header.value)
            );
            writeln!(out, "    {pair}").expect("a string takes any text");
        }
    }
    if let Some(body) = &rule.deny_body {
        line(out, 2, "denyBody", body);
    }
    if let Some(end) = rule.expires {
        line(out, 2, "expires", &quoted(&extension::written(end)));
    }
    waf_config(out, rule);
}

fn ranges(out: &mut String, ranges: &[String]) {
    line(out, 4, "versionedExpr", "SRC_IPS_V1");
    line(out, 4, "config", &format!("{{ srcIpRanges: {} }}", listed(ranges)));
}

fn redirect(out: &mut String, indent: usize, key: &str, target: &str) {
    line(out, indent, key, &format!("{{ type: EXTERNAL_302, target: {} }}", quoted(target)));
}

fn rate(rate: Rate) -> String {
    format!("{{ count: {}, intervalSec: {} }}", rate.count, rate.interval_secs)
}

fn rate_limit(out: &mut String, limit: &RateLimit) {
    out.push_str("  rateLimitOptions:\n");
    line(out, 4, "rateLimitThreshold", &rate(limit.threshold));
    if let Some(ban) = limit.ban {
        line(out, 4, "banDurationSec", &ban.duration_secs.to_string());
        if let Some(threshold) = ban.threshold {
            line(out, 4, "banThreshold", &rate(threshold));
        }
    }
    let conform = match limit.conform {
        Conform::Allow => "allow",
        Conform::Continue => "continue",
    };
    line(out, 4, "conformAction", conform);
    match &limit.exceed {
        Exceed::Deny(status) => line(out, 4, "exceedAction", &format!("deny({})", status.as_u16())),
        Exceed::Redirect(target) => {
            line(out, 4, "exceedAction", "redirect");
            redirect(out, 4, "exceedRedirectOptions", target);
        }
    }
    out.push_str("    enforceOnKeyConfigs:\n");
    for one in &limit.keys {
        writeln!(out, "    - {{ {} }}", key(one)).expect("a string takes any text");
    }
}

fn key(key: &RateKey) -> String {
    let named = |kind: &str, name: &str| format!("{kind}, enforceOnKeyName: {}", quoted(name));
    let kind = match &key.kind {
        RateKeyKind::All => "ALL".to_owned(),
        RateKeyKind::Ip => "IP".to_owned(),
        RateKeyKind::HttpHeader(name) => named("HTTP_HEADER", name),
        RateKeyKind::HttpCookie(name) => named("HTTP_COOKIE", name),
        RateKeyKind::XffIp => "XFF_IP".to_owned(),
        RateKeyKind::HttpPath => "HTTP_PATH".to_owned(),
        RateKeyKind::Sni => "SNI".to_owned(),
        RateKeyKind::RegionCode => "REGION_CODE".to_owned(),
        RateKeyKind::Ja3 => "TLS_JA3_FINGERPRINT".to_owned(),
        RateKeyKind::Ja4 => "TLS_JA4_FINGERPRINT".to_owned(),
        RateKeyKind::UserIp => "USER_IP".to_owned(),
        RateKeyKind::Asn => "ASN".to_owned(),
        RateKeyKind::Tenant => "TENANT".to_owned(),
        RateKeyKind::User => "USER".to_owned(),
        RateKeyKind::LicenseKey => "LICENSE_KEY".to_owned(),
        RateKeyKind::Expression(expression) => {
            format!("EXPRESSION, enforceOnKeyExpression: {}", quoted(&expression.typed.text))
        }
    };
    let fallback = match key.fallback {
        None => "",
        Some(Fallback::All) => ", fallback: all",
        Some(Fallback::Ip) => ", fallback: ip",
        Some(Fallback::Skip) => ", fallback: skip",
        Some(Fallback::Deny) => ", fallback: deny",
    };
    format!("enforceOnKeyType: {kind}{fallback}")
}

fn waf_config(out: &mut String, rule: &Rule) {
    if rule.exclusions.is_empty() && rule.scoring == Scoring::Any {
        return;
    }
    out.push_str("  preconfiguredWafConfig:\n");
    if let Scoring::Anomaly { threshold } = rule.scoring {
        line(out, 4, "scoring", "anomaly");
        line(out, 4, "anomalyThreshold", &threshold.to_string());
    }
    if !rule.exclusions.is_empty() {
        out.push_str("    exclusions:\n");
    }
    for exclusion in &rule.exclusions {
        writeln!(out, "    - targetRuleSet: {}", exclusion.set).expect("a string takes any text");
        if !exclusion.signatures.is_empty() {
            let ids: Vec<String> = exclusion.signatures.iter().map(ToString::to_string).collect();
            line(out, 6, "targetRuleIds", &listed(&ids));
        }
        let kinds = [
            ("requestHeadersToExclude", ExclusionField::Header),
            ("requestCookiesToExclude", ExclusionField::Cookie),
            ("requestQueryParamsToExclude", ExclusionField::QueryParam),
            ("requestUrisToExclude", ExclusionField::Uri),
        ];
        for (name, field) in kinds {
            let fields = exclusion.fields.iter().filter(|pattern| pattern.field == field);
            let written: Vec<String> = fields.map(|pattern| operator(&pattern.operator)).collect();
            if !written.is_empty() {
                line(out, 6, name, &format!("[{}]", written.join(", ")));
            }
        }
    }
}

fn operator(operator: &ExclusionOperator) -> String {
    let (word, value) = match operator {
        ExclusionOperator::Equals(value) => ("EQUALS", value),
        ExclusionOperator::StartsWith(value) => ("STARTS_WITH", value),
        ExclusionOperator::EndsWith(value) => ("ENDS_WITH", value),
        ExclusionOperator::Contains(value) => ("CONTAINS", value),
        ExclusionOperator::Any => return "{ op: EQUALS_ANY }".to_owned(),
    };
    format!("{{ op: {word}, val: {} }}", quoted(value))
}
