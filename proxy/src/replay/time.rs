//! Times of logs.

use portcullis_config::Timestamp;

/// Reads RFC 3339; what is before 1970 is no time of a log.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
}
