//! As much DER as public keys and certificates need: definite lengths, known places, everything else refused.

use crate::algorithm::KeyKind;

/// A public key taken out of its wrapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PublicKey {
    /// Two big-endian numbers.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// An uncompressed point, or the 32 bytes of Ed25519.
    Other(KeyKind, Vec<u8>),
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Reads one element after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Takes the next element and returns its content, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        if *found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    fn starts_with(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let size = usize::from(first & 0x7f);
    if size == 0 || size > 3 {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(size)?;
    Some((digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest))
}

/// Takes the public key out of a certificate. The certificate itself vouches for nothing here: who handed it in does.
pub(super) fn certificate(der: &[u8]) -> Option<PublicKey> {
    let mut whole = Reader(der);
    let mut certificate = Reader(whole.take(SEQUENCE)?);
    whole.end()?;
    let mut body = Reader(certificate.take(SEQUENCE)?);
    if body.starts_with(VERSION) {
        body.take(VERSION)?;
    }
    body.take(INTEGER)?;
    // The signature's algorithm, the issuer, the validity, the subject.
    for _ in 0..4 {
        body.take(SEQUENCE)?;
    }
    key_info(body.take(SEQUENCE)?)
}

/// Takes the key out of a SubjectPublicKeyInfo.
pub(super) fn public_key_info(der: &[u8]) -> Option<PublicKey> {
    let mut whole = Reader(der);
    let info = whole.take(SEQUENCE)?;
    whole.end()?;
    key_info(info)
}

fn key_info(info: &[u8]) -> Option<PublicKey> {
    let mut info = Reader(info);
    let mut algorithm = Reader(info.take(SEQUENCE)?);
    let (unused, key) = info.take(BIT_STRING)?.split_first()?;
    info.end()?;
    if *unused != 0 {
        return None;
    }
    let object = algorithm.take(OBJECT)?;
    if object == RSA {
        return rsa(key);
    }
    if object == ED25519 {
        return Some(PublicKey::Other(KeyKind::Ed25519, key.to_vec()));
    }
    if object != EC {
        return None;
    }
    let curve = algorithm.take(OBJECT)?;
    let kinds = [(P256, KeyKind::P256), (P384, KeyKind::P384), (P521, KeyKind::P521)];
    let (_, kind) = kinds.into_iter().find(|(object, _)| *object == curve)?;
    Some(PublicKey::Other(kind, key.to_vec()))
}

/// Reads an RSAPublicKey.
pub(super) fn rsa(der: &[u8]) -> Option<PublicKey> {
    let mut whole = Reader(der);
    let mut key = Reader(whole.take(SEQUENCE)?);
    whole.end()?;
    let (modulus, exponent) = (key.take(INTEGER)?.to_vec(), key.take(INTEGER)?.to_vec());
    key.end()?;
    Some(PublicKey::Rsa { modulus, exponent })
}

/// Writes an RSAPublicKey.
pub(super) fn rsa_public_key(modulus: &[u8], exponent: u64) -> Vec<u8> {
    let mut content = integer(modulus);
    content.extend(integer(without_leading_zeros(&exponent.to_be_bytes())));
    element(SEQUENCE, &content)
}

fn integer(number: &[u8]) -> Vec<u8> {
    // A leading zero keeps a high first bit from meaning a sign.
    let is_high = number.first().is_none_or(|byte| *byte >= 0x80);
    let mut content = if is_high { vec![0] } else { Vec::new() };
    content.extend(number);
    element(INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a key of at most 8192 bits").to_be_bytes();
    let mut out = vec![tag, 0x82];
    match length {
        [0, low] if low < 0x80 => {
            out.truncate(1);
            out.push(low);
        }
        [0, low] => {
            out.truncate(1);
            out.extend([0x81, low]);
        }
        [high, low] => out.extend([high, low]),
    }
    out.extend(content);
    out
}

/// Cuts zeros from the front of a big-endian number.
pub(super) fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Returns the length in bits of a number without leading zeros.
pub(super) fn bits(number: &[u8]) -> usize {
    let first = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(first)
}

/// Reads a number that fits in 33 bits, the most that an RSA exponent may have.
pub(super) fn small_number(number: &[u8]) -> Option<u64> {
    let number = without_leading_zeros(number);
    if number.len() > 5 {
        return None;
    }
    let value = number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (value < 1 << 33).then_some(value)
}
