//! `length`: the number of bytes, in decimal.
//!
//! Source: ModSecurity v3 reference. Example: `abc` → `3`.

/// Writes the length of `input`.
pub(super) fn length(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(input.len().to_string().as_bytes());
}
