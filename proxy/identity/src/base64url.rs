//! Base64url as RFC 7515 means it: no padding, no white space, no bits left over. One text has one decoding and one
//! decoding has one text, so nobody makes two tokens of one signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes `text`, or refuses every spelling but the canonical one.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes `bytes` without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_decoded() {
        for good in ["", "AA", "AAA", "AAAA", "_-8", "Zm9v"] {
            assert_eq!(encode(decode(good.as_bytes()).unwrap()), good);
        }
        let bad = [
            "A", "AB", "AAB", "AA==", "AA=", "A A", " AA", "AA\n", "+A", "/A", "AAAAA", "é", "A.A",
        ];
        for bad in bad {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
