//! What the service counts, in Prometheus' words. Labels are bounded: route templates and codes of a table, never an
//! id, a tenant or anything that a client wrote.

mod signing;

pub(crate) use signing::Signing;

use crate::clock::Timestamp;
use crate::signing::Algorithm;
use crate::store::retention::DataClass;
use crate::store::{Connections, SealedKey, Stranded};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::collections::BTreeMap;
use std::sync::Arc;
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
    forgotten: IntCounterVec,
    pub(crate) checkpoints: IntCounter,
    deliveries: IntCounterVec,
    pub(crate) accelerated: IntCounterVec,
    pub(crate) backups: IntCounterVec,
    pub(crate) backup_newest: IntGauge,
    /// 1 while the store answers.
    pub(crate) store_up: IntGauge,
    pub(crate) signing: Signing,
    store_connections: IntGaugeVec,
    store_connections_limit: IntGauge,
    sessions: IntGaugeVec,
    last_sweep: IntGauge,
    signing_since: IntGaugeVec,
}

/// What a running service counts, for a listener that is not its own: the edge shows it beside its own metrics.
#[derive(Clone, Debug)]
pub struct MetricsPage(pub(crate) Arc<Metrics>);

impl MetricsPage {
    /// Renders the metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Returns how many texts were not signed, for whatever reason.
    #[must_use]
    pub fn signing_failures(&self) -> u64 {
        self.0.signing.failures()
    }
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
        let registry = Registry::new();
        let metrics = Self {
            signing: Signing::new(&registry)?,
            registry,
            requests: IntCounterVec::new(requests, &["route", "code"])?,
            refusals: IntCounterVec::new(refusals, &["error"])?,
            latency: HistogramVec::new(latency.buckets(SECONDS.to_vec()), &["route"])?,
            swept: IntCounter::new(
                "license_sessions_swept_total",
                "Sessions that the sweeper ended.",
            )?,
            forgotten: IntCounterVec::new(
                Opts::new(
                    "license_forgotten_rows_total",
                    "Rows that were deleted for their age, by class of data.",
                ),
                &["class"],
            )?,
            linked: IntCounter::new(
                "license_audit_events_linked_total",
                "Audit events linked into their chains.",
            )?,
            checkpoints: IntCounter::new(
                "license_audit_checkpoints_total",
                "Heads of audit chains that were signed.",
            )?,
            accelerated: IntCounterVec::new(
                Opts::new(
                    "license_accelerated_heartbeats_total",
                    "Heartbeats that asked the accelerator, by what was found.",
                ),
                &["result"],
            )?,
            backups: IntCounterVec::new(
                Opts::new("license_backups_total", "Copies of the store by schedule, by result."),
                &["result"],
            )?,
            backup_newest: IntGauge::new(
                "license_backup_newest_timestamp_seconds",
                "When the newest copy of the schedule was made.",
            )?,
            deliveries: IntCounterVec::new(
                Opts::new(
                    "license_webhook_deliveries_total",
                    "Attempts to deliver a webhook's message, by result.",
                ),
                &["result"],
            )?,
            store_up: IntGauge::new("license_store_up", "1 while the store answers, else 0.")?,
            store_connections: IntGaugeVec::new(
                Opts::new(
                    "license_store_connections",
                    "Connections to the database: in_use, idle.",
                ),
                &["state"],
            )?,
            store_connections_limit: IntGauge::new(
                "license_store_connections_limit",
                "The most connections that the service opens to the database.",
            )?,
            sessions: IntGaugeVec::new(
                Opts::new(
                    "license_sessions",
                    "Live sessions: active, or offline. As of the last minute.",
                ),
                &["state"],
            )?,
            last_sweep: IntGauge::new(
                "license_sweep_last_success_timestamp_seconds",
                "When leases that ran out were last ended by the sweeper, since the Unix epoch; 0 if never.",
            )?,
            signing_since: IntGaugeVec::new(
                Opts::new(
                    "license_signing_key_active_timestamp_seconds",
                    "When the key that signs began to, since the Unix epoch, by algorithm; the older one where two have the same.",
                ),
                &["algorithm"],
            )?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.refusals.clone()))?;
        metrics.registry.register(Box::new(metrics.latency.clone()))?;
        metrics.registry.register(Box::new(metrics.swept.clone()))?;
        metrics.registry.register(Box::new(metrics.linked.clone()))?;
        metrics.registry.register(Box::new(metrics.forgotten.clone()))?;
        for class in DataClass::ALL {
            metrics.forgotten.with_label_values(&[class.as_str()]);
        }
        metrics.registry.register(Box::new(metrics.checkpoints.clone()))?;
        metrics.registry.register(Box::new(metrics.deliveries.clone()))?;
        metrics.registry.register(Box::new(metrics.accelerated.clone()))?;
        metrics.registry.register(Box::new(metrics.backups.clone()))?;
        metrics.registry.register(Box::new(metrics.backup_newest.clone()))?;
        metrics.registry.register(Box::new(metrics.store_up.clone()))?;
        metrics.registry.register(Box::new(metrics.store_connections.clone()))?;
        metrics.registry.register(Box::new(metrics.store_connections_limit.clone()))?;
        metrics.registry.register(Box::new(metrics.sessions.clone()))?;
        metrics.registry.register(Box::new(metrics.last_sweep.clone()))?;
        metrics.registry.register(Box::new(metrics.signing_since.clone()))?;
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

    /// Tells how the connections to the database stand.
    pub(crate) fn connected(&self, connections: Connections) {
        let Connections { in_use, idle, limit } = connections;
        self.store_connections.with_label_values(&["in_use"]).set(in_use.into());
        self.store_connections.with_label_values(&["idle"]).set(idle.into());
        self.store_connections_limit.set(limit.into());
    }

    /// Counts what was deleted for its age.
    pub(crate) fn forgotten(&self, class: DataClass, rows: u64) {
        self.forgotten.with_label_values(&[class.as_str()]).inc_by(rows);
    }

    /// Tells how many sessions live.
    pub(crate) fn live(&self, live: Stranded) {
        let active = live.receipts.saturating_sub(live.borrow_tokens);
        self.sessions.with_label_values(&["active"]).set(active.into());
        self.sessions.with_label_values(&["offline"]).set(live.borrow_tokens.into());
    }

    /// Tells that the sweeper has been through.
    pub(crate) fn swept_at(&self, now: Timestamp) {
        self.last_sweep.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// Tells since when the keys that sign do. An algorithm that signs no longer leaves the page.
    pub(crate) fn sign_since<'a>(&self, active: impl Iterator<Item = &'a SealedKey>) {
        let mut since = BTreeMap::new();
        for key in active {
            let at = i64::try_from(key.active_at.as_secs()).unwrap_or(i64::MAX);
            let oldest = since.entry(key.algorithm.as_str()).or_insert(at);
            *oldest = at.min(*oldest);
        }
        for algorithm in Algorithm::ALL.map(Algorithm::as_str) {
            match since.get(algorithm) {
                Some(at) => self.signing_since.with_label_values(&[algorithm]).set(*at),
                // It may never have been there.
                None => drop(self.signing_since.remove_label_values(&[algorithm])),
            }
        }
    }

    /// Counts attempts to deliver messages of webhooks.
    pub(crate) fn delivered(&self, result: &str, messages: u64) {
        self.deliveries.with_label_values(&[result]).inc_by(messages);
    }

    /// Renders the text format.
    pub(crate) fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics were not rendered");
            String::new()
        })
    }
}
