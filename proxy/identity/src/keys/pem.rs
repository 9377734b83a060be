//! One PEM block (RFC 7468) with a public key or a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyError, der};

/// Takes the one public key out of a PEM text. Text around the block is allowed, a second block is not.
pub(super) fn public_key(text: &[u8]) -> Result<der::PublicKey, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyError::Pem)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::PrivateKey);
    }
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::Pem)?;
    let (label, rest) = rest.split_once("-----").ok_or(KeyError::Pem)?;
    let (body, rest) = rest.split_once("-----END ").ok_or(KeyError::Pem)?;
    let rest = rest.strip_prefix(label).and_then(|rest| rest.strip_prefix("-----"));
    if rest.is_none_or(|rest| rest.contains("-----BEGIN ")) {
        return Err(KeyError::Pem);
    }
    let body: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(body).map_err(|_| KeyError::Pem)?;
    let key = match label {
        "PUBLIC KEY" => der::public_key_info(&bytes),
        "RSA PUBLIC KEY" => der::rsa(&bytes),
        "CERTIFICATE" => der::certificate(&bytes),
        _ => None,
    };
    key.ok_or(KeyError::Pem)
}
