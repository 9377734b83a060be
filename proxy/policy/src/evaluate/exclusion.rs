//! Exclusions: which matches a rule leaves out, and the request as it would be without the excluded values.
//!
//! Most matches are decided by the name of the field in which they stand. A match in the URI, which holds parameters,
//! or of a chain, whose links look at each other's values, is not: the rules are asked once more, about a request
//! whose excluded values are empty.

use std::borrow::Cow;

use portcullis_config::armor::{ExclusionField, ExclusionOperator, FieldPattern};
use serde_json::Value as Json;

use crate::compile::{Question, QuestionExclusion};
use crate::decode;
use crate::request::{Header, RequestHead};
use crate::waf::{Shape, WafField, WafMatch, readings};

/// Whether the exclusion is about the rule.
pub(super) fn concerns(exclusion: &QuestionExclusion, id: u32) -> bool {
    exclusion.ids.is_empty() || exclusion.ids.binary_search(&id).is_ok()
}

/// Whether the match stands in a field that the question leaves out by its name.
pub(super) fn leaves_out(question: &Question, found: &WafMatch, head: &RequestHead<'_>) -> bool {
    let fits = |exclusion: &QuestionExclusion| {
        concerns(exclusion, found.id)
            && exclusion.fields.iter().any(|pattern| field_fits(pattern, found, head))
    };
    question.exclusions.iter().any(fits)
}

/// Whether the names of fields do not tell if the match would be there without the values that these patterns name.
pub(super) fn is_open<'p>(
    found: &WafMatch,
    patterns: impl IntoIterator<Item = &'p FieldPattern>,
) -> bool {
    let in_uri = matches!(found.field, WafField::Uri | WafField::RequestLine);
    let derived = found.is_chained || found.field == WafField::Other;
    patterns.into_iter().any(|pattern| match pattern.field {
        ExclusionField::QueryParam => in_uri || derived,
        ExclusionField::Header | ExclusionField::Cookie => derived,
        ExclusionField::Uri => false,
    })
}

/// Values are left out, names are still inspected.
fn field_fits(pattern: &FieldPattern, found: &WafMatch, head: &RequestHead<'_>) -> bool {
    match pattern.field {
        ExclusionField::Header => {
            found.field == WafField::HeaderValue && name_fits(&pattern.operator, &found.name)
        }
        ExclusionField::Cookie => {
            found.field == WafField::CookieValue && name_fits(&pattern.operator, &found.name)
        }
        ExclusionField::QueryParam => {
            found.field == WafField::ArgValue && parameter_fits(&pattern.operator, &found.name)
        }
        ExclusionField::Uri => {
            let of_uri =
                matches!(found.field, WafField::Uri | WafField::RequestLine | WafField::Filename);
            of_uri && name_fits(&pattern.operator, head.path)
        }
    }
}

/// The engine names what stands in JSON `json.a.b`; an operator may leave the first word out.
fn parameter_fits(operator: &ExclusionOperator, name: &[u8]) -> bool {
    name_fits(operator, name)
        || name.strip_prefix(b"json.").is_some_and(|short| name_fits(operator, short))
}

/// The operator's text is in lower case.
fn name_fits(operator: &ExclusionOperator, name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    match operator {
        ExclusionOperator::Equals(text) => name == text.as_bytes(),
        ExclusionOperator::StartsWith(text) => name.starts_with(text.as_bytes()),
        ExclusionOperator::EndsWith(text) => name.ends_with(text.as_bytes()),
        ExclusionOperator::Contains(text) => memchr::memmem::find(&name, text.as_bytes()).is_some(),
        ExclusionOperator::Any => true,
    }
}

/// A request whose excluded values are empty; their names stay.
#[derive(Debug)]
pub(super) struct Emptied<'r> {
    head: RequestHead<'r>,
    query: Vec<u8>,
    uri: Vec<u8>,
    headers: Vec<(&'r [u8], Cow<'r, [u8]>)>,
    pub(super) body: Option<Cow<'r, [u8]>>,
}

impl<'r> Emptied<'r> {
    /// Empties the values that the patterns name. The values of a multipart body stay, so that more matches then.
    pub(super) fn of(
        head: &RequestHead<'r>,
        body: Option<&'r [u8]>,
        patterns: &[&FieldPattern],
    ) -> Self {
        let parameter = |name: &[u8]| {
            of(patterns, ExclusionField::QueryParam)
                .any(|pattern| parameter_fits(&pattern.operator, &decode::url(name, false)))
        };
        let query = without_values(head.query, b'&', &parameter);
        let path_len = head.uri.len().saturating_sub(head.query.len());
        let mut uri = head.uri.get(..path_len).unwrap_or_default().to_vec();
        uri.extend_from_slice(&query);
        let headers = head.headers.iter().map(|header| (header.name, value(header, patterns)));
        Self {
            head: *head,
            uri,
            headers: headers.collect(),
            body: body.map(|body| emptied_body(head, body, patterns, &parameter)),
            query,
        }
    }

    /// Hands the headers to `inspect` with the head around them.
    pub(super) fn with_head<T>(&self, inspect: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let (query, uri) = (self.query.as_slice(), self.uri.as_slice());
        inspect(&RequestHead { query, uri, headers: &headers, ..self.head })
    }
}

fn of<'p>(
    patterns: &'p [&FieldPattern],
    field: ExclusionField,
) -> impl Iterator<Item = &'p FieldPattern> {
    patterns.iter().copied().filter(move |pattern| pattern.field == field)
}

fn value<'r>(header: &Header<'r>, patterns: &[&FieldPattern]) -> Cow<'r, [u8]> {
    let excluded =
        |field, name: &[u8]| of(patterns, field).any(|pattern| name_fits(&pattern.operator, name));
    if excluded(ExclusionField::Header, header.name) {
        return Cow::Borrowed(b"");
    }
    if header.name.eq_ignore_ascii_case(b"cookie") {
        let cookie = |name: &[u8]| excluded(ExclusionField::Cookie, name.trim_ascii());
        return Cow::Owned(without_values(header.value, b';', &cookie));
    }
    Cow::Borrowed(header.value)
}

/// Writes pairs again, those that `excluded` names without their values.
fn without_values(text: &[u8], between: u8, excluded: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (position, pair) in text.split(|byte| *byte == between).enumerate() {
        if position > 0 {
            out.push(between);
        }
        let name_len = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, _) = pair.split_at(name_len);
        out.extend_from_slice(if excluded(name) { name } else { pair });
    }
    out
}

fn emptied_body<'r>(
    head: &RequestHead<'_>,
    body: &'r [u8],
    patterns: &[&FieldPattern],
    parameter: &dyn Fn(&[u8]) -> bool,
) -> Cow<'r, [u8]> {
    let label = Shape::of_label(head);
    match label.or_else(|| readings(label, body).first) {
        Some(Shape::Form) => Cow::Owned(without_values(body, b'&', parameter)),
        Some(Shape::Json) => {
            let Ok(mut document) = serde_json::from_slice::<Json>(body) else {
                return Cow::Borrowed(body);
            };
            empty_json(&mut document, "json", patterns);
            Cow::Owned(document.to_string().into_bytes())
        }
        Some(Shape::Multipart | Shape::Xml) | None => Cow::Borrowed(body),
    }
}

/// Empties scalars by the names that the engine gives them. The parser has bounded the depth.
fn empty_json(value: &mut Json, name: &str, patterns: &[&FieldPattern]) {
    match value {
        Json::Object(entries) => {
            for (key, inner) in entries {
                empty_json(inner, &format!("{name}.{key}"), patterns);
            }
        }
        Json::Array(items) => {
            for (index, inner) in items.iter_mut().enumerate() {
                empty_json(inner, &format!("{name}.array_{index}"), patterns);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            let excluded = of(patterns, ExclusionField::QueryParam)
                .any(|pattern| parameter_fits(&pattern.operator, name.as_bytes()));
            if excluded {
                *value = Json::String(String::new());
            }
        }
    }
}
