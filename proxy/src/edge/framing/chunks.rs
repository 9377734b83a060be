//! A chunked body: sizes in hexadecimal digits and nothing else, CRLF after each, no extensions, no trailer fields.
//!
//! Extensions and trailers have no use in front of an origin, are read differently by everyone, and would be dropped
//! here anyway; a client that sends them is told so.

/// Digits of a chunk's size: 4 GiB, above every limit on bodies.
const DIGITS_MAX: u8 = 8;

/// A chunked body that is being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunks(At);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Size { digits: u8, size: u64 },
    SizeLineFeed { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    LastReturn,
    LastLineFeed,
    Over,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl Chunks {
    /// Whether the last chunk has been read.
    pub(super) fn is_over(self) -> bool {
        self.0 == At::Over
    }

    /// Reads on; returns how many of `bytes` belong to the body, which is all unless it ends among them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).filter(|_| !self.is_over()) {
            if let At::Data { left } = self.0 {
                let taken = left.min((bytes.len() - at) as u64);
                self.0 =
                    if taken == left { At::DataReturn } else { At::Data { left: left - taken } };
                at += usize::try_from(taken).unwrap_or(usize::MAX);
            } else {
                self.0 = self.0.after(*byte)?;
                at += 1;
            }
        }
        Ok(at)
    }
}

impl At {
    /// The place behind one byte of a line.
    fn after(self, byte: u8) -> Result<Self, &'static str> {
        match (self, byte) {
            (Self::Size { digits: 1.., size }, b'\r') => Ok(Self::SizeLineFeed { size }),
            (Self::Size { digits, size }, byte) => size_digit(digits, size, byte),
            (Self::SizeLineFeed { size: 0 }, b'\n') => Ok(Self::LastReturn),
            (Self::SizeLineFeed { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataReturn, b'\r') => Ok(Self::DataLineFeed),
            (Self::DataLineFeed, b'\n') => Ok(Self::default()),
            (Self::LastReturn, b'\r') => Ok(Self::LastLineFeed),
            (Self::LastLineFeed, b'\n') => Ok(Self::Over),
            (Self::SizeLineFeed { .. } | Self::LastLineFeed, _) => {
                Err("a chunk's line does not end with CRLF")
            }
            (Self::DataReturn | Self::DataLineFeed, _) => Err("a chunk is longer than its size"),
            (Self::LastReturn, _) => Err("trailer fields"),
            (Self::Data { .. } | Self::Over, _) => Err("a chunk's line where there is none"),
        }
    }
}

fn size_digit(digits: u8, size: u64, byte: u8) -> Result<At, &'static str> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b';' => return Err("a chunk extension"),
        _ => return Err("a chunk's size is no hexadecimal number"),
    };
    if digits == DIGITS_MAX {
        return Err("a chunk's size has too many digits");
    }
    Ok(At::Size { digits: digits + 1, size: size << 4 | u64::from(value) })
}
