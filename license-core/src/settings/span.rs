//! A length of time as operators write it.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::str::FromStr;
use std::time::Duration;

/// A length of time with its unit: `90s`, `6m`, `8h`, `7d`.
#[derive(Clone, Copy, Debug)]
pub struct Span(Duration);

impl Span {
    /// Returns the length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// A text that is no length of time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not a duration such as `90s`, `6m`, `8h` or `7d`")]
pub struct NoSpan(String);

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let wrong = || NoSpan(text.to_owned());
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit_secs = match text.strip_prefix(digits).unwrap_or_default() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        Ok(Self(Duration::from_secs(u64::from(count) * unit_secs)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
