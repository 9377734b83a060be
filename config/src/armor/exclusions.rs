//! `preconfiguredWafConfig`: which fields the WAF questions of a rule leave out, and how their matches are scored.

use super::document::{Value, ValueKind};
use super::policy::{Exclusion, ExclusionField, ExclusionOperator, FieldPattern, Scoring};
use super::reader::{Fields, Reader};
use crate::expr::{SetVersion, WafSet};

/// The most fields of one kind for one target.
const FIELDS_MAX: usize = 100;

const KINDS: &[(&str, ExclusionField)] = &[
    ("requestHeadersToExclude", ExclusionField::Header),
    ("requestCookiesToExclude", ExclusionField::Cookie),
    ("requestQueryParamsToExclude", ExclusionField::QueryParam),
    ("requestUrisToExclude", ExclusionField::Uri),
];

/// The score of one critical signature, which the Core Rule Set refuses at.
const THRESHOLD: u32 = 5;
const THRESHOLD_MAX: u32 = 10_000;

pub(super) fn waf_config(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
) -> (Vec<Exclusion>, Scoring) {
    let nothing = (Vec::new(), Scoring::Any);
    let Some(value) = fields.value("preconfiguredWafConfig") else { return nothing };
    let known = ["exclusions", "scoring", "anomalyThreshold"];
    let Some(fields) = reader.fields(value, "`preconfiguredWafConfig`", &known) else {
        return nothing;
    };
    let items = reader.list(&fields, "exclusions");
    let exclusions = items.iter().filter_map(|item| exclusion(reader, item)).collect();
    (exclusions, scoring(reader, &fields))
}

fn scoring(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Scoring {
    let is_anomaly = reader.word(fields, "scoring", &[("any", false), ("anomaly", true)]);
    if is_anomaly == Some(true) {
        let threshold = reader.number(fields, "anomalyThreshold", 1..=THRESHOLD_MAX);
        return Scoring::Anomaly { threshold: threshold.unwrap_or(THRESHOLD) };
    }
    if let Some(key) = fields.present("anomalyThreshold") {
        reader.error("not-of-this-scoring", key, "`anomalyThreshold` goes with `scoring: anomaly`");
    }
    Scoring::Any
}

fn exclusion(reader: &mut Reader<'_>, value: &Value) -> Option<Exclusion> {
    let mut known = vec!["targetRuleSet", "targetRuleIds"];
    known.extend(KINDS.iter().map(|(name, _)| *name));
    let fields = reader.fields(value, "an exclusion", &known)?;
    let Some((set, at)) = reader.text(&fields, "targetRuleSet") else {
        reader.error("missing-key", value, "an exclusion has a `targetRuleSet`");
        return None;
    };
    let Some(set) = WafSet::parse(set) else {
        reader.error("unknown-waf-set", at, format!("unknown preconfigured rule set `{set}`"));
        return None;
    };
    let mut signatures = Vec::new();
    for item in reader.list(&fields, "targetRuleIds") {
        signatures.extend(signature(reader, item, &set));
    }
    let mut patterns = Vec::new();
    for (name, field) in KINDS {
        let items = reader.list(&fields, name);
        if items.len() > FIELDS_MAX {
            reader.error("exclusions", value, format!("more than {FIELDS_MAX} of `{name}`"));
        }
        for item in items {
            patterns.extend(
                pattern(reader, item).map(|operator| FieldPattern { field: *field, operator }),
            );
        }
    }
    if patterns.is_empty() {
        reader.error("missing-key", value, "an exclusion names fields to leave out");
    }
    Some(Exclusion { set: set.name, signatures, fields: patterns, at: reader.location(value) })
}

fn signature(reader: &mut Reader<'_>, item: &Value, set: &WafSet) -> Option<u32> {
    let text = match &item.kind {
        ValueKind::Text(text) => text.clone(),
        ValueKind::Int(number) => number.to_string(),
        ValueKind::Null
        | ValueKind::Bool(_)
        | ValueKind::Float
        | ValueKind::List(_)
        | ValueKind::Map(_) => {
            reader.error("waf-signature", item, "a signature is named by text");
            return None;
        }
    };
    match crate::expr::signature_id(&text) {
        Some((version, id))
            if version.is_none_or(|version| version == SetVersion::in_signature(set.version)) =>
        {
            Some(id)
        }
        Some(_) => {
            reader.error(
                "waf-signature",
                item,
                format!("`{text}` is not of the version of `{}`", set.name),
            );
            None
        }
        None => {
            reader.error("waf-signature", item, format!("`{text}` is no signature id"));
            None
        }
    }
}

fn pattern(reader: &mut Reader<'_>, item: &Value) -> Option<ExclusionOperator> {
    let fields =
        reader.fields(item, "a field to leave out", &["op", "operator", "val", "value"])?;
    let named = if fields.value("op").is_some() { "op" } else { "operator" };
    let valued = if fields.value("val").is_some() { "val" } else { "value" };
    let Some((operator, at)) = reader.text(&fields, named) else {
        reader.error("missing-key", item, "a field to leave out has an `op`");
        return None;
    };
    let value = reader.text(&fields, valued).map(|(value, _)| value.to_ascii_lowercase());
    let make: fn(String) -> ExclusionOperator = match operator {
        "EQUALS" => ExclusionOperator::Equals,
        "STARTS_WITH" => ExclusionOperator::StartsWith,
        "ENDS_WITH" => ExclusionOperator::EndsWith,
        "CONTAINS" => ExclusionOperator::Contains,
        "EQUALS_ANY" if value.is_none() => return Some(ExclusionOperator::Any),
        "EQUALS_ANY" => {
            reader.error("exclusions", at, "EQUALS_ANY takes no `val`");
            return None;
        }
        unknown => {
            let help = "one of EQUALS, STARTS_WITH, ENDS_WITH, CONTAINS, EQUALS_ANY";
            reader.error_with_help(
                "unknown-value",
                at,
                format!("`{unknown}` is no operator"),
                help,
            );
            return None;
        }
    };
    match value {
        Some(value) if !value.is_empty() => Some(make(value)),
        Some(_) | None => {
            reader.error("missing-key", item, format!("{operator} takes a `val`"));
            None
        }
    }
}
