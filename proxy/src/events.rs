//! How security events leave the place where they happen: any code of the edge hands one over and goes on.
//!
//! [`Events::raise`] never waits and never loses: one bounded queue, and where it is full a bounded table that adds up
//! events of one kind, source and subject; where that is full too, a count per kind. The incident desk reads the other
//! end, [`Inbox`].

mod of_request;
mod overflow;
mod valid;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_incident::Event;
use portcullis_incident::event::Taken;
use prometheus::{IntCounter, IntCounterVec};

use crate::metrics::Metrics;
use overflow::Overflow;

pub(crate) use of_request::{Refused, everyday, is_noted, of_request};
pub(crate) use overflow::SUMS_MAX;
use valid::Told;

/// Events that wait for the desk one by one; beyond that they are added up.
pub(crate) const QUEUE_EVENTS_MAX: usize = 8192;

/// Where security events are handed over. One per process, in `Shared`.
pub struct Events {
    queue: SyncSender<Message>,
    overflow: Arc<Overflow>,
    told: Told,
    counted: IntCounterVec,
    added_up: IntCounter,
    unseen: IntCounter,
}

/// The other end.
pub struct Inbox {
    queue: Receiver<Message>,
    overflow: Arc<Overflow>,
}

/// What the desk reads.
pub(crate) enum Message {
    Event(Box<Event>),
    /// A line of the log that is no event of an incident.
    Line(Box<serde_json::Value>),
    /// What goes on every day, for scenarios only.
    Everyday(Box<Event>),
    /// Open the log's file anew.
    Reopen,
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

impl Events {
    /// Makes both ends.
    #[must_use]
    pub fn new(metrics: &Metrics) -> (Self, Inbox) {
        let (sender, receiver) = sync_channel(QUEUE_EVENTS_MAX);
        let overflow = Arc::new(Overflow::new());
        let events = Self {
            queue: sender,
            overflow: Arc::clone(&overflow),
            told: Told::new(),
            counted: metrics.security_events.clone(),
            added_up: metrics.events_added_up.clone(),
            unseen: metrics.events_unseen.clone(),
        };
        (events, Inbox { queue: receiver, overflow })
    }

    /// Hands an event over. Never waits; what does not fit the queue is added up with its like.
    pub fn raise(&self, event: Event) {
        if event.taken != Taken::Previewed {
            self.count(&event);
        }
        match self.queue.try_send(Message::Event(Box::new(event))) {
            Ok(()) => {}
            Err(TrySendError::Full(Message::Event(event))) => {
                self.added_up.inc_by(event.count);
                self.overflow.add(*event);
            }
            // Without a desk, between two processes or in a test, there is nobody to tell.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Hands a line of the event log over that no incident is made of. Never waits: while the queue is full it is lost.
    pub fn write(&self, line: serde_json::Value) {
        // Who fills the queue has lines of events in it, which say more.
        drop(self.queue.try_send(Message::Line(Box::new(line))));
    }

    /// Counts an event by its type. What the desk makes of what goes on every day was not raised by anybody.
    pub(crate) fn count(&self, event: &Event) {
        self.counted.with_label_values(&[event.category.kind()]).inc_by(event.count);
    }

    /// Shows scenarios what goes on every day. Never waits: while the queue is full it is not seen, and counted.
    pub fn show(&self, event: Event) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Everyday(Box::new(event)))
        {
            self.unseen.inc();
        }
    }

    /// Shows that a subject has a valid session from an address with a token: once a minute for each three. `session`
    /// makes the event where it is to be shown.
    pub fn show_session(
        &self,
        address: IpAddr,
        subject: &str,
        token: Option<&str>,
        session: impl FnOnce() -> Event,
        now: Timestamp,
    ) {
        if self.told.is_news((address, subject, token), now) {
            self.show(session());
        }
    }

    /// Opens the log's file anew after the events before: for log rotation. Waits while the queue is full.
    pub fn reopen(&self) {
        if self.queue.send(Message::Reopen).is_err() {
            tracing::error!("nobody writes the event log");
        }
    }

    /// Waits until every event that was handed over before is written and correlated.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // An error means that the desk is gone; then there is nothing to wait for.
            wait.recv().unwrap_or_default();
        }
    }
}

impl Inbox {
    /// Waits for the next message, at most for `wait`; `None` when the time is over.
    pub(crate) fn wait(&self, wait: Duration) -> Option<Message> {
        match self.queue.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // Nobody can hand anything over any more; whoever owns the desk stops it.
                std::thread::sleep(wait);
                None
            }
        }
    }

    /// Returns the next message that is there.
    pub(crate) fn next(&self) -> Option<Message> {
        self.queue.try_recv().ok()
    }

    /// Takes what was added up.
    pub(crate) fn added_up(&self) -> Vec<Event> {
        self.overflow.take()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_incident::Category;

    use super::*;

    fn event(source: [u8; 4]) -> Event {
        Event::new("", Category::RateLimit, Some(source.into()), Timestamp::from_secs(1))
    }

    #[test]
    fn events_wait_up_to_the_queues_length_and_are_then_added_up() {
        for (what, raised, added) in [
            ("one under", QUEUE_EVENTS_MAX - 1, 0),
            ("at it", QUEUE_EVENTS_MAX, 0),
            ("one over", QUEUE_EVENTS_MAX + 1, 1),
        ] {
            let (events, inbox) = Events::new(&Metrics::new());
            (0..raised).for_each(|_| events.raise(event([192, 0, 2, 1])));
            let one_by_one = std::iter::from_fn(|| inbox.next()).count();
            assert_eq!(one_by_one, raised.min(QUEUE_EVENTS_MAX), "{what}");
            let sums: u64 = inbox.added_up().iter().map(|event| event.count).sum();
            assert_eq!(sums, added, "{what}");
        }
    }

    #[test]
    fn a_million_events_of_a_hundred_thousand_sources_are_counted_exactly() {
        let (events, inbox) = Events::new(&Metrics::new());
        for n in 0..1_000_000_u32 {
            events.raise(event((n % 100_000).to_be_bytes()));
        }
        let one_by_one = std::iter::from_fn(|| inbox.next()).count() as u64;
        let sums = inbox.added_up();
        assert!(sums.len() <= SUMS_MAX + Category::ALL.len(), "{}", sums.len());
        let added: u64 = sums.iter().map(|event| event.count).sum();
        assert_eq!(one_by_one + added, 1_000_000);
        assert!(inbox.added_up().is_empty());
    }
}
