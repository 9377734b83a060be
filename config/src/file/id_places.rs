//! Where requests and answers name a tenant or an object that belongs to one.

use super::fields::Fields;
use super::identity::claim;
use super::keys::Section;
use super::{Context, keys, scalar};
use crate::diagnostic::Diagnostic;
use crate::model::{IdPlaces, OwnedObject, PathTemplate};
use crate::yaml::Node;

/// Decodes `hosts.<name>.routes[].identity.tenant`.
pub(super) fn tenant(node: &Node, cx: &mut Context<'_>) -> Option<IdPlaces> {
    let fields = Fields::open(node, &keys::TENANT_PLACES, cx)?;
    let host = fields.of("host", cx, scalar::switch);
    let places = places(&fields, &keys::TENANT_PLACES, node, host.unwrap_or_default(), cx)?;
    host.map(|_| places)
}

/// Decodes one of `identity.owners`.
pub(super) fn owned(node: &Node, cx: &mut Context<'_>) -> Option<OwnedObject> {
    let fields = Fields::open(node, &keys::OWNED_OBJECT, cx)?;
    let answer = fields.of("answer", cx, claim);
    let places = places(&fields, &keys::OWNED_OBJECT, node, false, cx);
    Some(OwnedObject { answer: answer?, places: places? })
}

fn places(
    fields: &Fields<'_>,
    section: &Section,
    node: &Node,
    host: bool,
    cx: &mut Context<'_>,
) -> Option<IdPlaces> {
    let path = fields.may("path", cx, template);
    let query = fields.may("query", cx, parameter);
    let header = fields.may("header", cx, header);
    let body = fields.may("body", cx, claim);
    let places = IdPlaces { host, path: path?, query: query?, header: header?, body: body? };
    if places.is_empty() {
        let message = format!("`{}` names no place where it is looked for", section.path);
        cx.error("missing-key", message, node.place());
        return None;
    }
    Some(places)
}

fn template(node: &Node, cx: &mut Context<'_>) -> Option<PathTemplate> {
    let written = scalar::text(node, cx)?;
    let template = PathTemplate::parse(written);
    if template.is_none() {
        let wrong = format!("`{written}` is not a path with one `{{id}}`");
        let help = "write plain segments, `*` for any one and `{id}` once, such as `/tenants/{id}`";
        cx.report(Diagnostic::error("wrong-value", wrong).help(help), node.value_place());
    }
    template
}

fn parameter(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = written.bytes().any(|byte| byte.is_ascii_alphanumeric());
    if is_name && written.len() <= 63 && written.bytes().all(is_plain) {
        return Some(written.to_owned());
    }
    let wrong = format!("`{}` is not the name of a parameter", written.escape_debug());
    let help = "write letters, digits, `-`, `_` and `.`, at most 63";
    cx.report(Diagnostic::error("wrong-value", wrong).help(help), node.value_place());
    None
}

fn header(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if scalar::is_header_name(written) && written.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Some(written.to_ascii_lowercase());
    }
    let wrong = format!("`{}` is not the name of a header", written.escape_debug());
    cx.report(Diagnostic::error("wrong-value", wrong), node.value_place());
    None
}
