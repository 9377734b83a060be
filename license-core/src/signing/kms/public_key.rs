//! Public keys as Cloud KMS shows them: `SubjectPublicKeyInfo` (RFC 5280 §4.1) in PEM.

use super::der::{element, whole};
use crate::signing::algorithm::{Algorithm, EXPONENT};
use crate::signing::pair::P256_POINT_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// `SEQUENCE { OBJECT IDENTIFIER 1.3.101.112 }` (RFC 8410 §4).
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// `SEQUENCE { OBJECT IDENTIFIER 1.2.840.10045.2.1, OBJECT IDENTIFIER 1.2.840.10045.3.1.7 }` (RFC 5480 §2.1).
const P256: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// `SEQUENCE { OBJECT IDENTIFIER 1.2.840.113549.1.1.1, NULL }` (RFC 8017 appendix A.1).
const RSA: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const POINT_BYTES: usize = 32;
const MODULUS_BYTES: usize = 512;

/// Reads the point, or the modulus of 4096 bits whose exponent is 65537.
pub(super) fn of_pem(pem: &str, algorithm: Algorithm) -> Option<Vec<u8>> {
    let text = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let text: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    of_der(&STANDARD.decode(text).ok()?, algorithm)
}

fn of_der(der: &[u8], algorithm: Algorithm) -> Option<Vec<u8>> {
    let key = whole(der, SEQUENCE)?;
    match algorithm {
        Algorithm::EdDsa => {
            let point = whole(key.strip_prefix(&ED25519)?, BIT_STRING)?.strip_prefix(&[0])?;
            (point.len() == POINT_BYTES).then(|| point.to_vec())
        }
        Algorithm::Es256 => {
            let point = whole(key.strip_prefix(&P256)?, BIT_STRING)?.strip_prefix(&[0])?;
            (point.len() == P256_POINT_BYTES && point.first() == Some(&4)).then(|| point.to_vec())
        }
        Algorithm::Rs512 => {
            let key = whole(key.strip_prefix(&RSA)?, BIT_STRING)?.strip_prefix(&[0])?;
            let (modulus, exponent) = element(whole(key, SEQUENCE)?, INTEGER)?;
            let modulus = modulus.strip_prefix(&[0])?;
            let fits = modulus.len() == MODULUS_BYTES
                && modulus.first().is_some_and(|byte| byte & 0x80 != 0)
                && whole(exponent, INTEGER)? == EXPONENT;
            fits.then(|| modulus.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ED25519, P256, RSA, of_pem};
    use crate::signing::algorithm::Algorithm;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match u8::try_from(content.len()) {
            Ok(short) if short < 0x80 => vec![short],
            Ok(byte) => vec![0x81, byte],
            Err(_) => {
                [&[0x82], u16::try_from(content.len()).unwrap().to_be_bytes().as_slice()].concat()
            }
        };
        [&[tag], length.as_slice(), content].concat()
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let key = tlv(0x30, &[tlv(2, modulus), tlv(2, exponent)].concat());
        tlv(0x30, &[RSA.to_vec(), tlv(3, &[&[0], key.as_slice()].concat())].concat())
    }

    #[test]
    fn every_kind_is_read_and_nothing_else() {
        let point = [7; 32];
        let ed25519 =
            tlv(0x30, &[ED25519.to_vec(), tlv(3, &[&[0], point.as_slice()].concat())].concat());
        assert_eq!(of_pem(&pem(&ed25519), Algorithm::EdDsa).unwrap(), point);
        assert_eq!(of_pem(&pem(&ed25519), Algorithm::Rs512), None);
        let p256 = [&[4], [7; 64].as_slice()].concat();
        let spki =
            |point: &[u8]| tlv(0x30, &[P256.to_vec(), tlv(3, &[&[0], point].concat())].concat());
        assert_eq!(of_pem(&pem(&spki(&p256)), Algorithm::Es256).unwrap(), p256);
        assert_eq!(of_pem(&pem(&spki(&p256)), Algorithm::EdDsa), None);
        assert_eq!(of_pem(&pem(&spki(&[2; 33])), Algorithm::Es256), None);
        let modulus = [&[0], [0xa5; 512].as_slice()].concat();
        let good = rsa(&modulus, &[1, 0, 1]);
        assert_eq!(of_pem(&pem(&good), Algorithm::Rs512).unwrap(), [0xa5; 512]);
        for bad in [
            rsa(&modulus, &[3]),
            rsa(&[0xa5; 512], &[1, 0, 1]),
            rsa(&[&[0], [0xa5; 256].as_slice()].concat(), &[1, 0, 1]),
            [good.as_slice(), &[0]].concat(),
        ] {
            assert_eq!(of_pem(&pem(&bad), Algorithm::Rs512), None);
        }
        // No prefix of a key is one, and nothing panics.
        for end in 0..good.len() {
            assert_eq!(of_pem(&pem(&good[..end]), Algorithm::Rs512), None);
        }
        assert_eq!(of_pem("", Algorithm::Rs512), None);
    }
}
