//! Persons in the audit trail: the chain covers who acted and on what not themselves but by a commitment to them, a
//! salted hash. When a person is erased, the names and the salt are forgotten and the commitment stays, so that the
//! chain holds, and nobody can find out the name by trying names.

use super::Event;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

/// What stands in the place of an actor that was erased.
pub(crate) const ERASED_ACTOR: &str = "erased";
/// What stands in the place of the details of an event whose person was erased.
pub(crate) const ERASED_DETAIL: &str = "{}";
const SALT_BYTES: usize = 32;

/// The commitment to an event's persons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Veil {
    /// Forgotten when a person is erased.
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) commitment: [u8; 32],
}

impl Veil {
    /// Commits to the persons of an event.
    pub(crate) fn over(actor: &str, detail: &str) -> Result<Self, Unspecified> {
        let mut salt = vec![0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt)?;
        let commitment = commitment(&salt, actor, detail);
        Ok(Self { salt: Some(salt), commitment })
    }

    /// Says whether an event says what was committed to; one that was erased may say nothing.
    pub(crate) fn covers(&self, event: &Event) -> bool {
        match &self.salt {
            Some(salt) => self.commitment == commitment(salt, &event.actor, &event.detail),
            None => event.actor == ERASED_ACTOR && event.detail == ERASED_DETAIL,
        }
    }
}

fn commitment(salt: &[u8], actor: &str, detail: &str) -> [u8; 32] {
    let text = serde_json::json!(["license-core persons 1", actor, detail]).to_string();
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &[salt, text.as_bytes()].concat()).as_ref());
    hash
}
