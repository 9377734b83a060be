//! What follows a backslash in a JSON string, byte by byte.

/// How much of an escape was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Escape {
    /// The backslash.
    #[default]
    Start,
    /// `\u` and some digits; `high` is the half of a pair that came before.
    Digits { count: u8, value: u32, high: Option<u32> },
    /// The first half of a pair: a backslash has to follow.
    Pair { high: u32 },
    /// The first half of a pair and a backslash: a `u` has to follow.
    PairStart { high: u32 },
}

impl Escape {
    /// Reads one byte; says whether the escape is over. What it stands for is appended.
    pub(super) fn push(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<bool, &'static str> {
        const HALF: &str = "half of a surrogate pair stands alone";
        match *self {
            Self::Start if byte == b'u' => {
                *self = Self::Digits { count: 0, value: 0, high: None };
                Ok(false)
            }
            Self::Start => {
                out.push(plain(byte).ok_or("there is no such escape")?);
                Ok(true)
            }
            Self::Digits { count, value, high } => {
                let digit = char::from(byte).to_digit(16).ok_or("`\\u` takes four digits")?;
                let value = value << 4 | digit;
                if count < 3 {
                    *self = Self::Digits { count: count + 1, value, high };
                    return Ok(false);
                }
                self.unit(value, high, out).ok_or(HALF)
            }
            Self::Pair { high } if byte == b'\\' => {
                *self = Self::PairStart { high };
                Ok(false)
            }
            Self::PairStart { high } if byte == b'u' => {
                *self = Self::Digits { count: 0, value: 0, high: Some(high) };
                Ok(false)
            }
            Self::Pair { .. } | Self::PairStart { .. } => Err(HALF),
        }
    }

    /// Takes a whole unit of UTF-16; nothing where it cannot stand here.
    fn unit(&mut self, value: u32, high: Option<u32>, out: &mut Vec<u8>) -> Option<bool> {
        let is_low = (0xdc00..0xe000).contains(&value);
        let code = match high {
            None if (0xd800..0xdc00).contains(&value) => {
                *self = Self::Pair { high: value };
                return Some(false);
            }
            None => value,
            Some(high) if is_low => 0x1_0000 + ((high - 0xd800) << 10) + (value - 0xdc00),
            Some(_) => return None,
        };
        let character = char::from_u32(code)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        *self = Self::Start;
        Some(true)
    }
}

const fn plain(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' | b'/' => Some(byte),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None, // no other letter is one
    }
}
