//! What the API does with personal data on its way to the store and back: without a vault nothing.
//!
//! A sealed map of metadata is a map with one entry whose name no client can send, so that the program before this one
//! reads the column too.

use super::Api;
use crate::domain::lease::Session;
use crate::domain::names::TenantId;
use crate::reason::{Reason, Refusal};
use crate::vault::{Place, Vault, VaultError};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

pub(crate) const EMAIL: &str = "session.user_email";
pub(crate) const METADATA: &str = "session.metadata";
/// A client's names have at most 64 bytes.
const SEALED_NAME: &str =
    "sealed by license-core: a name that is longer than those that clients may send";

/// What is known of the person behind a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Person {
    pub(crate) email: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The session that a person holds.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) subject: &'a str,
    pub(crate) hardware: &'a str,
}

impl<'a> Held<'a> {
    fn place(self, column: &'static str) -> Place<'a> {
        Place::session(column, self.tenant, self.subject, self.hardware)
    }
}

impl Person {
    /// Seals it for its session.
    pub(crate) fn sealed(self, vault: &Vault, held: Held<'_>) -> Result<Self, VaultError> {
        let seal = |column, clear: &[u8]| vault.seal(held.place(column), clear);
        let email = self.email.map(|email| seal(EMAIL, email.as_bytes())).transpose()?;
        let metadata = if self.metadata.is_empty() {
            self.metadata
        } else {
            let text = serde_json::to_vec(&self.metadata).expect("a map of texts is JSON");
            BTreeMap::from([(SEALED_NAME.to_owned(), seal(METADATA, &text)?)])
        };
        Ok(Self { email, metadata })
    }

    /// Opens it. What does not open is left out, and the log says so.
    pub(crate) async fn opened(self, vault: &Vault, held: Held<'_>) -> Self {
        let email = match self.email {
            Some(email) if is_sealed(&email) => {
                let clear = unsealed(vault, held.place(EMAIL), &email).await;
                clear.and_then(|clear| String::from_utf8(clear.to_vec()).ok())
            }
            other => other,
        };
        let metadata = match self.metadata.get(SEALED_NAME) {
            None => self.metadata,
            Some(sealed) => {
                let clear = unsealed(vault, held.place(METADATA), sealed).await;
                clear.and_then(|clear| serde_json::from_slice(&clear).ok()).unwrap_or_default()
            }
        };
        Self { email, metadata }
    }

    /// Says whether all of it is sealed under this generation.
    pub(crate) fn is_under(&self, generation: i64) -> bool {
        let is_under = |sealed: &str| is_sealed_under(sealed, generation);
        let metadata = self.metadata.get(SEALED_NAME);
        self.email.as_deref().is_none_or(is_under)
            && (self.metadata.is_empty() || metadata.is_some_and(|sealed| is_under(sealed)))
    }
}

async fn unsealed(vault: &Vault, place: Place<'_>, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let clear = vault.unseal(place, sealed).await;
    if clear.is_none() {
        tracing::error!(column = place.column(), "a sealed value does not open, it is left out");
    }
    clear
}

/// An address holds an `@`, which no sealed value does.
fn is_sealed(text: &str) -> bool {
    !text.contains('@') && crate::vault::generation_of(text).is_some()
}

fn is_sealed_under(text: &str, generation: i64) -> bool {
    is_sealed(text) && crate::vault::generation_of(text) == Some(generation)
}

impl Api {
    /// Seals what a client says of the person behind its session.
    pub(super) fn seal(&self, person: Person, held: Held<'_>) -> Result<Person, Refusal> {
        let Some(vault) = &self.vault else { return Ok(person) };
        person.sealed(vault, held).map_err(|error| {
            tracing::error!(%error, "personal data was not sealed, so that it was not stored");
            Reason::StoreUnavailable.into()
        })
    }

    /// Opens what a session says of its person.
    pub(super) async fn open(&self, tenant: &TenantId, session: Session) -> Session {
        let Some(vault) = &self.vault else { return session };
        let person = Person { email: session.user_email, metadata: session.metadata };
        let held = Held { tenant, subject: &session.subject, hardware: &session.hardware };
        let Person { email, metadata } = person.opened(vault, held).await;
        Session { user_email: email, metadata, ..session }
    }

    /// Seals the answer to a request with a key, which may say all that a session does.
    pub(super) fn seal_answer(&self, place: Place<'_>, body: Vec<u8>) -> Option<Vec<u8>> {
        match &self.vault {
            None => Some(body),
            Some(vault) => vault.seal(place, &body).ok().map(String::into_bytes),
        }
    }

    /// Opens a kept answer. One in the clear is JSON, which no sealed value is.
    pub(super) async fn open_answer(&self, place: Place<'_>, body: Vec<u8>) -> Option<Vec<u8>> {
        let sealed = str::from_utf8(&body).ok().filter(|text| is_sealed(text));
        match (&self.vault, sealed) {
            (_, None) => Some(body),
            (Some(vault), Some(sealed)) => Some(vault.unseal(place, sealed).await?.to_vec()),
            (None, Some(_)) => None,
        }
    }
}
