//! Whether a request stays within its caller's tenant: the tenants that it names, and the objects whose owner is known.
//! Every refusal looks the same, whether or not the object is there; the log and the event hold what it rests on.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use portcullis_config::Timestamp;
use portcullis_config::model::{Access, IdPlaces};
use portcullis_identity::Identity;
use portcullis_identity::places::{self, Named, Unreadable};
use portcullis_incident::{Breach, is_secret_name};

use super::body::Held;
use super::caller::Place;
use super::refusal::Refusal;
use super::routing;
use super::sanity::Target;
use super::work::Work;
use crate::reason::Reason;

/// The kind of object under which tenants themselves are remembered; no configured kind is without a name.
const TENANT: &str = "";
/// The most characters of a foreign id that are recorded.
const RECORDED_CHARS_MAX: usize = 128;
/// The most objects of one request that are recorded.
pub(crate) const OBJECTS_MAX: usize = 16;

/// Whose bounds a request has to keep.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) place: Place<'a>,
    pub(super) access: &'a Access,
    pub(super) headers: &'a HeaderMap,
    pub(super) identity: &'a Identity,
    pub(super) now: Timestamp,
}

impl Bounds<'_> {
    /// Compares what the head names.
    pub(super) fn check_head(self, work: &mut Work, target: &Target) -> Result<(), Refusal> {
        if self.access.is_within_reach() {
            return Ok(());
        }
        self.remember_tenant();
        let resolved = routing::resolve(&target.path);
        let head = places::Head {
            host: &target.host,
            path: &target.path,
            resolved: &resolved,
            query: &target.query,
        };
        let named = |wanted: &IdPlaces| {
            let fields = self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
            let mut named = places::head_ids(wanted, head, fields);
            named.retain(|one| !one.id.is_empty());
            Ok(named)
        };
        self.check(work, named)
    }

    /// Compares what the body names.
    pub(super) async fn check_body(
        self,
        gate: &super::Gate,
        work: &mut Work,
        held: Option<&Held>,
    ) -> Result<(), Refusal> {
        let owned = &self.place.snapshot.config.identity.owners;
        let Some(held) = held.filter(|_| self.access.names_in_body(owned)) else { return Ok(()) };
        let body = self.plain(held)?;
        let kind = self.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let named = |wanted: &IdPlaces| {
            let Some(path) = &wanted.body else { return Ok(Vec::new()) };
            let ids = places::body_ids(path, kind, body).map_err(unreadable)?;
            Ok(ids.into_iter().map(|id| Named { place: "body", id }).collect())
        };
        gate.heavy.run(body.len(), || self.check(work, named)).await
    }

    /// The body as the origin reads it.
    fn plain(self, held: &Held) -> Result<&[u8], Refusal> {
        match &held.inflated {
            Some(inflated) if inflated.is_whole => Ok(&inflated.bytes),
            None if !self.headers.contains_key(CONTENT_ENCODING) => Ok(&held.bytes),
            Some(_) | None => Err(Refusal::because(
                Reason::UnsupportedEncoding,
                "a compressed body may name a tenant or an object",
            )),
        }
    }

    fn check(
        self,
        work: &mut Work,
        named: impl Fn(&IdPlaces) -> Result<Vec<Named>, Refusal>,
    ) -> Result<(), Refusal> {
        let tenant = self.identity.tenant.as_deref().unwrap_or_default();
        let foreign =
            named(&self.access.tenant)?.into_iter().find(|one| one.id != tenant.as_bytes());
        if let Some(foreign) = foreign {
            let exists = self.place.shared.owners.owner(TENANT, &foreign.id, self.now).is_some();
            let attempted = recorded(&foreign.id);
            return Err(self.refuse(work, &foreign, Some(attempted), exists));
        }
        for kind in &self.access.owners {
            let Some(object) = self.place.snapshot.config.identity.owners.get(kind) else {
                continue;
            };
            for one in named(&object.places)? {
                note(&mut work.objects, kind, &one.id);
                let owner = self.place.shared.owners.owner(kind, &one.id, self.now);
                if let Some(owner) = owner.filter(|owner| **owner != *tenant) {
                    return Err(self.refuse(work, &one, Some(owner.to_string()), true));
                }
            }
        }
        Ok(())
    }

    /// That a tenant has been seen with a good token is how a stale bookmark is told from a tenant that is there.
    fn remember_tenant(self) {
        let Some(tenant) = &self.identity.tenant else { return };
        let owners = &self.place.shared.owners;
        if owners.owner(TENANT, tenant.as_bytes(), self.now).is_none() {
            owners.learn(TENANT, tenant.as_bytes(), &Arc::from(tenant.as_str()), self.now);
        }
    }

    fn refuse(
        self,
        work: &mut Work,
        foreign: &Named,
        attempted_tenant: Option<String>,
        exists: bool,
    ) -> Refusal {
        let is_cross_site =
            self.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        let object = recorded(&foreign.id);
        work.breach = Some(Breach { attempted_tenant, object, exists, is_cross_site });
        let detail = format!("the {} names another tenant, or an object of one", foreign.place);
        Refusal::because(Reason::TenantAccess, detail)
    }
}

/// Notes an object that a request names, once; the id of one that is a secret is blanked.
fn note(objects: &mut Vec<String>, kind: &str, id: &[u8]) {
    if objects.len() >= OBJECTS_MAX {
        return;
    }
    let is_secret = is_secret_name(kind.as_bytes());
    let object = format!("{kind}:{}", if is_secret { "***".to_owned() } else { recorded(id) });
    if !objects.contains(&object) {
        objects.push(object);
    }
}

/// An id of a client, printable and bounded.
fn recorded(id: &[u8]) -> String {
    id.escape_ascii().map(char::from).take(RECORDED_CHARS_MAX).collect()
}

fn unreadable(why: Unreadable) -> Refusal {
    let reason = match why {
        Unreadable::Type => Reason::UnsupportedMedia,
        Unreadable::Broken | Unreadable::TooMany => Reason::MalformedBody,
    };
    Refusal::because(reason, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_noted_once_each_up_to_the_cap() {
        for (what, objects, noted) in [
            ("one under", OBJECTS_MAX - 1, OBJECTS_MAX - 1),
            ("at it", OBJECTS_MAX, OBJECTS_MAX),
            ("one over", OBJECTS_MAX + 1, OBJECTS_MAX),
        ] {
            let mut found = Vec::new();
            for n in 0..objects {
                note(&mut found, "license", format!("l-{n}").as_bytes());
                note(&mut found, "license", format!("l-{n}").as_bytes());
            }
            assert_eq!(found.len(), noted, "{what}");
            assert_eq!(found[0], "license:l-0");
        }
    }

    #[test]
    fn what_is_a_secret_is_not_noted_and_what_is_long_is_cut() {
        let mut found = Vec::new();
        note(&mut found, "license_key", b"AAAA-BBBB");
        note(&mut found, "session", &[b'x'; 1000]);
        note(&mut found, "session", b"a\nb");
        assert_eq!(found[0], "license_key:***");
        assert_eq!(found[1].len(), "session:".len() + RECORDED_CHARS_MAX);
        assert_eq!(found[2], "session:a\\nb");
    }
}
