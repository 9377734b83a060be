//! `base64Decode`, `base64DecodeExt`: Base64 to bytes.
//!
//! Source: ModSecurity v3 reference. `base64Decode` skips line ends and stops at the first byte outside the
//! alphabet, keeping what it has; padding is not required. `base64DecodeExt` skips whatever is not in the
//! alphabet (RFC 2045), as PHP does. Example: `VGVzdA==` → `Test`; only the second reads `VG.Vz dA`.

/// Decodes up to the first byte that is neither of the alphabet nor a line end.
pub(super) fn base64_decode(input: &[u8], out: &mut Vec<u8>) {
    let digits = input.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    decode(digits.map_while(|byte| sextet(*byte)), out);
}

/// Decodes what belongs to the alphabet and skips the rest.
pub(super) fn base64_decode_ext(input: &[u8], out: &mut Vec<u8>) {
    decode(input.iter().filter_map(|byte| sextet(*byte)), out);
}

fn decode(digits: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for digit in digits {
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            out.push(byte);
        }
    }
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None, // not of the alphabet
    }
}
