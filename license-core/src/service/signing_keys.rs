//! The upkeep of signing keys, in a task of its own: a signer that hangs holds up neither leases nor the audit trail.

use super::{ALIVE_EVERY, End, MINUTE_ROUNDS, told_to_end};
use crate::metrics::Metrics;
use crate::signing::Signer;
use std::sync::Arc;
use tokio::sync::watch;

/// Reads the signing keys again every few seconds, makes the next one in time, and signs the heads of the audit chains
/// every minute in which that is due. What is in hand when the service ends is broken off: the next one does it.
pub(super) async fn keep(
    signer: Option<Arc<Signer>>,
    metrics: Arc<Metrics>,
    mut ended: watch::Receiver<End>,
) {
    let Some(signer) = signer else { return };
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    let mut rounds = 0_u64;
    loop {
        let round = async {
            ticks.tick().await;
            refresh(&signer).await;
            if rounds.is_multiple_of(MINUTE_ROUNDS) {
                checkpoint(&signer, &metrics).await;
            }
        };
        tokio::select! {
            () = round => rounds += 1,
            () = told_to_end(&mut ended) => return,
        }
    }
}

async fn refresh(signer: &Signer) {
    if let Err(error) = signer.refresh().await {
        let error = error.with_causes();
        tracing::error!(error, "not every signing key can be used, leases go on");
    }
}

async fn checkpoint(signer: &Signer, metrics: &Metrics) {
    match signer.checkpoint().await {
        Ok(signed) => metrics.checkpoints.inc_by(signed),
        Err(error) => {
            tracing::warn!(%error, "audit checkpoints were not signed, a later round will do it")
        }
    }
}
