//! `compressWhitespace`, `removeWhitespace`: runs of white space (C's `isspace`) to one space, or to nothing.
//!
//! Source: ModSecurity v3 reference. Example: `a \t\n b` → `a b`, `ab`.

use super::is_space;

/// Turns each run of white space into one space.
pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) {
    let mut inside = false;
    for byte in input {
        let space = is_space(*byte);
        if !space {
            out.push(*byte);
        } else if !inside {
            out.push(b' ');
        }
        inside = space;
    }
}

/// Removes white space.
pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().filter(|byte| !is_space(**byte)));
}
