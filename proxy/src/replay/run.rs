//! The run itself: each configuration on a thread of its own, because counters want the requests in their order.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::entry::{Entry, Source};
use super::report::{Change, Parity, Report, Sample};
use crate::snapshot::Snapshot;
use crate::trial::{Answer, Body, Missing, Trial};

/// Requests that are handed over at once.
const BATCH: usize = 256;
/// Bytes of bodies after which a batch ends: a capture holds large ones.
const BATCH_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Batches in work at one time.
const BATCHES: usize = 8;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were read.
    pub requests: u64,
    /// Bytes of the log that were read.
    pub bytes: u64,
    /// Bytes of the log.
    pub of_bytes: u64,
}

/// Asks one configuration, or two, about every request of a log. With one, the answers are compared with what the log
/// says; with two, with each other. `tell` is told how far it is, now and then.
///
/// # Errors
/// When the log breaks off.
pub fn replay(
    source: &mut Source,
    config: &Snapshot,
    against: Option<&Snapshot>,
    mut tell: impl FnMut(Progress),
) -> io::Result<Report> {
    let mut report = Report { against: against.map(|_| Default::default()), ..Report::default() };
    thread::scope(|scope| {
        let (one, one_answers) = asker(scope, config);
        let other = against.map(|snapshot| asker(scope, snapshot));
        let mut waiting = std::collections::VecDeque::new();
        let mut ended = false;
        while !ended || !waiting.is_empty() {
            while !ended && waiting.len() < BATCHES {
                let batch = batch(source)?;
                if batch.is_empty() {
                    ended = true;
                    break;
                }
                let batch = Arc::new(batch);
                send(&one, &batch);
                if let Some((other, _)) = &other {
                    send(other, &batch);
                }
                waiting.push_back(batch);
            }
            let Some(batch) = waiting.pop_front() else { break };
            let first = one_answers.recv().unwrap_or_default();
            let second = other.as_ref().map(|(_, answers)| answers.recv().unwrap_or_default());
            take(&mut report, &batch, &first, second.as_deref());
            let (bytes, of_bytes) = (source.bytes_read(), source.bytes);
            tell(Progress { requests: report.requests, bytes, of_bytes });
        }
        Ok::<(), io::Error>(())
    })?;
    report.unreadable = source.unreadable;
    Ok(report)
}

type Batch = Arc<Vec<Entry>>;
type Asked = (SyncSender<Batch>, Receiver<Vec<Answer>>);

/// The thread ends when nobody sends any more.
fn asker<'s>(scope: &'s thread::Scope<'s, '_>, snapshot: &'s Snapshot) -> Asked {
    let (send, requests) = sync_channel::<Batch>(BATCHES);
    let (answers, receive) = sync_channel(BATCHES);
    scope.spawn(move || {
        let trial = Trial::of_snapshot(snapshot);
        while let Ok(batch) = requests.recv() {
            let judged = batch.iter().map(|entry| trial.judge(&entry.ask, entry.time).answer);
            if answers.send(judged.collect()).is_err() {
                return;
            }
        }
    });
    (send, receive)
}

/// A thread that is gone has panicked, which the scope's end tells.
fn send(to: &SyncSender<Batch>, batch: &Batch) {
    to.send(Arc::clone(batch)).unwrap_or_default();
}

fn batch(source: &mut Source) -> io::Result<Vec<Entry>> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut body_bytes = 0;
    while batch.len() < BATCH && body_bytes < BATCH_BODY_BYTES {
        let Some(entry) = source.next().transpose()? else { break };
        if let Body::Whole(bytes) = &entry.ask.body {
            body_bytes += bytes.len();
        }
        batch.push(entry);
    }
    Ok(batch)
}

fn take(report: &mut Report, batch: &[Entry], first: &[Answer], second: Option<&[Answer]>) {
    for (index, (entry, answer)) in batch.iter().zip(first).enumerate() {
        report.requests += 1;
        report.tally.add(answer);
        if let Answer::Verdict(verdict) = answer {
            report.rule_errors += u64::from(!verdict.errors.is_empty());
        }
        if let Some(google) = &entry.google {
            report.parity.get_or_insert_with(Parity::default).add(google.passed, answer.passes());
        }
        match second.map(|answers| answers.get(index)) {
            Some(Some(other)) => {
                if let Some(tally) = &mut report.against {
                    tally.add(other);
                }
                compare(report, entry, answer, other);
            }
            Some(None) => {}
            None => with_log(report, entry, answer),
        }
    }
}

/// From the first configuration to the second.
fn compare(report: &mut Report, entry: &Entry, from: &Answer, to: &Answer) {
    if let Some(missing) = missing(from).or_else(|| missing(to)) {
        return report.miss(missing);
    }
    let (from, to) = ((from.words(), from.rule()), (to.words(), to.rule()));
    if from == to {
        report.unchanged += 1;
        return;
    }
    report.change(Change { from, to }, || Sample::of(entry));
}

/// From what the log says to the configuration. The log does not say the status that a rule chose, so only passing
/// and refusing are compared.
fn with_log(report: &mut Report, entry: &Entry, answer: &Answer) {
    if let Some(missing) = missing(answer) {
        return report.miss(missing);
    }
    let Some(recorded) = entry.ours.as_ref().or(entry.google.as_ref()) else {
        report.unrecorded += 1;
        return;
    };
    if answer.passes() == Some(recorded.passed) {
        report.unchanged += 1;
        return;
    }
    let word = if recorded.passed { "passed" } else { "refused" };
    let change =
        Change { from: (word.to_owned(), recorded.rule), to: (answer.words(), answer.rule()) };
    report.change(change, || Sample::of(entry));
}

const fn missing(answer: &Answer) -> Option<Missing> {
    if let Answer::Unknown(missing) = answer { Some(*missing) } else { None }
}
