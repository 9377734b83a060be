//! `lowercase`, `uppercase`: ASCII letters only, as C's `tolower` in the C locale.
//!
//! Source: ModSecurity v3 reference. Example: `SELECT é` → `select é`.

/// Lowers ASCII letters.
pub(super) fn lowercase(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(input);
    out.make_ascii_lowercase();
}

/// Raises ASCII letters.
pub(super) fn uppercase(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(input);
    out.make_ascii_uppercase();
}
