//! Where texts are signed: with the cap, the deadline and the breaker that stand before a signer which is not this
//! process. Requests wait for a little while only; what is signed later than that helps the next one.

use super::algorithm::Algorithm;
use super::breaker::{Breaker, State};
use super::jws;
use super::port::{PortError, PrivateKey};
use crate::clock::Clock;
use crate::metrics::Signing;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a lease's answer waits for its receipt. Whoever gets none asks for it later.
pub(super) const LEASE_WAITS: Duration = Duration::from_millis(250);
/// How long that waits which is nothing without its signature; a try that takes longer has failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The most signatures that are in hand at once outside this process.
const REMOTE_MAX: usize = 16;
/// The most that is signed at once in this process by an algorithm that takes milliseconds of a processor each time.
const SLOW_MAX: usize = 2;

/// A key that signs.
pub(super) struct Active {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Vec<u8>,
    pub(super) key: Box<dyn PrivateKey>,
    /// Whether it lives in this process: then it is neither late nor down.
    pub(super) is_local: bool,
}

/// Why a text was not signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotSigned {
    /// The signer failed before, and is not asked for a while.
    Open,
    /// As much is in hand as may be.
    Busy,
    /// It takes longer than this text waits.
    Late,
    /// The signer failed.
    Failed,
}

impl NotSigned {
    /// Every reason, for the metric that shows them all from the start.
    pub(crate) const ALL: [Self; 4] = [Self::Open, Self::Busy, Self::Late, Self::Failed];

    /// Returns the metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "breaker_open",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

/// The desk.
pub(super) struct Desk {
    shared: Arc<Shared>,
    remote: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

struct Shared {
    breaker: Breaker,
    clock: Arc<dyn Clock>,
    metrics: Signing,
}

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: Signing) -> Self {
        let shared = Arc::new(Shared { breaker: Breaker::new(), clock, metrics });
        Self {
            shared,
            remote: Arc::new(Semaphore::new(REMOTE_MAX)),
            slow: Arc::new(Semaphore::new(SLOW_MAX)),
        }
    }

    /// Says whether a try with this key is refused now.
    pub(super) fn is_closed_to(&self, active: &Active) -> bool {
        !active.is_local && self.shared.breaker.is_open(self.shared.clock.uptime())
    }

    /// Makes a compact JWS of its first two parts.
    pub(super) async fn sign(
        &self,
        active: &Arc<Active>,
        unsigned: String,
        patience: Duration,
    ) -> Result<String, NotSigned> {
        let signature = self.raw(active, unsigned.as_bytes(), patience).await?;
        Ok(format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Signs bytes.
    pub(super) async fn raw(
        &self,
        active: &Arc<Active>,
        message: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, NotSigned> {
        let signed = if active.is_local {
            self.here(active, message, patience).await
        } else {
            self.elsewhere(active, message, patience).await
        };
        signed.inspect_err(|why| self.shared.metrics.not_signed(why.as_str()))
    }

    async fn here(
        &self,
        active: &Arc<Active>,
        message: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, NotSigned> {
        let _turn = if active.algorithm.is_slow() {
            let turn = timeout(patience, self.slow.clone().acquire_owned()).await;
            let Ok(Ok(turn)) = turn else { return Err(NotSigned::Busy) };
            Some(turn)
        } else {
            None
        };
        self.shared.try_once(active, message).await
    }

    async fn elsewhere(
        &self,
        active: &Arc<Active>,
        message: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, NotSigned> {
        let began = tokio::time::Instant::now();
        let turn = timeout(patience, self.remote.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(NotSigned::Busy) };
        if !self.shared.breaker.admits(self.shared.clock.uptime()) {
            self.shared.show();
            return Err(NotSigned::Open);
        }
        let (shared, active, message) = (self.shared.clone(), active.clone(), message.to_vec());
        // A task of its own, so that a signer which is slow, not down, is not given up on with each hasty request.
        let task = tokio::spawn(async move { shared.judged(&active, &message, turn).await });
        match timeout(patience.saturating_sub(began.elapsed()), task).await {
            Ok(Ok(signed)) => signed,
            Ok(Err(_broken_off)) => Err(NotSigned::Failed),
            Err(_) => Err(NotSigned::Late),
        }
    }
}

impl Shared {
    /// Tries once, within the deadline, and tells the breaker how it went.
    async fn judged(
        &self,
        active: &Active,
        message: &[u8],
        turn: OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, NotSigned> {
        let signed = timeout(DEADLINE, self.try_once(active, message)).await;
        drop(turn);
        let signed = signed.unwrap_or_else(|_| {
            tracing::error!(kid = active.kid, "the signer does not answer in time");
            Err(NotSigned::Failed)
        });
        match signed {
            Ok(_) => self.breaker.succeeded(),
            Err(_) => self.breaker.failed(self.clock.uptime()),
        }
        self.show();
        signed
    }

    /// Signs, and hands out nothing that the public key does not verify: a signer outside this process is believed no
    /// further than that.
    async fn try_once(&self, active: &Active, message: &[u8]) -> Result<Vec<u8>, NotSigned> {
        let began = self.clock.uptime();
        let signed = active.key.sign(message).await;
        let took = self.clock.uptime().saturating_sub(began);
        self.metrics.took(active.algorithm.as_str(), took);
        let signature = signed.map_err(|error| failed(active, &error))?;
        let good = active.is_local
            || jws::verify_with(active.algorithm, &active.public, message, &signature).is_ok();
        if good {
            Ok(signature)
        } else {
            Err(failed(active, &PortError::Refused("its signature is wrong".to_owned())))
        }
    }

    fn show(&self) {
        self.metrics.state.set(match self.breaker.state() {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        });
    }
}

fn failed(active: &Active, error: &PortError) -> NotSigned {
    tracing::error!(kid = active.kid, %error, "the signer failed");
    NotSigned::Failed
}
