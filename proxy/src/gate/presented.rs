//! What a request brings to prove who calls: exactly one thing, whatever its kind.

use http::HeaderName;
use pingora::http::RequestHeader;
use portcullis_config::model::{ApiKeys, CertificateClient, Credential, IdentityRule};
use portcullis_identity::headers::is_spelling_of;
use portcullis_identity::{Refusal, credential, is_in_query};

use super::caller::Asking;
use crate::snapshot::Snapshot;

/// The one credential of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presented<'a> {
    /// A bearer token.
    Token(&'a [u8]),
    /// A key of ours, in the header of these providers.
    Key(&'a [u8]),
    /// A certificate of a client that this provider knows.
    Certificate(&'a str, &'a CertificateClient),
}

/// Finds the one credential of a request. A certificate is one where the route accepts it as such; elsewhere it only says
/// which machine speaks.
pub(super) fn presented<'a>(
    snapshot: &'a Snapshot,
    rule: &IdentityRule,
    asked: Asking<'a>,
) -> Result<Presented<'a>, Refusal> {
    let fields =
        asked.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let token = credential(fields)?;
    let keys = keys(snapshot, asked)?;
    let certificate = certificate(snapshot, rule, asked)?;
    let count = [token.is_some(), is_in_query(asked.query), keys.is_some(), certificate.is_some()];
    if count.into_iter().filter(|is_there| *is_there).count() > 1 {
        return Err(Refusal::MoreThanOneCredential);
    }
    let token = token.map(Presented::Token);
    token.or_else(|| keys.map(Presented::Key)).or(certificate).ok_or(Refusal::MissingAuth)
}

/// The value of the one header of keys, in whatever spelling: an origin might read it.
fn keys<'a>(snapshot: &Snapshot, asked: Asking<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    if !has_keys(snapshot) {
        return Ok(None);
    }
    let mut values = asked
        .headers
        .iter()
        .filter(|(name, _)| is_key_header(snapshot, name.as_str().as_bytes()))
        .map(|(_, value)| value.as_bytes());
    let first = values.next();
    if values.next().is_some() { Err(Refusal::MoreThanOneCredential) } else { Ok(first) }
}

fn has_keys(snapshot: &Snapshot) -> bool {
    of_keys(snapshot).next().is_some()
}

fn of_keys(snapshot: &Snapshot) -> impl Iterator<Item = &ApiKeys> {
    snapshot.config.identity.credentials.values().filter_map(|one| match one {
        Credential::ApiKeys(keys) => Some(keys),
        Credential::Certificates(_) => None,
    })
}

fn is_key_header(snapshot: &Snapshot, name: &[u8]) -> bool {
    of_keys(snapshot).any(|keys| is_spelling_of(&keys.header, name))
}

/// Takes keys out of a head that was judged: origins have no use for them.
pub(super) fn strip(head: &mut RequestHeader, snapshot: &Snapshot) {
    if !has_keys(snapshot) {
        return;
    }
    let is_key = |name: &&HeaderName| is_key_header(snapshot, name.as_str().as_bytes());
    let found: Vec<HeaderName> = head.headers.keys().filter(is_key).cloned().collect();
    for name in found {
        head.remove_header(&name);
    }
}

fn certificate<'a>(
    snapshot: &'a Snapshot,
    rule: &IdentityRule,
    asked: Asking<'a>,
) -> Result<Option<Presented<'a>>, Refusal> {
    let (Some(shown), IdentityRule::Any(named)) = (asked.certificate, rule) else {
        return Ok(None);
    };
    let of = |id: &'a str, clients: &'a [CertificateClient]| {
        let shown = clients.iter().filter(move |client| match client.certificate.split_once(':') {
            Some(("sha256", digest)) => digest == shown.sha256,
            Some(_) | None => shown.names.contains(&client.certificate),
        });
        shown.map(move |client| Presented::Certificate(id, client))
    };
    let known = snapshot.config.identity.credentials.iter();
    let mut found = known
        .filter(|(id, _)| named.iter().any(|one| one.as_str() == id.as_str()))
        .filter_map(|(id, one)| match one {
            Credential::Certificates(clients) => Some(of(id, clients)),
            Credential::ApiKeys(_) => None,
        })
        .flatten();
    let first = found.next();
    if found.next().is_some() { Err(Refusal::MoreThanOneCredential) } else { Ok(first) }
}
