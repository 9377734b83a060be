//! How the event log's sinks stand, by their names in the configuration.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

/// The families of sinks.
#[derive(Clone, Debug)]
pub(crate) struct Sinks {
    lines: IntCounterVec,
    waiting: IntGaugeVec,
    failures: IntCounterVec,
    up: IntGaugeVec,
}

/// The figures of one sink, looked up once. One that is forgotten is counted on, and told no more.
#[derive(Clone, Debug)]
pub(crate) struct SinkFigures {
    /// Lines that it has taken.
    pub(crate) sent: IntCounter,
    /// Lines that it does not take.
    pub(crate) refused: IntCounter,
    /// Lines that nobody tried to send, or tries no more.
    pub(crate) dropped: IntCounter,
    /// Exchanges that failed.
    pub(crate) failures: IntCounter,
    /// Lines that wait.
    pub(crate) waiting: IntGauge,
    /// 1 unless it has failed five times in a row.
    pub(crate) up: IntGauge,
}

impl Sinks {
    pub(super) fn register(r: &Registry) -> Self {
        let sinks = Self {
            lines: super::counters(
                r,
                "edge_event_sink_lines_total",
                "Lines of the event log for a sink: sent, refused by it, or dropped because its queue was full, the line too long, or the process over.",
                &["sink", "outcome"],
            ),
            waiting: super::gauges(
                r,
                "edge_event_sink_lines_waiting",
                "Lines of the event log that wait for a sink.",
                &["sink"],
            ),
            failures: super::counters(
                r,
                "edge_event_sink_failures_total",
                "Exchanges with a sink that failed.",
                &["sink"],
            ),
            up: super::gauges(
                r,
                "edge_event_sink_up",
                "1 unless the sink has failed five times in a row and is left alone.",
                &["sink"],
            ),
        };
        // The family is there where no sink is.
        sinks.lines.with_label_values(&["none", "dropped"]);
        sinks
    }

    /// Tells of a sink from now on.
    pub(crate) fn begin(&self, sink: &str) -> SinkFigures {
        let lines = |outcome| self.lines.with_label_values(&[sink, outcome]);
        let figures = SinkFigures {
            sent: lines("sent"),
            refused: lines("refused"),
            dropped: lines("dropped"),
            failures: self.failures.with_label_values(&[sink]),
            waiting: self.waiting.with_label_values(&[sink]),
            up: self.up.with_label_values(&[sink]),
        };
        figures.up.set(1);
        figures
    }

    /// Lets go of a sink that is configured no longer.
    pub(crate) fn forget(&self, sink: &str) {
        for family in [&self.waiting, &self.up] {
            // An error means that nothing had been told of it.
            family.remove_label_values(&[sink]).unwrap_or_default();
        }
    }
}
