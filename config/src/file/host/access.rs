//! `hosts.<name>.routes[].identity`: whose credential, and what it must grant.

use super::super::backend::reference;
use super::super::fields::Fields;
use super::super::{Context, id_places, keys, scalar};
use crate::diagnostic::Diagnostic;
use crate::model::{Access, IdentityRule, ProviderId};
use crate::yaml::{Node, Value};

/// The longest scope or role, in bytes: no claim that is longer is read.
const NAME_BYTES_MAX: usize = 255;

/// Decodes the value of a route's `identity`.
pub(super) fn identity(node: &Node, cx: &mut Context<'_>) -> Option<(IdentityRule, Box<Access>)> {
    if let Value::Scalar { .. } = node.value {
        let rule = scalar::choice(node, cx, &[("none", IdentityRule::None)])?;
        return Some((rule, Box::default()));
    }
    let fields = Fields::open(node, &keys::REQUIRED_IDENTITY, cx)?;
    let rule = match fields.one_of(&["any", "all"], cx) {
        Some(("any", node)) => providers(node, cx).map(IdentityRule::Any),
        Some((_, node)) => issuers(node, cx).map(IdentityRule::All),
        None => None,
    };
    let scopes = fields.may("scopes", cx, |node, cx| scalar::some_items(node, cx, scope));
    let roles = fields.may("roles", cx, |node, cx| scalar::some_items(node, cx, role));
    let tenant = fields.may("tenant", cx, id_places::tenant);
    let known = std::mem::take(&mut cx.names.owners);
    let owners = fields.may("owners", cx, |node, cx| {
        scalar::some_items(node, cx, |node, cx| reference(node, cx, "owned object", &known))
    });
    cx.names.owners = known;
    let access = Access {
        scopes: scopes?.unwrap_or_default(),
        roles: roles?.unwrap_or_default(),
        tenant: tenant?.unwrap_or_default(),
        owners: owners?.unwrap_or_default(),
    };
    Some((rule?, Box::new(access)))
}

fn providers(node: &Node, cx: &mut Context<'_>) -> Option<Vec<ProviderId>> {
    let known = std::mem::take(&mut cx.names.providers);
    let ids = scalar::some_items(node, cx, |node, cx| {
        reference(node, cx, "provider", &known).map(ProviderId::new)
    });
    cx.names.providers = known;
    ids
}

/// A request brings one credential: it can be judged by several issuers, not be of several kinds.
fn issuers(node: &Node, cx: &mut Context<'_>) -> Option<Vec<ProviderId>> {
    let ids = providers(node, cx)?;
    let kinds = &cx.names.credentials;
    if let Some(wrong) = ids.iter().find(|id| kinds.iter().any(|kind| kind == id.as_str())) {
        let message = format!("`{wrong}` is no issuer of tokens, and `all` judges one token");
        let wrong = Diagnostic::error("conflicting-keys", message);
        cx.report(wrong.help("name it under `any`"), node.value_place());
        return None;
    }
    Some(ids)
}

/// Reads a scope token: it is written between quotes into `WWW-Authenticate`.
pub(in super::super) fn scope(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let is_scope = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
    };
    name(node, is_scope, "write printable ASCII without spaces, `\"` and `\\`", cx)
}

pub(in super::super) fn role(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let is_role = |text: &str| !text.chars().any(char::is_control);
    name(node, is_role, "write it as it stands in the claim", cx)
}

fn name(
    node: &Node,
    is_right: impl Fn(&str) -> bool,
    help: &str,
    cx: &mut Context<'_>,
) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if (1..=NAME_BYTES_MAX).contains(&written.len()) && is_right(written) {
        return Some(written.to_owned());
    }
    let wrong = format!("`{}` can be in no token", written.escape_debug());
    cx.report(Diagnostic::error("wrong-value", wrong).help(help), node.value_place());
    None
}
