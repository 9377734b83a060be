//! What the service counts, in Prometheus' words. Labels are bounded: route templates and codes of a table, never an
//! id, a tenant or anything that a client wrote.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// The service's counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    latency: HistogramVec,
    pub(crate) swept: IntCounter,
    pub(crate) linked: IntCounter,
    pub(crate) checkpoints: IntCounter,
    /// 1 while the store answers.
    pub(crate) store_up: IntGauge,
}

const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

impl Metrics {
    /// Makes counters that stand at zero.
    pub(crate) fn new() -> Self {
        Self::try_new().expect("the names and labels below are well formed and registered once")
    }

    fn try_new() -> prometheus::Result<Self> {
        let requests =
            Opts::new("license_requests_total", "Requests answered, by route template and status.");
        let refusals =
            Opts::new("license_refusals_total", "Requests refused, by public error code.");
        let latency = HistogramOpts::new(
            "license_request_duration_seconds",
            "Time to answer, by route template.",
        );
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["route", "code"])?,
            refusals: IntCounterVec::new(refusals, &["error"])?,
            latency: HistogramVec::new(latency.buckets(SECONDS.to_vec()), &["route"])?,
            swept: IntCounter::new(
                "license_sessions_swept_total",
                "Sessions that the sweeper ended.",
            )?,
            linked: IntCounter::new(
                "license_audit_events_linked_total",
                "Audit events linked into their chains.",
            )?,
            checkpoints: IntCounter::new(
                "license_audit_checkpoints_total",
                "Heads of audit chains that were signed.",
            )?,
            store_up: IntGauge::new("license_store_up", "1 while the store answers, else 0.")?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.refusals.clone()))?;
        metrics.registry.register(Box::new(metrics.latency.clone()))?;
        metrics.registry.register(Box::new(metrics.swept.clone()))?;
        metrics.registry.register(Box::new(metrics.linked.clone()))?;
        metrics.registry.register(Box::new(metrics.checkpoints.clone()))?;
        metrics.registry.register(Box::new(metrics.store_up.clone()))?;
        Ok(metrics)
    }

    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        route: &str,
        status: u16,
        refusal: Option<&'static str>,
        took: Duration,
    ) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.latency.with_label_values(&[route]).observe(took.as_secs_f64());
        if let Some(code) = refusal {
            self.refusals.with_label_values(&[code]).inc();
        }
    }

    /// Renders the text format.
    pub(crate) fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics were not rendered");
            String::new()
        })
    }
}
