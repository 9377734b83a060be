//! The rotation of data keys: a new one, and every row sealed anew under it, while the services serve.

use super::operator::{Operator, OperatorError};
use crate::domain::names::TenantId;
use crate::http::{Held, Person};
use crate::settings::Settings;
use crate::store::office::{PersonalRow, Scope};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};
use std::sync::Arc;
use std::time::Duration;

/// Rows that are read at once.
const PAGE: u32 = 500;
/// How long a data key that seals nothing any more is kept: longer than an answer to a request with a key.
const KEPT_MS: i64 = 2 * 86_400_000;
/// The most times that all rows are gone through; services that run take up a new key within seconds.
const PASSES_MAX: u32 = 5;

/// What a rotation came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resealed {
    /// The generation that seals.
    pub generation: i64,
    /// Rows that were sealed anew.
    pub rows: u64,
    /// Data keys that were sealed anew under the present wrapping key.
    pub rewrapped: u32,
    /// Data keys that sealed nothing any more and were forgotten.
    pub dropped: u32,
    /// Rows that are sealed under an older key still, as they did not open or services kept writing with it.
    pub left: u64,
}

impl Operator {
    /// Makes the next data key when `is_new` says so, and seals anew every row that is not under the last one: those in
    /// the clear too. `told` hears how many rows are done. Between two passes `pause` goes by, in which the services
    /// that run take up the new key.
    ///
    /// # Errors
    /// When the settings have no `personal_data`, its keys open nothing, or the store does not serve. What was sealed
    /// anew until then stays so.
    pub async fn reseal_personal_data(
        &self,
        settings: &Settings,
        is_new: bool,
        pause: Duration,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Resealed, OperatorError> {
        let store = self.store();
        let vault = Vault::open(settings.personal_data.as_ref(), store.clone()).await?;
        let vault = vault.ok_or(OperatorError::Vault(VaultError::NoKey))?;
        let rewrapped = vault.rewrap().await?;
        let generation = if is_new { vault.rotate().await? } else { vault.generation() };
        let (mut rows, mut left) = (0, 0);
        for pass in 0..PASSES_MAX {
            if pass > 0 {
                tokio::time::sleep(pause).await;
            }
            let (done, not_done) = reseal_all(&store, &vault, rows, told).await?;
            rows += done;
            left = not_done;
            // The first pass finds what services sealed under the old key meanwhile only by going once more.
            if done == 0 {
                break;
            }
        }
        let mut dropped = 0;
        for key in store.data_keys().await? {
            if left == 0 && key.followed_for_ms.is_some_and(|age| age > KEPT_MS) {
                store.drop_data_key(key.generation).await?;
                dropped += 1;
            }
        }
        Ok(Resealed { generation, rows, rewrapped, dropped, left })
    }
}

/// Goes through all rows once. Returns how many were sealed anew, and how many were not that should have been.
async fn reseal_all(
    store: &Arc<dyn Store>,
    vault: &Vault,
    before: u64,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(u64, u64), StoreError> {
    let (mut done, mut left, mut last) = (0, 0, String::new());
    loop {
        let tenants = store.tenants_after(last.clone()).await?;
        let Some(end) = tenants.last() else { return Ok((done, left)) };
        last = end.as_str().to_owned();
        for tenant in tenants {
            let scope = Scope { tenant, actor: "operator".to_owned() };
            let mut after = String::new();
            loop {
                let rows = store.personal_rows(scope.clone(), after.clone(), PAGE).await?;
                let Some(end) = rows.last() else { break };
                after = end.id.clone();
                for row in rows {
                    match resealed(vault, &scope.tenant, &row).await {
                        Outcome::Fresh => {}
                        Outcome::Lost => left += 1,
                        Outcome::Anew(person) => {
                            let metadata = serde_json::to_string(&person.metadata)
                                .expect("a map of texts is JSON");
                            let email = person.email;
                            let did = store.reseal(scope.clone(), row, email, metadata).await?;
                            // What a client changed meanwhile, the next pass looks at.
                            done += u64::from(did);
                        }
                    }
                }
                told(before + done);
            }
        }
    }
}

enum Outcome {
    /// It is sealed under the last key.
    Fresh,
    /// It does not open.
    Lost,
    /// It is to be written like this.
    Anew(Person),
}

async fn resealed(vault: &Vault, tenant: &TenantId, row: &PersonalRow) -> Outcome {
    let Ok(metadata) = serde_json::from_str(&row.metadata) else { return Outcome::Lost };
    let person = Person { email: row.user_email.clone(), metadata };
    if person.is_under(vault.generation()) {
        return Outcome::Fresh;
    }
    let held = Held { tenant, subject: &row.subject, hardware: &row.hardware };
    let (had_email, had_metadata) = (person.email.is_some(), !person.metadata.is_empty());
    let opened = person.opened(vault, held).await;
    if opened.email.is_some() != had_email || opened.metadata.is_empty() == had_metadata {
        return Outcome::Lost;
    }
    opened.sealed(vault, held).map_or(Outcome::Lost, Outcome::Anew)
}
