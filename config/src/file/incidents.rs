//! `incidents`: what is done about them.

use super::fields::Fields;
use super::{Context, keys, scalar};
use crate::model::{ACTIONS, CATEGORIES, Incidents, PRIORITIES, ResponseRule};
use crate::yaml::{Node, Value};

/// Decodes `incidents`.
pub(super) fn incidents(node: &Node, cx: &mut Context<'_>) -> Option<Incidents> {
    let fields = Fields::open(node, &keys::INCIDENTS, cx)?;
    let dry_run = fields.of("dry_run", cx, scalar::switch);
    let respond_for = fields.of("respond_for", cx, scalar::duration("1m", "7d"));
    let limited_to = fields.of("limited_to", cx, scalar::number(1..=100_000));
    let raised_to = fields.of("raised_to", cx, scalar::number(1..=100_000));
    let breach_objects = fields.of("breach_objects", cx, scalar::number(1..=64));
    let responses_max = fields.of("responses_max", cx, scalar::number(1..=10_000));
    let learn = fields.of("learn", cx, scalar::duration("0s", "1h"));
    let responses = fields.may("responses", cx, |node, cx| scalar::items(node, cx, response));
    Some(Incidents {
        dry_run: dry_run?,
        respond_for: respond_for?,
        limited_to: limited_to?,
        raised_to: raised_to?,
        breach_objects: breach_objects?,
        responses_max: responses_max?,
        learn: learn?,
        responses: responses?.unwrap_or_default(),
    })
}

/// What holds where the file does not say.
pub(super) fn usual(cx: &mut Context<'_>) -> Option<Incidents> {
    incidents(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

fn response(node: &Node, cx: &mut Context<'_>) -> Option<ResponseRule> {
    let fields = Fields::open(node, &keys::RESPONSE, cx)?;
    let category = fields.of("category", cx, word(CATEGORIES));
    let at = fields.of("at", cx, word(PRIORITIES));
    let actions = fields
        .of("actions", cx, |node, cx| scalar::items(node, cx, |node, cx| word(ACTIONS)(node, cx)));
    Some(ResponseRule { category: category?, at: at?, actions: actions? })
}

/// Reads one of the words of a table.
fn word(
    words: &'static [&'static str],
) -> impl FnOnce(&Node, &mut Context<'_>) -> Option<&'static str> {
    move |node, cx| {
        let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
        scalar::choice(node, cx, &words)
    }
}
