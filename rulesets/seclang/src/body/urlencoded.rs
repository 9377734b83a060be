//! `application/x-www-form-urlencoded`.

use super::{Limits, Parsed, Stop};
use crate::transformation;

/// Splits at `&` and the first `=` of each piece; empty pieces are no arguments, escapes that are none stay.
pub(super) fn parse(body: &[u8], limits: &Limits, parsed: &mut Parsed) -> Result<(), Stop> {
    for piece in body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
        let split = memchr::memchr(b'=', piece).unwrap_or(piece.len());
        let (name, value) = piece.split_at_checked(split).unwrap_or((piece, &[]));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let name = decode(name, &mut parsed.broken_escapes);
        let value = decode(value, &mut parsed.broken_escapes);
        parsed.push_argument(name, value, limits)?;
    }
    Ok(())
}

fn decode(text: &[u8], broken: &mut usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    *broken += transformation::percent_decode(text, &mut out);
    out
}
