//! How people sign in to a host.

use crate::diagnostic::Diagnostic;
use crate::file::backend::reference;
use crate::file::fields::Fields;
use crate::file::{Context, keys, scalar, source};
use crate::model::{Login, ProviderId};
use crate::yaml::Node;

/// Decodes `login`.
pub(super) fn login(node: &Node, cx: &mut Context<'_>) -> Option<Login> {
    let fields = Fields::open(node, &keys::LOGIN, cx)?;
    let provider = fields.of("provider", cx, provider);
    let client_secret = fields.may("client_secret", cx, source::secret);
    let keys = fields.of("keys", cx, source::secret);
    let session = fields.of("session", cx, scalar::duration("5m", "24h"));
    let scopes = fields.may("scopes", cx, |node, cx| scalar::some_items(node, cx, scope));
    Some(Login {
        provider: provider?,
        client_secret: client_secret?,
        keys: keys?,
        session: session?,
        scopes: scopes?.unwrap_or_else(|| vec!["email".to_owned()]),
    })
}

fn provider(node: &Node, cx: &mut Context<'_>) -> Option<ProviderId> {
    let known = std::mem::take(&mut cx.names.providers);
    let found = reference(node, cx, "provider", &known);
    cx.names.providers = known;
    let found = found?;
    if cx.names.oidc.contains(&found) {
        return Some(ProviderId::new(found));
    }
    let said = format!("people cannot sign in with `{found}`, which has no `kind: oidc`");
    let wrong = Diagnostic::error("wrong-value", said);
    cx.report(
        wrong.help("name a provider that has its issuer's discovery document"),
        node.value_place(),
    );
    None
}

fn scope(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_sound = written.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    if is_sound && !written.is_empty() {
        return Some(written.to_owned());
    }
    cx.error("wrong-value", format!("`{written}` is not a scope"), node.value_place());
    None
}
