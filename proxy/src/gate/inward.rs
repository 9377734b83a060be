//! What the edge says inward of who calls: the signed assertion, and beside it plain headers for logs.

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderName, HeaderValue};
use portcullis_identity::Identity;
use portcullis_identity::assertion::{HEADER, Inward};

use super::decide::Admitted;
use super::refusal::Refusal;
use super::sanity::Target;
use super::work::Work;
use super::{certificate, claims};
use crate::reason::Reason;
use crate::shared::Shared;
use crate::upstream::Upstream;

/// Makes the headers that identity and policy add to the forwarded request.
pub(super) fn headers(
    shared: &Shared,
    work: &Work,
    target: &Target,
    upstream: &Upstream,
    admitted: &Admitted,
) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let mut headers = Vec::new();
    for set in &admitted.added {
        add(&mut headers, &set.name, set.value.as_bytes())?;
    }
    headers.extend(certificate::header(work)?);
    let Some(identity) = &admitted.identity else { return Ok(headers) };
    add(&mut headers, "x-edge-subject", identity.subject.as_bytes())?;
    if let Some(tenant) = &identity.tenant {
        add(&mut headers, "x-edge-tenant", tenant.as_bytes())?;
    }
    add(&mut headers, "x-edge-roles", identity.roles.join(",").as_bytes())?;
    headers.extend(claims::headers(&work.snapshot, identity));
    if upstream.backend.assertion {
        let assertion = assertion(shared, work, target, identity, admitted)?;
        add(&mut headers, HEADER, assertion.as_bytes())?;
    }
    Ok(headers)
}

fn add(
    headers: &mut Vec<(HeaderName, HeaderValue)>,
    name: &str,
    value: &[u8],
) -> Result<(), Refusal> {
    let name = HeaderName::from_bytes(name.as_bytes());
    let value = HeaderValue::from_bytes(value);
    let (Ok(name), Ok(value)) = (name, value) else {
        return Err(Refusal::because(Reason::Internal, "a header that the edge adds is none"));
    };
    headers.push((name, value));
    Ok(())
}

/// Signs who calls, for this request and this body only.
fn assertion(
    shared: &Shared,
    work: &Work,
    target: &Target,
    identity: &Identity,
    admitted: &Admitted,
) -> Result<String, Refusal> {
    let text = |bytes, what| {
        std::str::from_utf8(bytes).map_err(|_| Refusal::because(Reason::MalformedRequest, what))
    };
    let body = admitted.held.as_ref().map_or(&b""[..], |held| &held.bytes);
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
    let inward = Inward {
        subject: &identity.subject,
        tenant: identity.tenant.as_deref(),
        roles: &identity.roles,
        request_id: &work.id,
        method: text(&work.asked.method, "the method is no text")?,
        target: text(&target.uri, "a target that is no text, where the assertion names it")?,
        body_sha256: &body_sha256,
    };
    Ok(shared.signing.key().mint(&inward, shared.clock.now()))
}
