//! The algorithms of signing keys, and what keys are for.

use super::pair::coordinates;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a key signs with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037). Some ten thousand a second.
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518 §3.4): about as fast, and known to older hardware modules.
    Es256,
    /// RSA-4096, PKCS#1 v1.5 with SHA-512 (RFC 7518 §3.3). Some milliseconds each.
    Rs512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs512];

    /// Returns the name of RFC 7518 and RFC 8037, which settings and the store use too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs512 => "RS512",
        }
    }

    /// Reads such a name.
    pub(crate) fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }

    /// Returns the name in the registry of RFC 9421 §6.2, where there is one.
    pub(crate) const fn in_http_signatures(self) -> Option<&'static str> {
        match self {
            Self::EdDsa => Some("ed25519"),
            Self::Es256 => Some("ecdsa-p256-sha256"),
            Self::Rs512 => None,
        }
    }

    /// Says whether a signature takes a processor for milliseconds.
    pub(super) const fn is_slow(self) -> bool {
        match self {
            Self::EdDsa | Self::Es256 => false,
            Self::Rs512 => true,
        }
    }

    /// Shows a public key of this algorithm as a JWK.
    pub(crate) fn jwk(self, public: &[u8], kid: &str) -> Value {
        let mut jwk = json!({"alg": self.as_str(), "use": "sig", "kid": kid});
        for (name, value) in self.members(public) {
            jwk[name] = value.into();
        }
        jwk
    }

    /// Returns the RFC 7638 thumbprint of a public key of this algorithm.
    pub(crate) fn thumbprint(self, public: &[u8]) -> String {
        // The members in the order of their names, without white space (§3.2).
        let members: Vec<String> = self
            .members(public)
            .into_iter()
            .map(|(name, value)| format!(r#""{name}":"{value}""#))
            .collect();
        let canonical = format!("{{{}}}", members.join(","));
        URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// Returns what makes a public key, by the names of RFC 7518 and in their order.
    fn members(self, public: &[u8]) -> Vec<(&'static str, String)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::EdDsa => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", text(public))]
            }
            Self::Es256 => {
                let (x, y) = coordinates(public);
                vec![
                    ("crv", "P-256".to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", text(x)),
                    ("y", text(y)),
                ]
            }
            Self::Rs512 => {
                vec![
                    ("e", EXPONENT_TEXT.to_owned()),
                    ("kty", "RSA".to_owned()),
                    ("n", text(public)),
                ]
            }
        }
    }
}

/// What a key is for. The keys of one use follow one another, whatever their algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Use {
    /// Receipts, borrow tokens, checkpoints, responses: what is signed often.
    Receipts,
    /// License files.
    Files,
}

impl Use {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Receipts, Self::Files];

    /// Returns the store's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Receipts => "receipts",
            Self::Files => "files",
        }
    }

    /// Reads the store's word; a program before this one wrote none, as the algorithm said it.
    pub(crate) fn from_column(word: Option<&str>, algorithm: Algorithm) -> Option<Self> {
        match word {
            None if algorithm.is_slow() => Some(Self::Files),
            None => Some(Self::Receipts),
            Some(word) => Self::ALL.into_iter().find(|one| one.as_str() == word),
        }
    }
}

/// 65537: the exponent of every RSA key that signs here.
pub(crate) const EXPONENT: [u8; 3] = [1, 0, 1];
/// The same, base64url.
const EXPONENT_TEXT: &str = "AQAB";
