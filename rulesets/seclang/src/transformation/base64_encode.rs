//! `base64Encode`: bytes to padded Base64 (RFC 4648 §4).
//!
//! Source: ModSecurity v3 reference. Example: `Test` → `VGVzdA==`.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes three bytes to four characters, the last group padded with `=`.
pub(super) fn base64_encode(input: &[u8], out: &mut Vec<u8>) {
    for group in input.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4_usize {
            let digit = (bits >> (18 - 6 * index)) as usize & 63;
            let character = ALPHABET.get(digit).copied().unwrap_or(b'=');
            out.push(if index <= group.len() { character } else { b'=' });
        }
    }
}
