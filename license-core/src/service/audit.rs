//! The audit trail as operators walk it: from where retention lets it begin, through every checkpoint, to its end.

use super::operator::{Operator, OperatorError};
use crate::domain::audit::{Broken, Head, Linked, Walk};
use crate::domain::names::TenantId;
use crate::signing::{KeySet, Ring, Use, verify_checkpoint};
use crate::store::office::{Checkpoint, Scope};
use crate::store::retention::RETAINED;
use serde::Deserialize;

/// Why an audit trail was not walked to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The chain does not hold.
    #[error("the audit chain is broken: {0}")]
    Broken(#[from] Broken),
    /// A checkpoint was forged, or its key was revoked.
    #[error("the checkpoint at position {0} is not signed by a key of this service")]
    Checkpoint(i64),
    /// The chain begins late, and neither a checkpoint nor the chain itself says that retention let it.
    #[error("the chain begins after position {0}, and not by retention: its beginning was cut off")]
    Beginning(i64),
    /// What was noted down went by retention.
    #[error(
        "retention let the chain begin after position {beginning}, the head noted at position {noted} is gone"
    )]
    Forgotten {
        /// Where the head was.
        noted: i64,
        /// Where the chain begins.
        beginning: i64,
    },
    /// The store has no answer.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The events cannot be written out.
    #[error("the events cannot be written out")]
    Output(#[from] std::io::Error),
}

/// A chain that was walked to its end.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) head: Head,
    /// What it begins after: the head that was the last of what retention has let go.
    pub(crate) beginning: Head,
    pub(crate) checkpoints: Vec<Checkpoint>,
}

const AUDIT_PAGE: u32 = 1000;

impl Operator {
    /// Links what happened so far, and hands each event of the tenant's chain, with the head before it, to `each` while
    /// the chain holds. The chain must pass through every checkpoint, each signed by a key that was not revoked, and
    /// through `noted`. Where it does not begin with the first event, a checkpoint must sign what it begins after, and an
    /// event in the chain must tell that retention moved its beginning there, and not further.
    pub(crate) async fn walk_audit(
        &self,
        tenant: TenantId,
        noted: Option<Head>,
        each: &mut dyn FnMut(Head, &Linked) -> std::io::Result<()>,
    ) -> Result<Walked, AuditError> {
        let store = self.store();
        while store.link(AUDIT_PAGE).await.map_err(OperatorError::from)? > 0 {}
        let begins = store.beginning(operator(&tenant)).await.map_err(OperatorError::from)?;
        let beginning = begins.unwrap_or(Head::START);
        let checkpoints = self.checkpoints(&tenant).await?;
        let is_signed = |head: Head| checkpoints.iter().any(|checkpoint| checkpoint.head == head);
        if beginning != Head::START && !is_signed(beginning) {
            return Err(AuditError::Beginning(beginning.position));
        }
        let mut walk = Walk::from(beginning, heads_after(beginning, &checkpoints, noted)?);
        let (mut last, mut told) = (beginning, Head::START);
        loop {
            let page = store.linked(tenant.clone(), last.position, AUDIT_PAGE).await;
            let page = page.map_err(OperatorError::from)?;
            if page.is_empty() {
                break;
            }
            for linked in &page {
                walk.step(tenant.as_str(), linked)?;
                told = told_beginning(linked).unwrap_or(told);
                each(last, linked)?;
                last = linked.head;
            }
        }
        let head = walk.end()?;
        if told != beginning {
            return Err(AuditError::Beginning(beginning.position));
        }
        Ok(Walked { head, beginning, checkpoints })
    }

    /// Reads the tenant's checkpoints and holds each to its signature.
    async fn checkpoints(&self, tenant: &TenantId) -> Result<Vec<Checkpoint>, AuditError> {
        let keys = self.key_history().await?;
        let (mut all, mut after) = (vec![], 0);
        loop {
            let page = self.store().checkpoints(operator(tenant), after, AUDIT_PAGE).await;
            let page = page.map_err(OperatorError::from)?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.head.position;
            for checkpoint in page {
                let forged = |_| AuditError::Checkpoint(checkpoint.head.position);
                let head = verify_checkpoint(&checkpoint.signed, tenant, &keys).map_err(forged)?;
                if head != checkpoint.head {
                    return Err(AuditError::Checkpoint(checkpoint.head.position));
                }
                all.push(checkpoint);
            }
        }
    }

    /// Returns every key that was not revoked.
    async fn key_history(&self) -> Result<KeySet, OperatorError> {
        let (keys, _) = self.store().signing_keys().await?;
        let known: Vec<_> =
            Use::ALL.into_iter().flat_map(|one| Ring::of(one, &keys).history()).collect();
        let text = serde_json::json!({ "keys": known }).to_string();
        KeySet::parse(text.as_bytes()).map_err(|_| OperatorError::NoKey)
    }
}

fn operator(tenant: &TenantId) -> Scope {
    Scope { tenant: tenant.clone(), actor: "operator".to_owned() }
}

/// Returns what a chain that begins there must pass through.
fn heads_after(
    beginning: Head,
    checkpoints: &[Checkpoint],
    noted: Option<Head>,
) -> Result<Vec<Head>, AuditError> {
    if let Some(noted) = noted
        && noted.position <= beginning.position
        && noted != beginning
        && noted != Head::START
    {
        // At the same position it is another head than the one that is signed.
        return Err(match noted.position == beginning.position {
            true => Broken::NotReached(noted.position).into(),
            false => AuditError::Forgotten { noted: noted.position, beginning: beginning.position },
        });
    }
    let heads = checkpoints.iter().map(|checkpoint| checkpoint.head).chain(noted);
    Ok(heads.filter(|head| head.position > beginning.position).collect())
}

/// Returns the head that an event tells the chain to begin after.
fn told_beginning(linked: &Linked) -> Option<Head> {
    #[derive(Deserialize)]
    struct Detail {
        through: String,
    }
    if linked.event.kind != RETAINED {
        return None;
    }
    let detail: Detail = serde_json::from_str(&linked.event.detail).ok()?;
    detail.through.parse().ok()
}
