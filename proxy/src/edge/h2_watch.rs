//! What the guard watches on an HTTP/2 connection: header blocks that do not end, floods of control frames, and what the
//! codec gave up on.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::Frames;

/// Frames that ask for nothing which a client may send at once.
pub(crate) const OVERHEAD_FRAMES_AT_ONCE: u32 = 1000;
/// And per second after that.
pub(crate) const OVERHEAD_FRAMES_PER_SECOND: u32 = 200;

/// The client sends more frames that ask for nothing than any client needs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flooded;

/// One HTTP/2 connection under watch.
#[derive(Debug)]
pub(super) struct H2Watch {
    client: Frames,
    server: Frames,
    /// Since when a header block is open; at first, since when a first request is awaited.
    since: Instant,
    was_open: bool,
    /// When the overhead so far would have come, had it kept the rate.
    due: Instant,
}

impl H2Watch {
    /// Starts with the connection.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            client: Frames::of_client(),
            server: Frames::of_server(),
            since: now,
            was_open: false,
            due: now,
        }
    }

    /// The client sent these bytes.
    pub(super) fn saw(&mut self, bytes: &[u8], now: Instant) -> Result<(), Flooded> {
        let mut overhead = 0;
        self.client.pass(bytes, |frame| overhead += u32::from(frame.is_overhead()));
        let is_open = self.client.is_block_open();
        if is_open && !self.was_open {
            self.since = now;
        }
        self.was_open = is_open;
        self.count(overhead, now)
    }

    fn count(&mut self, overhead: u32, now: Instant) -> Result<(), Flooded> {
        if overhead == 0 {
            return Ok(());
        }
        let step = Duration::from_secs(1) / OVERHEAD_FRAMES_PER_SECOND;
        self.due = self.due.max(now) + step * overhead;
        if self.due > now + step * OVERHEAD_FRAMES_AT_ONCE { Err(Flooded) } else { Ok(()) }
    }

    /// We wrote these bytes; `gave_up` is told of every stream (0: the connection) that the codec ended for a fault of the
    /// client's, with the error code. A fault asks for nothing either: who makes the edge reset streams is counted as one who
    /// resets them (MadeYouReset).
    pub(super) fn wrote(
        &mut self,
        bytes: &[u8],
        now: impl FnOnce() -> Instant,
        mut gave_up: impl FnMut(u32, u32),
    ) -> Result<(), Flooded> {
        let mut faults = 0;
        self.server.pass(bytes, |frame| {
            if let Some(code) = frame.error_code().filter(|code| is_the_clients_fault(*code)) {
                faults += 1;
                gave_up(frame.stream, code);
            }
        });
        if faults == 0 { Ok(()) } else { self.count(faults, now()) }
    }

    /// Since when the client owes the end of a head, or its first request; `None` if it owes neither.
    pub(super) const fn awaits_head_since(&self, begun: u64) -> Option<Instant> {
        if self.was_open || begun == 0 { Some(self.since) } else { None }
    }
}

/// RFC 9113 §7: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, FRAME_SIZE_ERROR, COMPRESSION_ERROR,
/// ENHANCE_YOUR_CALM. The others say that a stream is over, that we failed, or that a request came too late.
const fn is_the_clients_fault(code: u32) -> bool {
    matches!(code, 1 | 3 | 4 | 6 | 9 | 11)
}

/// The code's name in the RFC.
pub(super) const fn error_name(code: u32) -> &'static str {
    match code {
        1 => "PROTOCOL_ERROR",
        3 => "FLOW_CONTROL_ERROR",
        4 => "SETTINGS_TIMEOUT",
        6 => "FRAME_SIZE_ERROR",
        9 => "COMPRESSION_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        _ => "an error of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const OPEN: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    const END: &[u8] = &[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x84];

    fn watch() -> (H2Watch, Instant) {
        let begin = Instant::now();
        let mut watch = H2Watch::new(begin);
        watch.saw(PREFACE, begin).unwrap();
        (watch, begin)
    }

    /// Sends so many frames that ask for nothing at once, and says whether they pass: in one read or in many.
    fn pass(watch: &mut H2Watch, frames: u32, now: Instant, is_one_read: bool) -> bool {
        if is_one_read {
            return watch.saw(&PING.repeat(frames as usize), now).is_ok();
        }
        (0..frames).all(|_| watch.saw(PING, now).is_ok())
    }

    #[test]
    fn frames_that_ask_for_nothing_pass_up_to_the_number_at_once() {
        const MOST: u32 = OVERHEAD_FRAMES_AT_ONCE;
        for (what, frames, passes) in
            [("one under", MOST - 1, true), ("at it", MOST, true), ("one over", MOST + 1, false)]
        {
            for is_one_read in [true, false] {
                let (mut watch, begin) = watch();
                assert_eq!(pass(&mut watch, frames, begin, is_one_read), passes, "{what}");
            }
        }
    }

    #[test]
    fn frames_that_ask_for_nothing_pass_up_to_the_rate_after_that() {
        const MOST: u32 = OVERHEAD_FRAMES_PER_SECOND;
        for (what, frames, passes) in
            [("one under", MOST - 1, true), ("at it", MOST, true), ("one over", MOST + 1, false)]
        {
            for is_one_read in [true, false] {
                let (mut watch, begin) = watch();
                assert!(pass(&mut watch, OVERHEAD_FRAMES_AT_ONCE, begin, true));
                let later = begin + Duration::from_secs(1);
                assert_eq!(pass(&mut watch, frames, later, is_one_read), passes, "{what}");
            }
        }
    }

    #[test]
    fn streams_that_the_codec_gives_up_count_like_those_that_the_client_resets() {
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 7, 0, 0, 0, 1];
        let (mut watch, begin) = watch();
        for _ in 0..OVERHEAD_FRAMES_AT_ONCE / 2 {
            assert_eq!(watch.wrote(&reset, || begin, |_, _| ()), Ok(()));
            assert_eq!(watch.saw(PING, begin), Ok(()));
        }
        assert_eq!(watch.wrote(&reset, || begin, |_, _| ()), Err(Flooded));
    }

    #[test]
    fn a_head_is_owed_at_first_and_while_a_block_is_open() {
        let (mut watch, begin) = watch();
        let later = |secs| begin + Duration::from_secs(secs);
        assert_eq!(watch.awaits_head_since(0), Some(begin));
        assert_eq!(watch.awaits_head_since(1), None);
        watch.saw(OPEN, later(5)).unwrap();
        watch.saw(PING, later(6)).unwrap();
        assert_eq!(watch.awaits_head_since(1), Some(later(5)));
        watch.saw(END, later(7)).unwrap();
        assert_eq!(watch.awaits_head_since(1), None);
    }

    #[test]
    fn what_the_codec_gave_up_on_is_told_and_an_end_without_fault_is_not() {
        let (mut watch, _) = watch();
        let mut told = Vec::new();
        for code in 0..16_u8 {
            let reset = [0, 0, 4, 3, 0, 0, 0, 0, 7, 0, 0, 0, code];
            let passes = watch
                .wrote(&reset, Instant::now, |stream, code| told.push((stream, error_name(code))));
            assert_eq!(passes, Ok(()));
        }
        let names: Vec<_> = told.iter().map(|(_, name)| *name).collect();
        assert!(told.iter().all(|(stream, _)| *stream == 7));
        assert_eq!(
            names,
            [
                "PROTOCOL_ERROR",
                "FLOW_CONTROL_ERROR",
                "SETTINGS_TIMEOUT",
                "FRAME_SIZE_ERROR",
                "COMPRESSION_ERROR",
                "ENHANCE_YOUR_CALM",
            ]
        );
    }
}
