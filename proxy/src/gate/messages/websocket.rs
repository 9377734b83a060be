//! The frames of a WebSocket, RFC 6455 section 5, as a client sends them. Only heads are read; payloads are counted.

use super::Breach;

/// Where the reading stands.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The head that is being read: at most 2 bytes, 8 of length and 4 of mask.
    head: [u8; 14],
    have: usize,
    /// Bytes of the payload that are still to come.
    payload_left: u64,
    /// Bytes of the message so far, of all its fragments.
    message: u64,
    /// Whether a message has begun whose last fragment has not come.
    is_fragmented: bool,
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

impl Frames {
    /// Reads on; returns how many frames have begun.
    pub(super) fn pass(&mut self, mut bytes: &[u8], max: u64) -> Result<u64, Breach> {
        let mut begun = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let here = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= here;
                bytes =
                    bytes.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or_default();
                continue;
            }
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = *first;
            }
            self.have += 1;
            bytes = rest;
            if self.have >= 2 && self.have == self.head_bytes() {
                self.begin(max)?;
                begun += 1;
            }
        }
        Ok(begun)
    }

    /// How long the head is, once its first two bytes are there.
    const fn head_bytes(&self) -> usize {
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        let length = match self.head[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + mask
    }

    /// Takes the head that has been read.
    fn begin(&mut self, max: u64) -> Result<(), Breach> {
        let [first, second, lengths @ ..] = self.head;
        self.have = 0;
        if first & RESERVED != 0 {
            return Err(Breach::Malformed("a reserved bit of a WebSocket frame is set"));
        }
        if second & MASKED == 0 {
            return Err(Breach::Malformed("a WebSocket frame of the client is not masked"));
        }
        let length = match second & !MASKED {
            126 => u64::from(u16::from_be_bytes([lengths[0], lengths[1]])),
            127 => lengths.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes)),
            short => u64::from(short),
        };
        let is_last = first & FIN != 0;
        match first & OPCODE {
            opcode @ (CLOSE | 9 | 10) => Self::check_control(opcode, is_last, length)?,
            opcode @ (CONTINUATION | 1 | 2) => self.check_data(opcode, is_last, length, max)?,
            _ => return Err(Breach::Malformed("the opcode of a WebSocket frame is not known")),
        }
        self.payload_left = length;
        Ok(())
    }

    const fn check_control(_opcode: u8, is_last: bool, length: u64) -> Result<(), Breach> {
        if is_last && length <= CONTROL_BYTES_MAX {
            Ok(())
        } else {
            Err(Breach::Malformed("a WebSocket control frame is too long or in fragments"))
        }
    }

    fn check_data(
        &mut self,
        opcode: u8,
        is_last: bool,
        length: u64,
        max: u64,
    ) -> Result<(), Breach> {
        if (opcode == CONTINUATION) != self.is_fragmented {
            return Err(Breach::Malformed("the fragments of a WebSocket message do not fit"));
        }
        self.message = self.message.saturating_add(length);
        if self.message > max {
            return Err(Breach::TooLarge);
        }
        self.is_fragmented = !is_last;
        if is_last {
            self.message = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.resize(frame.len() + length, b'x');
        frame
    }

    /// The answer to bytes that come whole, and the same one by one.
    fn check(bytes: &[u8], max: u64) -> Result<u64, Breach> {
        let whole = Frames::default().pass(bytes, max);
        let mut frames = Frames::default();
        let single = bytes.iter().try_fold(0, |sum, byte| {
            frames.pass(std::slice::from_ref(byte), max).map(|begun| sum + begun)
        });
        assert_eq!(whole, single);
        whole
    }

    #[test]
    fn messages_are_counted_and_measured_over_all_their_fragments() {
        const MAX: u64 = 70_000;
        for (parts, expected) in [
            (vec![frame(0x81, 0)], Ok(1)),
            (vec![frame(0x81, 125), frame(0x82, 126), frame(0x89, 5)], Ok(3)),
            (vec![frame(0x82, 65_535), frame(0x82, 65_536)], Ok(2)),
            (vec![frame(0x82, 69_999)], Ok(1)),
            (vec![frame(0x82, 70_000)], Ok(1)),
            (vec![frame(0x82, 70_001)], Err(Breach::TooLarge)),
            (vec![frame(0x01, 35_000), frame(0x89, 0), frame(0x80, 35_000)], Ok(3)),
            (vec![frame(0x01, 35_000), frame(0x00, 35_000), frame(0x80, 1)], Err(Breach::TooLarge)),
            (vec![frame(0x01, 60_000), frame(0x80, 1), frame(0x81, 60_000)], Ok(3)),
        ] {
            assert_eq!(check(&parts.concat(), MAX), expected);
        }
    }

    #[test]
    fn what_is_no_frame_of_a_client_ends_the_stream() {
        for (bytes, what) in [
            (vec![0x81, 0x01, b'x'], "not masked"),
            (frame(0xc1, 1), "reserved"),
            (frame(0x83, 1), "opcode"),
            (frame(0x8b, 1), "opcode"),
            (frame(0x09, 1), "control"),
            (frame(0x88, 126), "control"),
            (frame(0x80, 1), "fragments"),
            ([frame(0x01, 1), frame(0x81, 1)].concat(), "fragments"),
        ] {
            let Err(Breach::Malformed(why)) = check(&bytes, 1 << 20) else { panic!("{what}") };
            assert!(why.contains(what), "{why}");
        }
        let endless =
            [0x82, MASKED | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(check(&endless, u64::MAX - 1), Err(Breach::TooLarge));
    }
}
