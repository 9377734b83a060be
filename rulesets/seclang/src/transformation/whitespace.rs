//! `compressWhitespace`, `removeWhitespace`: runs of white space (C's `isspace`) to one space, or to nothing.
//!
//! Source: ModSecurity v3 reference. Example: `a \t\n b` → `a b`, `ab`.

use super::{is_space, rewrite};
use crate::byte_set::ByteSet;

/// Whether no two spaces stand in a row.
pub(super) fn is_single_spaced(input: &[u8]) -> bool {
    memchr::memmem::find(input, b"  ").is_none()
}

/// Whether all white space is one space at a time.
pub(super) fn compressed(input: &[u8], holds: &ByteSet) -> bool {
    !holds.meets(&ByteSet::of(b"\t\n\x0b\x0c\r")) && is_single_spaced(input)
}

/// Turns each run of white space into one space.
pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) {
    let mut inside = false;
    rewrite(input, out, |byte, _| {
        let space = is_space(byte);
        let kept = !(space && inside);
        inside = space;
        (if space { b' ' } else { byte }, kept)
    });
}

/// Removes white space.
pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) {
    rewrite(input, out, |byte, _| (byte, !is_space(byte)));
}
