//! The messages of a gRPC call: a byte of flags, four of length, the message. Only heads are read; payloads are counted.

use super::Breach;

/// Where the reading stands.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; 5],
    have: usize,
    payload_left: u64,
}

impl Frames {
    /// Reads on; returns how many messages have begun.
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
            if self.have == self.head.len() {
                self.begin(max)?;
                begun += 1;
            }
        }
        Ok(begun)
    }

    fn begin(&mut self, max: u64) -> Result<(), Breach> {
        let [flags, length @ ..] = self.head;
        self.have = 0;
        if flags > 1 {
            return Err(Breach::Malformed("the flags of a gRPC message are not known"));
        }
        self.payload_left = u64::from(u32::from_be_bytes(length));
        if self.payload_left > max { Err(Breach::TooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_and_measured_however_they_are_cut() {
        let message = |flags: u8, length: u32| {
            let mut message = vec![flags];
            message.extend_from_slice(&length.to_be_bytes());
            message.resize(message.len() + usize::try_from(length).unwrap(), b'x');
            message
        };
        for (bytes, expected) in [
            (message(0, 0), Ok(1)),
            ([message(0, 99), message(1, 100), message(0, 0)].concat(), Ok(3)),
            (message(0, 101), Err(Breach::TooLarge)),
            (message(2, 1), Err(Breach::Malformed("the flags of a gRPC message are not known"))),
        ] {
            assert_eq!(Frames::default().pass(&bytes, 100), expected);
            let mut frames = Frames::default();
            let single = bytes.iter().try_fold(0, |sum, byte| {
                frames.pass(std::slice::from_ref(byte), 100).map(|begun| sum + begun)
            });
            assert_eq!(single, expected);
        }
    }
}
