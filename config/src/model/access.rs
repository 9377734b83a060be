//! What a route asks of a caller besides a valid credential.

use std::collections::BTreeMap;

use super::{IdPlaces, OwnedObject};

/// What a route asks of a caller besides a valid credential. Nothing, where all is empty.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// The scopes that the token must have, every one; each a scope token of RFC 6749 section 3.3.
    pub scopes: Vec<String>,
    /// The roles of which the token must have one; no role is asked for where there is none.
    pub roles: Vec<String>,
    /// Where the request names a tenant, which must be the token's.
    pub tenant: IdPlaces,
    /// The kinds of objects that must not be another tenant's, and that answers are learnt from: keys of
    /// [`super::Identity::owners`].
    pub owners: Vec<String>,
}

impl Access {
    /// Says whether nothing of a request is compared with its caller's tenant.
    #[must_use]
    pub fn is_within_reach(&self) -> bool {
        self.tenant.is_empty() && self.owners.is_empty()
    }

    /// Says whether the request's body may name a tenant or an object.
    #[must_use]
    pub fn names_in_body(&self, owned: &BTreeMap<String, OwnedObject>) -> bool {
        let mut objects = self.owners.iter().filter_map(|kind| owned.get(kind));
        self.tenant.body.is_some() || objects.any(|object| object.places.body.is_some())
    }
}
