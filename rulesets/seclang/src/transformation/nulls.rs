//! `removeNulls`, `replaceNulls`: NUL bytes away, or a space for each.
//!
//! Source: ModSecurity v3 reference. Example: `a\0b` → `ab`, `a b`.

/// Removes NUL bytes.
pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().filter(|byte| **byte != 0));
}

/// Puts a space for each NUL byte.
pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
}
