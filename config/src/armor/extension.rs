//! What a rule may say beyond Google's schema: the body of its refusals, and when it ends.

use serde_json::{Map, Value as Json};

use super::document::{Value, ValueKind};
use super::policy::{Action, DEFAULT_PRIORITY};
use super::reader::{Fields, Reader};
use crate::Timestamp;

/// The longest body of a refusal, as JSON.
const BODY_BYTES_MAX: usize = 4096;

/// Reads `denyBody`. The outer `None` is a problem.
pub(super) fn deny_body(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    action: Option<&Action>,
) -> Option<Option<String>> {
    let Some(value) = fields.value("denyBody") else { return Some(None) };
    if let Some(Action::Allow | Action::Redirect(_) | Action::Log) = action {
        let key = fields.key("denyBody").unwrap_or(value);
        reader.error("not-of-this-action", key, "`denyBody` goes with an action that refuses");
        return None;
    }
    if !matches!(value.kind, ValueKind::Map(_)) {
        let message = format!("`denyBody` is a map, found {}", value.kind.as_str());
        reader.error("type", value, message);
        return None;
    }
    let text = json(reader, value)?.to_string();
    if text.len() > BODY_BYTES_MAX {
        let message = format!("`denyBody` is longer than {BODY_BYTES_MAX} bytes as JSON");
        reader.error("deny-body", value, message);
        return None;
    }
    Some(Some(text))
}

/// YAML is parsed within a depth and size of its own, so this ends.
fn json(reader: &mut Reader<'_>, value: &Value) -> Option<Json> {
    Some(match &value.kind {
        ValueKind::Null => Json::Null,
        ValueKind::Bool(value) => (*value).into(),
        ValueKind::Int(number) => (*number).into(),
        ValueKind::Float => {
            let written = reader.location(value);
            let number = written.text().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            // What JSON has no number for, such as `nan`, is a word.
            number.map_or_else(|| written.text().into(), Json::Number)
        }
        ValueKind::Text(text) => text.as_str().into(),
        ValueKind::List(items) => {
            Json::Array(items.iter().map(|item| json(reader, item)).collect::<Option<_>>()?)
        }
        ValueKind::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let ValueKind::Text(name) = &key.kind else {
                    reader.error("type", key, "a key is text");
                    return None;
                };
                map.insert(name.clone(), json(reader, value)?);
            }
            Json::Object(map)
        }
    })
}

/// Reads `expires`. The outer `None` is a problem.
pub(super) fn expires(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    priority: Option<u32>,
) -> Option<Option<Timestamp>> {
    if fields.value("expires").is_none() {
        return Some(None);
    }
    let (text, at) = reader.text(fields, "expires")?;
    let parsed = text.parse::<jiff::Timestamp>().ok();
    let Some(millis) = parsed.and_then(|time| u64::try_from(time.as_millisecond()).ok()) else {
        let help = "write a moment with its offset, as in 2027-01-31T00:00:00Z";
        reader.error_with_help("expires", at, format!("`{text}` is no moment"), help);
        return None;
    };
    if priority == Some(DEFAULT_PRIORITY) {
        reader.error("default-rule", at, "the default rule does not expire");
        return None;
    }
    Some(Some(Timestamp::from_millis(millis)))
}

/// Writes a moment as [`expires`] reads it.
pub(super) fn written(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}
