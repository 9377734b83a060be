//! How long requests took, by route and by class of status: rate, errors and duration of each route in one family.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

/// Upper bounds of the histogram, in seconds.
const BUCKETS_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The classes of a status code by its first digit, and of what got no whole answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The histograms of one route, each looked up once.
#[derive(Debug, Default)]
pub(crate) struct RouteDurations([OnceLock<Histogram>; CLASSES.len()]);

/// The family `http_server_request_duration_seconds`.
#[derive(Clone, Debug)]
pub(super) struct Durations(HistogramVec);

impl Durations {
    pub(super) fn register(registry: &Registry) -> Self {
        let options = HistogramOpts::new(
            "http_server_request_duration_seconds",
            "Time from a request's first byte to its answer's last byte, by host and path of the route as configured (both empty where there is none) and by class of status.",
        );
        let labels = &["host", "route", "class"];
        let family = HistogramVec::new(options.buckets(BUCKETS_SECONDS.to_vec()), labels);
        Self(super::register(registry, family.expect("literal names are valid")))
    }

    /// Counts one answer of a route; `host` and `route` name it.
    pub(super) fn observe(
        &self,
        known: &RouteDurations,
        (host, route): (&str, &str),
        status: u16,
        took: Duration,
    ) {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let (Some(cell), Some(name)) = (known.0.get(class), CLASSES.get(class)) else { return };
        let histogram = cell.get_or_init(|| self.0.with_label_values(&[host, route, name]));
        histogram.observe(took.as_secs_f64());
    }

    /// Lets go of the routes that `is_served` does not know: a configuration that changes often would leave them all.
    pub(super) fn forget_unless(&self, is_served: impl Fn(&str, &str) -> bool) {
        let families = self.0.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let gone = series.filter_map(|metric| {
            let label = |name: &str| {
                let pair = metric.get_label().iter().find(|pair| pair.name() == name);
                pair.map(|pair| pair.value().to_owned())
            };
            let [host, route, class] = [label("host")?, label("route")?, label("class")?];
            let is_served = route.is_empty() || is_served(&host, &route);
            (!is_served).then_some([host, route, class])
        });
        for [host, route, class] in gone.collect::<Vec<_>>() {
            // An error means that somebody else let go of it.
            self.0.remove_label_values(&[&host, &route, &class]).unwrap_or_default();
        }
    }
}
