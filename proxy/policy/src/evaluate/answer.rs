//! Answers to WAF questions from what a run collected: by id, without what the rule leaves out.

use portcullis_config::armor::{ExclusionField, ExclusionOperator, FieldPattern};

use crate::compile::{Question, QuestionExclusion};
use crate::request::RequestHead;
use crate::waf::{WafField, WafMatch};

/// Whether any match counts for the question.
pub(crate) fn is_match(question: &Question, matches: &[WafMatch], head: &RequestHead<'_>) -> bool {
    matches_of(question, matches, head).next().is_some()
}

/// Returns every match that counts for the question.
pub(crate) fn matches_of<'m>(
    question: &'m Question,
    matches: &'m [WafMatch],
    head: &'m RequestHead<'_>,
) -> impl Iterator<Item = &'m WafMatch> {
    questioned(question, matches).filter(move |found| !is_left_out(question, found, head))
}

/// Returns every match that the question asks for, whatever its rule leaves out.
pub(crate) fn questioned<'m>(
    question: &'m Question,
    matches: &'m [WafMatch],
) -> impl Iterator<Item = &'m WafMatch> {
    matches.iter().filter(move |found| question.ids.binary_search(&found.id).is_ok())
}

/// Whether the question's rule leaves a match out.
pub(crate) fn is_left_out(question: &Question, found: &WafMatch, head: &RequestHead<'_>) -> bool {
    question.exclusions.iter().any(|exclusion| leaves_out(exclusion, found, head))
}

fn leaves_out(exclusion: &QuestionExclusion, found: &WafMatch, head: &RequestHead<'_>) -> bool {
    let concerned = exclusion.ids.is_empty() || exclusion.ids.binary_search(&found.id).is_ok();
    concerned && exclusion.fields.iter().any(|pattern| field_fits(pattern, found, head))
}

/// Values are left out, names are still inspected. A match in the URI as a whole stays under a parameter's exclusion.
fn field_fits(pattern: &FieldPattern, found: &WafMatch, head: &RequestHead<'_>) -> bool {
    let (field, name): (bool, &[u8]) = match pattern.field {
        ExclusionField::Header => (found.field == WafField::HeaderValue, &found.name),
        ExclusionField::Cookie => (found.field == WafField::CookieValue, &found.name),
        ExclusionField::QueryParam => (found.field == WafField::ArgValue, &found.name),
        ExclusionField::Uri => (
            matches!(found.field, WafField::Uri | WafField::RequestLine | WafField::Filename),
            head.path,
        ),
    };
    field && name_fits(&pattern.operator, name)
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
