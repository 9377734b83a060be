//! The task of one sink: takes lines off the queue, sends them, and waits where the other end fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::model::{EventSink, SinkWay};
use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::SinkLine;
use super::http::Http;
use super::syslog::Syslog;
use crate::egress::Egress;
use crate::incidents::Outcome;
use crate::metrics::SinkFigures;

/// Lines that are sent at once.
const BATCH_LINES: usize = 500;
/// How long a POST waits for further lines.
const GATHERS_FOR: Duration = Duration::from_secs(1);
/// How long an exchange may take.
pub(super) const TIME_MAX: Duration = Duration::from_secs(20);
/// How long a sink is left alone after each failure in a row; from the last one on it counts as down.
const RESTS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];
/// The longest rest that the other end may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Gives the guard of the configuration that is served now.
pub(super) type GuardOf = Box<dyn Fn() -> Arc<Egress> + Send + Sync>;

/// Sends the lines of one sink.
pub(super) struct Courier {
    name: String,
    way: Way,
    guard: GuardOf,
    figures: SinkFigures,
    lines: mpsc::Receiver<SinkLine>,
    /// Failures in a row.
    failures: usize,
}

enum Way {
    Syslog(Syslog),
    Http(Http),
}

impl Way {
    /// Sends what waits, and takes what was sent off `batch`.
    async fn send(&mut self, batch: &mut VecDeque<SinkLine>, egress: &Egress) -> Outcome {
        match self {
            Self::Syslog(syslog) => syslog.send(batch, egress).await,
            Self::Http(http) => http.send(batch, egress).await,
        }
    }
}

impl Courier {
    pub(super) fn new(
        name: &str,
        settings: &EventSink,
        guard: GuardOf,
        figures: SinkFigures,
        lines: mpsc::Receiver<SinkLine>,
    ) -> Self {
        let way = match &settings.way {
            SinkWay::Syslog(syslog) => Way::Syslog(Syslog::new(syslog)),
            SinkWay::Http { url, authorization } => {
                Way::Http(Http::new(url, authorization.as_ref(), settings.format))
            }
        };
        Self { name: name.to_owned(), way, guard, figures, lines, failures: 0 }
    }

    /// Sends until the queue has ended and is empty; after that, until the first failure.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.lines.recv().await {
            let mut batch = VecDeque::from([first]);
            self.gather(&mut batch).await;
            if !self.deliver(batch).await {
                return self.give_up();
            }
        }
    }

    /// Takes what waits already, and for HTTP what comes within a second.
    async fn gather(&mut self, batch: &mut VecDeque<SinkLine>) {
        let waits = match self.way {
            Way::Syslog(_) => Duration::ZERO,
            Way::Http(_) => GATHERS_FOR,
        };
        let until = tokio::time::Instant::now() + waits;
        while batch.len() < BATCH_LINES {
            let next = match self.lines.try_recv() {
                Ok(line) => Some(line),
                Err(_) if waits.is_zero() => None,
                Err(_) => tokio::time::timeout_at(until, self.lines.recv()).await.ok().flatten(),
            };
            let Some(line) = next else { return };
            batch.push_back(line);
        }
    }

    /// Sends a batch until it is sent or refused. `false` where it is neither and the sink is to end.
    async fn deliver(&mut self, mut batch: VecDeque<SinkLine>) -> bool {
        while !batch.is_empty() {
            let before = batch.len();
            let egress = (self.guard)();
            let outcome = self.way.send(&mut batch, &egress).await;
            self.count(&self.figures.sent, before - batch.len());
            let (why, after) = match outcome {
                Outcome::Delivered => {
                    self.stands(0);
                    continue;
                }
                Outcome::Later(why, after) => (why, after),
                Outcome::Refused(why) => {
                    self.count(&self.figures.refused, batch.len());
                    batch.clear();
                    (why, None)
                }
            };
            self.figures.failures.inc();
            tracing::warn!(
                sink = self.name,
                lines = batch.len(),
                "the sink does not take events: {why}"
            );
            self.stands(self.failures + 1);
            if self.lines.is_closed() {
                self.count(&self.figures.dropped, batch.len());
                return false;
            }
            tokio::time::sleep(rest(self.failures, after)).await;
        }
        true
    }

    /// Notes how it stands.
    fn stands(&mut self, failures: usize) {
        self.failures = failures;
        let is_up = failures < RESTS.len();
        self.figures.up.set(i64::from(is_up));
    }

    fn give_up(mut self) {
        let mut left = 0;
        while self.lines.try_recv().is_ok() {
            left += 1;
        }
        self.count(&self.figures.dropped, left);
    }

    /// Counts lines that wait no longer.
    fn count(&self, outcome: &IntCounter, lines: usize) {
        outcome.inc_by(u64::try_from(lines).unwrap_or(u64::MAX));
        self.figures.waiting.sub(i64::try_from(lines).unwrap_or(i64::MAX));
    }
}

/// How long a sink is left alone after so many failures in a row: at least as long as it asks for, within reason.
fn rest(failures: usize, after: Option<Duration>) -> Duration {
    let step = RESTS.get(failures.saturating_sub(1)).or(RESTS.last());
    step.copied().unwrap_or_default().max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
}
