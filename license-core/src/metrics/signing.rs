//! What is counted about signing.

use crate::signing::{Algorithm, NotSigned};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};
use std::time::Duration;

/// The signer's counters.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    latency: HistogramVec,
    not_signed: IntCounterVec,
    /// 0 while the breaker is closed, 1 while one tries, 2 while it is open.
    pub(crate) state: IntGauge,
    /// 1 while a key for receipts signs, else 0.
    pub(crate) ready: IntGauge,
}

const SECONDS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 1.0, 5.0];

impl Signing {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let latency =
            HistogramOpts::new("license_signing_duration_seconds", "Time to sign, by algorithm.");
        let not_signed = Opts::new(
            "license_signing_failures_total",
            "Texts that were not signed: the breaker was open, too many were in hand, it took too long, it failed.",
        );
        let signing = Self {
            latency: HistogramVec::new(latency.buckets(SECONDS.to_vec()), &["algorithm"])?,
            not_signed: IntCounterVec::new(not_signed, &["reason"])?,
            state: IntGauge::new(
                "license_signer_breaker_state",
                "The breaker before the signer: 0 closed, 1 half open, 2 open.",
            )?,
            ready: IntGauge::new("license_signer_up", "1 while a key for receipts signs, else 0.")?,
        };
        registry.register(Box::new(signing.latency.clone()))?;
        registry.register(Box::new(signing.not_signed.clone()))?;
        registry.register(Box::new(signing.state.clone()))?;
        registry.register(Box::new(signing.ready.clone()))?;
        for reason in NotSigned::ALL {
            signing.not_signed.with_label_values(&[reason.as_str()]);
        }
        for algorithm in Algorithm::ALL {
            signing.latency.with_label_values(&[algorithm.as_str()]);
        }
        Ok(signing)
    }

    /// Counts a signature, or a try.
    pub(crate) fn took(&self, algorithm: &str, took: Duration) {
        self.latency.with_label_values(&[algorithm]).observe(took.as_secs_f64());
    }

    /// Returns how many texts were not signed.
    pub(crate) fn failures(&self) -> u64 {
        let of = |why: &NotSigned| self.not_signed.with_label_values(&[why.as_str()]).get();
        NotSigned::ALL.iter().map(of).sum()
    }

    /// Counts a text that was not signed.
    pub(crate) fn not_signed(&self, why: &str) {
        self.not_signed.with_label_values(&[why]).inc();
    }
}
