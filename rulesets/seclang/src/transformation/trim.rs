//! `trim`, `trimLeft`, `trimRight`: white space (C's `isspace`) off the ends.
//!
//! Source: ModSecurity v3 reference. Example: ` a b ` → `a b`.

use super::is_space;

/// Takes white space off both ends.
pub(super) fn trim(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(left(right(input)));
}

/// Takes white space off the start.
pub(super) fn trim_left(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(left(input));
}

/// Takes white space off the end.
pub(super) fn trim_right(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(right(input));
}

fn left(mut input: &[u8]) -> &[u8] {
    while let [space, tail @ ..] = input
        && is_space(*space)
    {
        input = tail;
    }
    input
}

fn right(mut input: &[u8]) -> &[u8] {
    while let [head @ .., space] = input
        && is_space(*space)
    {
        input = head;
    }
    input
}
