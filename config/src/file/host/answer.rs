//! What a route does with answers.

use crate::diagnostic::Diagnostic;
use crate::file::backend::reference;
use crate::file::fields::Fields;
use crate::file::keys::Section;
use crate::file::{Context, keys, scalar};
use crate::model::{AnswerInspection, AnswerPlan, BodyPlan, OnMatch};
use crate::yaml::{Node, Value};

/// Headers that frame a message or belong to one connection: neither set nor taken away.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Decodes the keys of a route that are about answers.
pub(super) fn plan(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<AnswerPlan> {
    let inspection = fields.may("response_inspection", cx, inspection);
    let headers =
        fields.may("response_headers", cx, |node, cx| rules(node, &keys::ANSWER_HEADERS, cx));
    let replace_errors = fields.of("replace_errors", cx, scalar::switch);
    let (set, remove) = headers?.unwrap_or_default();
    Some(AnswerPlan {
        inspection: inspection?.flatten(),
        set,
        remove,
        replace_errors: replace_errors?,
    })
}

/// An answer that is held goes with a request that is held.
pub(super) fn check_body(
    answer: &AnswerPlan,
    body: &BodyPlan,
    fields: &Fields<'_>,
    cx: &mut Context<'_>,
) {
    let is_held = matches!(body, BodyPlan::Inspect { .. });
    let holds = answer.inspection.as_ref().is_some_and(|one| one.body.is_some());
    if let Some(node) = fields.get("response_inspection").filter(|_| holds && !is_held) {
        let said = "the body of an answer is inspected only where the request's body is read first";
        let wrong = Diagnostic::error("conflicting-keys", said);
        cx.report(wrong.help("take `body` out of one of them"), node.place());
    }
}

fn inspection(node: &Node, cx: &mut Context<'_>) -> Option<Option<AnswerInspection>> {
    if let Value::Scalar { .. } = node.value {
        return scalar::choice(node, cx, &[("off", None)]);
    }
    let fields = Fields::open(node, &keys::ANSWER_INSPECTION, cx)?;
    let known = std::mem::take(&mut cx.names.rulesets);
    let ruleset = fields.of("ruleset", cx, |node, cx| reference(node, cx, "rule set", &known));
    cx.names.rulesets = known;
    let body = fields.may("body", cx, scalar::size("1KiB", "16MiB"));
    let words = [("deny", OnMatch::Deny), ("log", OnMatch::Log)];
    let on_match = fields.of("on_match", cx, |node, cx| scalar::choice(node, cx, &words));
    Some(Some(AnswerInspection { ruleset: ruleset?, body: body?, on_match: on_match? }))
}

type HeaderRules = (Vec<(String, String)>, Vec<String>);

/// Decodes what is set and taken away.
pub(in crate::file) fn rules(
    node: &Node,
    section: &'static Section,
    cx: &mut Context<'_>,
) -> Option<HeaderRules> {
    let fields = Fields::open(node, section, cx)?;
    let set = fields.may("set", cx, set);
    let remove = fields.may("remove", cx, |node, cx| scalar::some_items(node, cx, removed));
    Some((set?.unwrap_or_default(), remove?.unwrap_or_default()))
}

fn set(node: &Node, cx: &mut Context<'_>) -> Option<Vec<(String, String)>> {
    let Value::Map(entries) = &node.value else {
        let said = format!("a mapping by header name is expected here, not {}", node.kind());
        cx.error("wrong-kind", said, node.value_place());
        return None;
    };
    let pairs: Vec<_> = entries
        .iter()
        .map(|entry| {
            let name = name(&entry.key, entry.span.clone(), cx);
            let value = scalar::text(&entry.node, cx)?;
            if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                let said = "the value of a header is plain ASCII";
                cx.error("wrong-value", said, entry.node.value_place());
                return None;
            }
            Some((name?, value.to_owned()))
        })
        .collect();
    pairs.into_iter().collect()
}

fn removed(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    name(written, node.value_place(), cx)
}

fn name(written: &str, place: std::ops::Range<usize>, cx: &mut Context<'_>) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let problem = if !scalar::is_header_name(written) {
        format!("`{written}` is not the name of a header")
    } else if FRAMING.contains(&lower.as_str()) {
        format!("`{written}` is the edge's own")
    } else {
        return Some(lower);
    };
    cx.error("wrong-name", problem, place);
    None
}
