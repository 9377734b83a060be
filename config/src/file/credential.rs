//! `identity.providers.<id>` of the kinds that are no issuers: `api_keys` and `certificates`.

use std::ops::Range;

use super::fields::Fields;
use super::host::{role, scope};
use super::{Context, keys, scalar};
use crate::diagnostic::Diagnostic;
use crate::model::{ApiKeys, CertificateClient, Credential};
use crate::yaml::Node;

/// What belongs to issuers of tokens.
const OF_ISSUERS: [&str; 15] = [
    "issuer",
    "audience",
    "algorithms",
    "jwks",
    "pem",
    "secrets",
    "project",
    "keys_url",
    "discovery_url",
    "max_age",
    "tenant_claim",
    "roles_claim",
    "scopes_claim",
    "leeway",
    "max_lifetime",
];

/// Decodes `kind: api_keys`.
pub(super) fn api_keys(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Credential> {
    fields.none_of(&OF_ISSUERS, "with `kind: api_keys`", cx);
    fields.none_of(&["clients"], "with `kind: api_keys`", cx);
    let header = fields.may("header", cx, header)?;
    let header = header.unwrap_or_else(|| "x-api-key".to_owned());
    Some(Credential::ApiKeys(ApiKeys { header }))
}

/// Decodes `kind: certificates`.
pub(super) fn certificates(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Credential> {
    fields.none_of(&OF_ISSUERS, "with `kind: certificates`", cx);
    fields.none_of(&["header"], "with `kind: certificates`", cx);
    let Some(node) = fields.get("clients") else {
        fields.missing("the key `clients` is missing for this kind of provider", cx);
        return None;
    };
    let clients = scalar::some_items(node, cx, client)?;
    for (at, one) in clients.iter().enumerate() {
        if clients.iter().take(at).any(|earlier| earlier.certificate == one.certificate) {
            let message = format!("the certificate `{}` is here twice", one.certificate);
            cx.error("duplicate", message, node.place());
        }
    }
    Some(Credential::Certificates(clients))
}

fn client(node: &Node, cx: &mut Context<'_>) -> Option<CertificateClient> {
    let fields = Fields::open(node, &keys::CERTIFICATE_CLIENT, cx)?;
    let certificate = fields.of("certificate", cx, certificate);
    let tenant = fields.of("tenant", cx, role);
    let subject = fields.of("subject", cx, role);
    let roles = fields.may("roles", cx, |node, cx| scalar::some_items(node, cx, role));
    let scopes = fields.may("scopes", cx, |node, cx| scalar::some_items(node, cx, scope));
    Some(CertificateClient {
        certificate: certificate?,
        tenant: tenant?,
        subject: subject?,
        roles: roles?.unwrap_or_default(),
        scopes: scopes?.unwrap_or_default(),
    })
}

fn certificate(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_digest =
        |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    match written.split_once(':') {
        Some(("sha256", digest)) if is_digest(digest) => return Some(written.to_ascii_lowercase()),
        Some(("dns", name)) if !name.is_empty() => return Some(written.to_ascii_lowercase()),
        Some(("uri" | "email" | "ip", name)) if !name.is_empty() => {
            return Some(written.to_owned());
        }
        Some(_) | None => {}
    }
    let wrong = format!("`{}` names no certificate", written.escape_debug());
    let help = "write an alternative name with its kind (`uri:…`, `dns:…`, `email:…`, `ip:…`), or `sha256:` and 64 hexadecimal digits";
    cx.report(Diagnostic::error("wrong-value", wrong).help(help), node.value_place());
    None
}

/// The header of a key.
fn header(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    own_header(scalar::text(node, cx)?, "carry a key", &node.value_place(), cx)
}

/// The name of a header that the configuration takes for itself: nothing that another part of the edge reads or writes.
pub(super) fn own_header(
    written: &str,
    to: &str,
    place: &Range<usize>,
    cx: &mut Context<'_>,
) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let is_ours = ["x-edge-", "x-forwarded-", "x-request-id", "x-real-ip"]
        .iter()
        .any(|ours| lower.starts_with(ours));
    if scalar::is_header_name(written) && lower.starts_with("x-") && !is_ours {
        return Some(lower);
    }
    let wrong = format!("`{}` cannot {to}", written.escape_debug());
    let help = "write a name that begins with `X-` and is not the edge's own";
    cx.report(Diagnostic::error("wrong-name", wrong).help(help), place.clone());
    None
}
