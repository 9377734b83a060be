//! HTTP/2 frames as they pass, without their meaning: where one begins, of which kind it is, where it ends.
//!
//! Pingora and its HTTP/2 codec answer, reset or close over a bad frame by themselves and tell nobody. What the edge wants
//! to know of it is in the frame headers (RFC 9113 §4.1): that a header block has begun and not ended, that a client sends
//! little but control frames, that the codec gave up on a stream. Costs one look per frame and no copy of payloads.

/// The client's words before its first frame.
const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;
/// The part of a payload that is looked at: where RST_STREAM and GOAWAY have their codes.
const PEEKED_BYTES: usize = 8;

/// The kind of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    Goaway,
    WindowUpdate,
    Continuation,
    Unknown,
}

const DATA_END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A frame's header with the start of its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    flags: u8,
    length: usize,
    pub(super) stream: u32,
    peeked: [u8; PEEKED_BYTES],
}

impl Frame {
    /// Whether a client can send it without end and without asking for anything.
    pub(super) const fn is_overhead(&self) -> bool {
        match self.kind {
            Kind::Priority | Kind::RstStream | Kind::Settings | Kind::Ping | Kind::Unknown => true,
            Kind::Data => self.length == 0 && self.flags & DATA_END_STREAM == 0,
            Kind::Continuation => self.flags & END_HEADERS == 0,
            Kind::Headers | Kind::PushPromise | Kind::Goaway | Kind::WindowUpdate => false,
        }
    }

    /// The error code of a RST_STREAM or a GOAWAY; `None` for other frames.
    pub(super) fn error_code(&self) -> Option<u32> {
        let [a, b, c, d, e, f, g, h] = self.peeked;
        match self.kind {
            Kind::RstStream => Some(u32::from_be_bytes([a, b, c, d])),
            Kind::Goaway => Some(u32::from_be_bytes([e, f, g, h])),
            Kind::Data
            | Kind::Headers
            | Kind::Priority
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::Unknown => None,
        }
    }

    fn parse(start: &[u8; HEADER_BYTES + PEEKED_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, peeked @ ..] = *start;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::RstStream,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            6 => Kind::Ping,
            7 => Kind::Goaway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Unknown,
        };
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        Self { kind, flags, length, stream, peeked }
    }
}

/// One direction of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface that are still to come.
    preface: usize,
    /// The header of the frame that is being read, and the start of its payload.
    start: [u8; HEADER_BYTES + PEEKED_BYTES],
    have: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
    is_block_open: bool,
    /// The payload that is passing is the last of its header block.
    ends_block: bool,
}

impl Frames {
    /// What a client sends.
    pub(super) const fn of_client() -> Self {
        Self { preface: PREFACE_BYTES, ..Self::of_server() }
    }

    /// What a server sends.
    pub(super) const fn of_server() -> Self {
        Self {
            preface: 0,
            start: [0; HEADER_BYTES + PEEKED_BYTES],
            have: 0,
            left: 0,
            is_block_open: false,
            ends_block: false,
        }
    }

    /// Whether a header block has begun and its end is still to come.
    pub(super) const fn is_block_open(&self) -> bool {
        self.is_block_open
    }

    /// Goes over the next bytes and hands out each frame once.
    pub(super) fn pass(&mut self, bytes: &[u8], mut each: impl FnMut(&Frame)) {
        let mut rest = bytes;
        rest = skip(&mut self.preface, rest);
        while !rest.is_empty() {
            if self.left > 0 {
                rest = skip(&mut self.left, rest);
            } else {
                rest = self.gather(rest, &mut each);
            }
            if self.left == 0 && self.have == 0 && self.ends_block {
                (self.ends_block, self.is_block_open) = (false, false);
            }
        }
    }

    /// Takes bytes of a frame's start; with the last one the frame is known.
    fn gather<'b>(&mut self, bytes: &'b [u8], each: &mut impl FnMut(&Frame)) -> &'b [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(self.wanted().saturating_sub(self.have)));
        if let Some(room) = self.start.get_mut(self.have..self.have + now.len()) {
            room.copy_from_slice(now);
        }
        self.have += now.len();
        if self.have >= HEADER_BYTES {
            let frame = Frame::parse(&self.start);
            self.is_block_open |= matches!(frame.kind, Kind::Headers);
            if self.have == self.wanted() {
                let is_of_block = matches!(frame.kind, Kind::Headers | Kind::Continuation);
                self.ends_block = is_of_block && frame.flags & END_HEADERS != 0;
                self.left = frame.length - (self.have - HEADER_BYTES);
                self.have = 0;
                self.start = [0; HEADER_BYTES + PEEKED_BYTES];
                each(&frame);
            }
        }
        rest
    }

    /// How many bytes the frame's start has, as far as that is known.
    fn wanted(&self) -> usize {
        if self.have < HEADER_BYTES {
            return HEADER_BYTES;
        }
        HEADER_BYTES + Frame::parse(&self.start).length.min(PEEKED_BYTES)
    }
}

fn skip<'b>(left: &mut usize, bytes: &'b [u8]) -> &'b [u8] {
    let (passed, rest) = bytes.split_at(bytes.len().min(*left));
    *left -= passed.len();
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Every way of cutting the bytes in pieces of one size gives the same frames.
    fn passed(frames: fn() -> Frames, bytes: &[u8]) -> (Vec<(Kind, u32, Option<u32>)>, bool) {
        let mut outcomes = (1..=bytes.len()).map(|size| {
            let (mut frames, mut seen) = (frames(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.pass(piece, |f| seen.push((f.kind, f.stream, f.error_code())));
            }
            (seen, frames.is_block_open())
        });
        let first = outcomes.next().unwrap();
        assert!(outcomes.all(|other| other == first));
        first
    }

    #[test]
    fn frames_are_known_by_their_headers_however_they_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[0; 18]));
        bytes.extend(frame(1, 5, 1, b"abc"));
        bytes.extend(frame(0, 0, 1, &[7; 100]));
        bytes.extend(frame(3, 0, 1, &[0, 0, 0, 1]));
        bytes.extend(frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11, 9]));
        bytes.extend(frame(200, 0, 0, b""));
        let (seen, open) = passed(Frames::of_client, &bytes);
        assert_eq!(
            seen,
            [
                (Kind::Settings, 0, None),
                (Kind::Headers, 1, None),
                (Kind::Data, 1, None),
                (Kind::RstStream, 1, Some(1)),
                (Kind::Goaway, 0, Some(11)),
                (Kind::Unknown, 0, None),
            ]
        );
        assert!(!open);
    }

    #[test]
    fn a_header_block_is_open_from_its_first_header_to_its_last_payload_byte() {
        for (bytes, is_open) in [
            (frame(1, 0x4, 1, b"abcdefghijkl"), false),
            (frame(1, 0, 1, b"abcdefghijkl"), true),
            (frame(1, 0x4, 1, b"abcdefghijkl")[..20].to_vec(), true),
            (frame(1, 0x4, 1, b"abcdefghijkl")[..9].to_vec(), true),
            ([frame(1, 0, 1, b"ab"), frame(9, 0, 1, b"cd")].concat(), true),
            ([frame(1, 0, 1, b"ab"), frame(9, 0x4, 1, b"cd")].concat(), false),
            ([frame(1, 0, 1, b"ab"), frame(9, 0x4, 1, b"")].concat(), false),
            (frame(0, 0, 1, b"ab"), false),
        ] {
            assert_eq!(passed(Frames::of_server, &bytes).1, is_open, "{bytes:?}");
        }
    }

    #[test]
    fn overhead_is_what_asks_for_nothing() {
        for (kind, flags, payload, is_overhead) in [
            (0, 0, &b""[..], true),
            (0, 1, b"", false),
            (0, 0, b"x", false),
            (1, 4, b"x", false),
            (2, 0, b"xxxxx", true),
            (3, 0, b"xxxx", true),
            (4, 0, b"", true),
            (6, 0, b"xxxxxxxx", true),
            (8, 0, b"xxxx", false),
            (9, 0, b"x", true),
            (9, 4, b"x", false),
            (99, 0, b"x", true),
        ] {
            let mut seen = Vec::new();
            let bytes = frame(kind, flags, 1, payload);
            Frames::of_server().pass(&bytes, |frame| seen.push(frame.is_overhead()));
            assert_eq!(seen, [is_overhead], "{kind} {flags} {payload:?}");
        }
    }
}
