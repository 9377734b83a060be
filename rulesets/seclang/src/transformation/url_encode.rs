//! `urlEncode`: letters, digits and `*` stay, a space is `+`, all else is `%HH`.
//!
//! Source: ModSecurity v3 reference. Example: `a b/c` → `a+b%2fc`.

use super::hex;

/// Encodes for a URL's query.
pub(super) fn url_encode(input: &[u8], out: &mut Vec<u8>) {
    for byte in input {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(*byte),
            other => {
                out.push(b'%');
                hex::push(*other, out);
            }
        }
    }
}
