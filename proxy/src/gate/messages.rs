//! What a client sends on a stream that stays open: each message counted and measured as it passes, none held.

mod grpc;
mod websocket;

use std::time::Duration;

use portcullis_config::model::Messages as Limits;
use prometheus::{IntCounter, IntCounterVec};

use super::refusal::Refusal;
use super::stream::Stream;
use crate::reason::Reason;

/// Why a stream ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Breach {
    /// The bytes are no message.
    Malformed(&'static str),
    /// A message is larger than is allowed.
    TooLarge,
    /// There are more messages in a second than are allowed.
    TooMany,
}

/// Watches the client's side of one stream.
#[derive(Debug)]
pub(super) struct Messages {
    framing: Framing,
    limits: Limits,
    rate: Rate,
    begun: IntCounter,
}

#[derive(Debug)]
enum Framing {
    WebSocket(websocket::Frames),
    Grpc(grpc::Frames),
}

impl Messages {
    /// Begins with a stream; `counted` counts messages by protocol.
    pub(super) fn of(stream: &Stream, counted: &IntCounterVec, now: Duration) -> Self {
        let (framing, limits, protocol) = match stream {
            Stream::WebSocket(one) => {
                (Framing::WebSocket(websocket::Frames::default()), one.messages, "websocket")
            }
            Stream::Grpc(one) => (Framing::Grpc(grpc::Frames::default()), one.messages, "grpc"),
        };
        let begun = counted.with_label_values(&[protocol]);
        Self { framing, limits, rate: Rate::new(limits.per_second, now), begun }
    }

    /// Looks at the next bytes on their way to the origin.
    pub(super) fn pass(&mut self, bytes: &[u8], now: Duration) -> Result<(), Refusal> {
        let max = self.limits.bytes_max;
        let begun = match &mut self.framing {
            Framing::WebSocket(frames) => frames.pass(bytes, max),
            Framing::Grpc(frames) => frames.pass(bytes, max),
        };
        let begun = begun.map_err(refusal)?;
        self.begun.inc_by(begun);
        self.rate.take(begun, now).map_err(refusal)
    }
}

fn refusal(breach: Breach) -> Refusal {
    let refusal = match breach {
        Breach::Malformed(detail) => Refusal::because(Reason::MalformedBody, detail),
        Breach::TooLarge => Refusal::of(Reason::MessageTooLarge),
        Breach::TooMany => Refusal::of(Reason::TooManyMessages),
    };
    Refusal { closes: true, ..refusal }
}

/// A bucket that holds a second's worth of messages.
#[derive(Debug)]
struct Rate {
    per_second: u64,
    /// Thousandths of messages.
    left: u64,
    at: Duration,
}

impl Rate {
    fn new(per_second: u32, now: Duration) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, left: per_second * 1000, at: now }
    }

    fn take(&mut self, messages: u64, now: Duration) -> Result<(), Breach> {
        let since = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        if since > 0 {
            let refilled = self.left.saturating_add(since.saturating_mul(self.per_second));
            self.left = refilled.min(self.per_second * 1000);
            self.at = now;
        }
        let wanted = messages.saturating_mul(1000);
        self.left = self.left.checked_sub(wanted).ok_or(Breach::TooMany)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_may_come_at_once_and_comes_back_in_a_second() {
        let mut rate = Rate::new(10, Duration::ZERO);
        let at = Duration::from_millis;
        assert_eq!(rate.take(10, at(0)), Ok(()));
        assert_eq!(rate.take(1, at(99)), Err(Breach::TooMany));
        let mut rate = Rate::new(10, Duration::ZERO);
        assert_eq!(rate.take(10, at(0)), Ok(()));
        assert_eq!(rate.take(1, at(100)), Ok(()));
        assert_eq!(rate.take(10, at(5000)), Ok(()));
        assert_eq!(rate.take(1, at(5000)), Err(Breach::TooMany));
    }
}
