//! Who else gets the lines of the event log: servers of syslog and of HTTP, each with a bounded queue and a task of its
//! own, so that one that hangs holds up neither a request, nor the desk, nor its neighbour.

mod courier;
mod http;
mod syslog;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::model::{EventFormat, EventSink};
use portcullis_incident::{Priority, export};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::metrics::SinkFigures;
use crate::shared::Shared;
use courier::{Courier, GuardOf};

/// Lines that wait for one sink; what comes beyond is dropped and counted, so that what stays shows how it began.
pub(crate) const LINES_MAX: usize = 4096;
/// Bytes of a line that is sent; a longer one stands in the file only.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;
/// How long the end of the process waits for what is still to be sent.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// One line on its way.
#[derive(Clone, Debug)]
pub(crate) struct SinkLine {
    /// As the sink's format has it, without the end of line.
    text: Bytes,
    /// When it happened, in RFC 3339.
    timestamp: Arc<str>,
    /// What it is, in one word.
    kind: Arc<str>,
    /// The severity's code in syslog.
    severity: u8,
}

/// The sinks of the served configuration.
#[derive(Default)]
pub(crate) struct Sinks {
    running: BTreeMap<String, Running>,
}

/// One sink at work.
struct Running {
    settings: EventSink,
    queue: mpsc::Sender<SinkLine>,
    task: JoinHandle<()>,
    figures: SinkFigures,
}

impl Sinks {
    /// Takes the sinks of a configuration: new ones begin, those that are gone send what they have and end, and the
    /// others go on as they were.
    pub(crate) fn set(
        &mut self,
        settings: &BTreeMap<String, EventSink>,
        shared: &Arc<Shared>,
        runtime: &Handle,
    ) {
        self.running.retain(|name, running| {
            let stays = settings.get(name) == Some(&running.settings);
            if !stays {
                shared.metrics.sinks.forget(name);
            }
            stays
        });
        for (name, sink) in settings {
            if !self.running.contains_key(name) {
                let of = Arc::clone(shared);
                let guard: GuardOf = Box::new(move || Arc::clone(&of.snapshot.load().egress));
                let figures = shared.metrics.sinks.begin(name);
                let running = Running::start(name, sink, guard, figures, runtime);
                self.running.insert(name.clone(), running);
            }
        }
    }

    /// Hands a line to every sink. Never waits.
    pub(crate) fn offer(&self, line: &Value) {
        if self.running.is_empty() {
            return;
        }
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str);
        let timestamp: Arc<str> = text("/timestamp").unwrap_or("-").into();
        let kind: Arc<str> = text("/type").or_else(|| text("/event")).unwrap_or("-").into();
        let severity = severity(text("/priority").and_then(Priority::by_name));
        let mut written: Vec<(EventFormat, Bytes)> = Vec::new();
        for running in self.running.values() {
            let format = running.settings.format;
            let known =
                written.iter().find(|(one, _)| *one == format).map(|(_, text)| text.clone());
            let text = known.unwrap_or_else(|| {
                let text = Bytes::from(export::line(format, line));
                written.push((format, text.clone()));
                text
            });
            let (timestamp, kind) = (Arc::clone(&timestamp), Arc::clone(&kind));
            running.offer(SinkLine { text, timestamp, kind, severity });
        }
    }

    /// Ends all sinks; waits for what is still to be sent, for five seconds at most. Must not be called on a runtime's
    /// own thread.
    pub(crate) fn finish(&mut self, runtime: &Handle) {
        let running = std::mem::take(&mut self.running);
        runtime.block_on(async {
            let until = tokio::time::Instant::now() + FINISH_MAX;
            for (name, one) in running {
                drop(one.queue);
                let mut task = one.task;
                if tokio::time::timeout_at(until, &mut task).await.is_err() {
                    task.abort();
                    tracing::warn!(sink = name, "the sink did not take its last lines in time");
                }
            }
        });
    }
}

impl Running {
    fn start(
        name: &str,
        settings: &EventSink,
        guard: GuardOf,
        figures: SinkFigures,
        runtime: &Handle,
    ) -> Self {
        let (queue, lines) = mpsc::channel(LINES_MAX);
        let courier = Courier::new(name, settings, guard, figures.clone(), lines);
        let task = runtime.spawn(courier.run());
        Self { settings: settings.clone(), queue, task, figures }
    }

    fn offer(&self, line: SinkLine) {
        self.figures.waiting.inc();
        if line.text.len() > LINE_BYTES_MAX || self.queue.try_send(line).is_err() {
            self.figures.waiting.dec();
            self.figures.dropped.inc();
        }
    }
}

/// The severity's code in syslog (RFC 5424, table 2).
const fn severity(priority: Option<Priority>) -> u8 {
    match priority {
        Some(Priority::P0) => 2,
        Some(Priority::P1) => 3,
        Some(Priority::P2) => 4,
        Some(Priority::P3) | None => 6,
    }
}

/// A line for a test.
#[cfg(test)]
fn test_line(text: &str) -> SinkLine {
    let timestamp = portcullis_incident::event::rfc3339(portcullis_config::Timestamp::from_millis(
        1_764_504_000_007,
    ));
    SinkLine {
        text: Bytes::copy_from_slice(text.as_bytes()),
        timestamp: timestamp.into(),
        kind: "xss".into(),
        severity: 4,
    }
}
