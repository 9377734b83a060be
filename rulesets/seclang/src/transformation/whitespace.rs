//! `compressWhitespace`, `removeWhitespace`: runs of white space (C's `isspace`) to one space, or to nothing.
//!
//! Source: ModSecurity v3 reference. Example: `a \t\n b` → `a b`, `ab`.

use super::{is_space, rewrite};

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
