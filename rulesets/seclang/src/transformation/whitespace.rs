//! `compressWhitespace`, `removeWhitespace`: runs of white space (C's `isspace`) to one space, or to nothing.
//!
//! Source: ModSecurity v3 reference. Example: `a \t\n b` → `a b`, `ab`.

use super::is_space;

/// Turns each run of white space into one space.
pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(input.len());
    let mut inside = false;
    for (number, word) in input.split(|byte| is_space(*byte)).enumerate() {
        // Between two words stands one white-space byte; empty words are the inside of a run.
        if number > 0 && !inside {
            out.push(b' ');
        }
        inside = word.is_empty() && number > 0;
        out.extend_from_slice(word);
    }
}

/// Removes white space.
pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(input.len());
    input.split(|byte| is_space(*byte)).for_each(|word| out.extend_from_slice(word));
}
