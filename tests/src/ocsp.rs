//! OCSP responses as a responder writes them (RFC 6960), with a signature of nobody's: the edge staples, it does not verify.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspSays {
    /// The certificate may be relied upon.
    Good,
    /// It may not.
    Revoked,
}

/// Writes a response about the first certificate of a PEM file. `next_update` is a `GeneralizedTime`, such as
/// `20260101120000Z`, or none.
///
/// # Panics
///
/// When the certificate cannot be read.
#[must_use]
pub fn ocsp_response(certificate: &Path, says: OcspSays, next_update: Option<&str>) -> Vec<u8> {
    let leaf = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    let sha1 = tlv(0x30, &tlv(0x06, &[0x2b, 0x0e, 0x03, 0x02, 0x1a]));
    let hash = tlv(0x04, &[7; 20]);
    let id = tlv(0x30, &[&sha1[..], &hash, &hash, &tlv(0x02, leaf.raw_serial())].concat());
    let time = |text: &str| tlv(0x18, text.as_bytes());
    let produced = time("20251231000000Z");
    let standing = match says {
        OcspSays::Good => tlv(0x80, &[]),
        OcspSays::Revoked => tlv(0xa1, &produced),
    };
    let next = next_update.map(|text| tlv(0xa0, &time(text))).unwrap_or_default();
    let single = tlv(0x30, &[id, standing, produced.clone(), next].concat());
    let responder = tlv(0xa2, &tlv(0x04, &[9; 20]));
    let data = tlv(0x30, &[responder, produced, tlv(0x30, &single)].concat());
    let algorithm = tlv(0x30, &tlv(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
    let basic = tlv(0x30, &[data, algorithm, tlv(0x03, &[0, 1, 2, 3])].concat());
    let kind = tlv(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]);
    let bytes = tlv(0x30, &[kind, tlv(0x04, &basic)].concat());
    tlv(0x30, &[tlv(0x0a, &[0]), tlv(0xa0, &bytes)].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        Ok(long) => bytes.extend([0x81, long]),
        Err(_) => {
            let [.., high, low] = length.to_be_bytes();
            bytes.extend([0x82, high, low]);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}
