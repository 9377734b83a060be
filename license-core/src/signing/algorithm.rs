//! The two algorithms of signing keys, and a key pair of either.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA512, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What a key signs with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Algorithm {
    /// Ed25519: receipts, borrow tokens, checkpoints. Some ten thousand a second.
    EdDsa,
    /// RSA-4096, PKCS#1 v1.5 with SHA-512: license files. Some milliseconds each.
    Rs512,
}

impl Algorithm {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::EdDsa, Self::Rs512];

    /// Returns the name of RFC 7518 and RFC 8037, which the store uses too.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs512 => "RS512",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }

    /// Shows a public key of this algorithm as a JWK.
    pub(crate) fn jwk(self, public: &[u8], kid: &str) -> Value {
        let public = URL_SAFE_NO_PAD.encode(public);
        match self {
            Self::EdDsa => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": public})
            }
            Self::Rs512 => {
                json!({"kty": "RSA", "alg": "RS512", "use": "sig", "kid": kid, "n": public, "e": EXPONENT_TEXT})
            }
        }
    }

    /// Returns the RFC 7638 thumbprint of a public key of this algorithm.
    pub(crate) fn thumbprint(self, public: &[u8]) -> String {
        let public = URL_SAFE_NO_PAD.encode(public);
        match self {
            Self::EdDsa => crate::assertion::thumbprint(&public),
            Self::Rs512 => {
                let canonical = format!(r#"{{"e":"{EXPONENT_TEXT}","kty":"RSA","n":"{public}"}}"#);
                URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
            }
        }
    }
}

/// 65537: the exponent of every RSA key that signs here.
pub(crate) const EXPONENT: [u8; 3] = [1, 0, 1];
/// The same, base64url.
const EXPONENT_TEXT: &str = "AQAB";

/// A key pair.
pub(crate) enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Pair {
    /// Makes a pair. For RSA that takes a second or so.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Unspecified> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Self::Ed25519),
            Algorithm::Rs512 => RsaKeyPair::generate(KeySize::Rsa4096).map(Box::new).map(Self::Rsa),
        }
    }

    /// Reads the private key in PKCS#8.
    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, Unspecified> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der).map(Self::Ed25519),
            Algorithm::Rs512 => RsaKeyPair::from_pkcs8(der).map(Box::new).map(Self::Rsa),
        }
        .map_err(|_| Unspecified)
    }

    /// Writes the private key in PKCS#8.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let der = match self {
            Self::Ed25519(pair) => pair.to_pkcs8()?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                der.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(der))
    }

    /// Returns the public key: the point, or the modulus.
    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Self::Rsa(pair) => {
                pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
            }
        }
    }

    /// Returns what the pair signs with.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Rsa(_) => Algorithm::Rs512,
        }
    }

    /// Signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}
