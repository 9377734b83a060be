//! `@validateByteRange`: matches a value that holds a byte outside the listed values and ranges.
//!
//! Argument: decimal numbers and ranges, comma-separated, such as `9,10,13,32-126`. An empty value never matches.

use super::OperatorError;
use crate::byte_set::ByteSet;

/// The bytes that are allowed.
#[derive(Debug)]
pub(crate) struct ByteRange(ByteSet);

impl ByteRange {
    /// Reads the list.
    pub(super) fn parse(argument: &[u8]) -> Result<Self, OperatorError> {
        let mut allowed = ByteSet::EMPTY;
        for item in argument.split(|byte| *byte == b',') {
            let item = item.trim_ascii();
            let mut ends = item.splitn(2, |byte| *byte == b'-').map(number);
            let (first, last) = match (ends.next().flatten(), ends.next()) {
                (Some(only), None) => (only, only),
                (Some(first), Some(Some(last))) if first <= last => (first, last),
                (None, _) | (Some(_), Some(_)) => return Err(broken(item)),
            };
            allowed = allowed.or(ByteSet::range(first, last));
        }
        Ok(Self(allowed))
    }

    /// Returns where the first byte that is not allowed stands.
    pub(super) fn first_outside(&self, value: &[u8]) -> Option<usize> {
        value.iter().position(|byte| !self.0.contains(*byte))
    }

    /// Returns the bytes that are not allowed.
    pub(super) const fn outside(&self) -> ByteSet {
        self.0.not()
    }
}

fn number(text: &[u8]) -> Option<u8> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

fn broken(item: &[u8]) -> OperatorError {
    OperatorError {
        message: format!("`{}` is neither a byte nor a range of bytes", item.escape_ascii()),
        help: Some("write numbers from 0 to 255 and ranges: 9,10,13,32-126".to_owned()),
    }
}
