//! Key pairs of this process.

use super::algorithm::Algorithm;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA512,
    RsaKeyPair,
};
use zeroize::Zeroizing;

/// A point of P-256 as it stands here: the byte 4, then both coordinates.
pub(super) const P256_POINT_BYTES: usize = 65;

/// Returns the coordinates of such a point.
pub(super) fn coordinates(point: &[u8]) -> (&[u8], &[u8]) {
    let both = point.get(1..).unwrap_or_default();
    both.split_at(both.len() / 2)
}

/// A key pair.
pub(crate) enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Pair {
    /// Makes a pair. For RSA that takes a second or so.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Unspecified> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Self::Ed25519),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256)
            }
            Algorithm::Rs512 => RsaKeyPair::generate(KeySize::Rsa4096).map(Box::new).map(Self::Rsa),
        }
    }

    /// Reads the private key in PKCS#8.
    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, Unspecified> {
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der).map(Self::Ed25519),
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self::P256)
            }
            Algorithm::Rs512 => RsaKeyPair::from_pkcs8(der).map(Box::new).map(Self::Rsa),
        }
        .map_err(|_| Unspecified)
    }

    /// Writes the private key in PKCS#8.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let der = match self {
            Self::Ed25519(pair) => pair.to_pkcs8()?.as_ref().to_vec(),
            Self::P256(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
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
            Self::P256(pair) => pair.public_key().as_ref().to_vec(),
            Self::Rsa(pair) => {
                pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
            }
        }
    }

    /// Returns what the pair signs with.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa(_) => Algorithm::Rs512,
        }
    }

    /// Signs, in the form that JWS has.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::P256(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}
