//! The encryption: HPKE (RFC 9180) in base mode, X25519 with HKDF-SHA256 and AES-256-GCM, one shot per record.
//!
//! A file is text. Its first line names the format and the public key; each further line is one record in base64: the
//! encapsulated key, then the ciphertext, bound to the first line. So a damaged record costs itself only, and the next
//! line is where reading goes on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::model::CaptureKey;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

use super::PrivateKey;

/// What keeps these records apart from whatever else is encrypted to the key (RFC 9180, section 5.1, `info`).
const INFO: &[u8] = b"portcullis captured request";
/// The word that a file begins with.
const MAGIC: &str = "portcullis-capture-1";
/// Bytes of an encapsulated key of X25519.
const ENCAPSULATED_BYTES: usize = 32;

/// The suite of every capture.
pub(super) const fn suite() -> &'static dyn Hpke {
    SUITE
}

/// Returns the first line of a file that is encrypted to `key`, without its end.
pub(super) fn first_line(key: CaptureKey) -> String {
    format!("{MAGIC} {key}")
}

/// Encrypts one record into one line.
pub(super) fn seal(plain: &[u8], key: CaptureKey) -> Result<String, rustls::Error> {
    let public = HpkePublicKey(key.0.to_vec());
    let (encapsulated, sealed) = suite().seal(INFO, first_line(key).as_bytes(), plain, &public)?;
    let mut line = STANDARD.encode([encapsulated.0, sealed].concat());
    line.push('\n');
    Ok(line)
}

/// Decrypts the records of one file.
pub(crate) struct Opener {
    first_line: String,
    private: HpkePrivateKey,
}

/// Why a file is not opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not begin as one.
    #[error(
        "it does not begin with `{MAGIC}` and a public key: it is no capture, or its first line is damaged"
    )]
    NoCapture,
    /// It was encrypted to another key.
    #[error("it is encrypted to the key `{of_file}`, and this is the private half of `{given}`")]
    OtherKey {
        /// The public key that the file names.
        of_file: CaptureKey,
        /// The public half of the key that was given.
        given: CaptureKey,
    },
}

impl Opener {
    /// Reads a file's first line.
    pub(crate) fn new(line: &[u8], key: PrivateKey) -> Result<Self, OpenError> {
        let text = std::str::from_utf8(line).map_err(|_| OpenError::NoCapture)?;
        let named = text.trim_end().strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' '));
        let of_file = named.and_then(CaptureKey::parse).ok_or(OpenError::NoCapture)?;
        if of_file != key.public {
            return Err(OpenError::OtherKey { of_file, given: key.public });
        }
        Ok(Self { first_line: first_line(of_file), private: key.private })
    }

    /// Decrypts a line; `None` where it is damaged.
    pub(crate) fn open(&self, line: &[u8]) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(line.trim_ascii()).ok()?;
        let (encapsulated, sealed) = bytes.split_at_checked(ENCAPSULATED_BYTES)?;
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let context = self.first_line.as_bytes();
        suite().open(&encapsulated, INFO, context, sealed, &self.private).ok()
    }
}
