//! Compact JWS: the form of everything that is signed, and the key set that it is verified with.

use super::algorithm::{Algorithm, EXPONENT};
use super::receipt::Unverified;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

const TEXT_BYTES_MAX: usize = 32 * 1024;
const KEYS_MAX: usize = 100;

/// The key that a text will be signed with, as its header names it.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: &'a str,
}

/// Writes the two parts that are signed; `None` when claims are no JSON, which the service's own are.
pub(super) fn unsigned(typ: &str, claims: &impl Serialize, head: Head<'_>) -> Option<String> {
    let header = json!({"alg": head.algorithm.as_str(), "typ": typ, "kid": head.kid});
    let claims = serde_json::to_vec(claims).ok()?;
    Some(format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims)
    ))
}

/// Verifies a signature with a public key as the store holds it: the point, or the modulus.
pub(super) fn verify_with(
    algorithm: Algorithm,
    public: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), Unverified> {
    match algorithm {
        Algorithm::EdDsa => verify_ed25519(public, signed, signature),
        Algorithm::Es256 => verify_es256(public, signed, signature),
        Algorithm::Rs512 => verify_rs512(public, &EXPONENT, signed, signature),
    }
}

/// Reads the claims of a text of this `typ` whose signature is right.
pub(super) fn verified<T: for<'de> Deserialize<'de>>(
    typ: &str,
    text: &str,
    keys: &KeySet,
) -> Result<T, Unverified> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Unverified::Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(Unverified::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Unverified::Malformed)?;
    let protected: Protected = decode(header)?;
    if protected.typ != typ {
        return Err(Unverified::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unverified::Malformed)?;
    keys.verify(&protected, signed.as_bytes(), &signature)?;
    decode(claims)
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Unverified> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| Unverified::Malformed)?;
    serde_json::from_slice(&text).map_err(|_| Unverified::Malformed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    typ: String,
    kid: String,
}

/// The service's public keys, as `GET /.well-known/jwks.json` gives them.
#[derive(Clone, Debug, Deserialize)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug, Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: String,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when it is none or holds more than 100 keys.
    pub fn parse(text: &[u8]) -> Result<Self, Unverified> {
        let set: Self = serde_json::from_slice(text).map_err(|_| Unverified::Malformed)?;
        if set.keys.len() > KEYS_MAX { Err(Unverified::Malformed) } else { Ok(set) }
    }

    /// Returns the algorithm of the key of this name.
    pub(super) fn algorithm_of(&self, kid: &str) -> Result<Algorithm, Unverified> {
        self.key(kid)?.algorithm()
    }

    /// Verifies with the key of this name.
    pub(super) fn verify_by(
        &self,
        kid: &str,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Unverified> {
        self.key(kid)?.verify(signed, signature)
    }

    /// The algorithm follows from the key, never from the text: the text must name the same.
    fn verify(&self, named: &Protected, signed: &[u8], signature: &[u8]) -> Result<(), Unverified> {
        let key = self.key(&named.kid)?;
        if key.algorithm()?.as_str() != named.alg {
            return Err(Unverified::Malformed);
        }
        key.verify(signed, signature)
    }

    fn key(&self, kid: &str) -> Result<&Jwk, Unverified> {
        self.keys.iter().find(|key| key.kid == kid).ok_or(Unverified::UnknownKey)
    }
}

impl Jwk {
    fn algorithm(&self) -> Result<Algorithm, Unverified> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Ok(Algorithm::EdDsa),
            ("EC", Some("P-256")) => Ok(Algorithm::Es256),
            ("RSA", None) => Ok(Algorithm::Rs512),
            // Any other kind of key.
            (_, _) => Err(Unverified::Malformed),
        }
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), Unverified> {
        match self.algorithm()? {
            Algorithm::EdDsa => verify_ed25519(&part(self.x.as_ref())?, signed, signature),
            Algorithm::Es256 => {
                let (x, y) = (part(self.x.as_ref())?, part(self.y.as_ref())?);
                verify_es256(&[&[4], x.as_slice(), &y].concat(), signed, signature)
            }
            Algorithm::Rs512 => {
                let (modulus, exponent) = (part(self.n.as_ref())?, part(self.e.as_ref())?);
                verify_rs512(&modulus, &exponent, signed, signature)
            }
        }
    }
}

fn part(text: Option<&String>) -> Result<Vec<u8>, Unverified> {
    URL_SAFE_NO_PAD.decode(text.ok_or(Unverified::UnknownKey)?).map_err(|_| Unverified::UnknownKey)
}

fn verify_ed25519(point: &[u8], signed: &[u8], signature: &[u8]) -> Result<(), Unverified> {
    UnparsedPublicKey::new(&ED25519, point)
        .verify(signed, signature)
        .map_err(|_| Unverified::Signature)
}

/// Verifies ECDSA over P-256 with SHA-256; the signature is r and s, 32 bytes each.
fn verify_es256(point: &[u8], signed: &[u8], signature: &[u8]) -> Result<(), Unverified> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed, signature)
        .map_err(|_| Unverified::Signature)
}

/// Verifies RSA with PKCS#1 v1.5 and SHA-512; keys under 2048 bits verify nothing.
fn verify_rs512(
    modulus: &[u8],
    exponent: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), Unverified> {
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .verify(&RSA_PKCS1_2048_8192_SHA512, signed, signature)
        .map_err(|_| Unverified::Signature)
}

#[cfg(test)]
mod tests {
    use super::{verify_ed25519, verify_rs512};
    use serde_json::Value;
    use std::path::PathBuf;

    /// The folder of shared test data: beside the repository, or where `PORTCULLIS_SHARED` says.
    fn shared() -> Option<PathBuf> {
        if let Ok(named) = std::env::var("PORTCULLIS_SHARED") {
            return Some(named.into());
        }
        let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        crate_dir
            .ancestors()
            .map(|folder| folder.join("shared"))
            .find(|shared| shared.join("vectors").is_dir())
    }

    fn hex(text: &Value) -> Vec<u8> {
        let digits = text.as_str().unwrap().as_bytes();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Runs a file of vectors through `verify` and returns how many were judged. `acceptable` ones are judged either
    /// way: they are signatures with a quirk that a verifier may refuse.
    fn judge(file: &str, verify: impl Fn(&Value, &[u8], &[u8]) -> bool) -> Option<(usize, u64)> {
        let Some(shared) = shared() else {
            assert!(
                std::env::var("REQUIRE_ALL").as_deref() != Ok("1"),
                "REQUIRE_ALL=1 and the shared vectors are absent"
            );
            println!("skipped: the shared vectors are absent (set PORTCULLIS_SHARED)");
            return None;
        };
        let text = std::fs::read(shared.join("vectors/wycheproof").join(file)).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        let mut judged = 0;
        for group in file["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let accepted = verify(group, &hex(&test["msg"]), &hex(&test["sig"]));
                match test["result"].as_str().unwrap() {
                    "valid" => assert!(accepted, "{test}"),
                    "invalid" => assert!(!accepted, "{test}"),
                    _ => {}
                }
                judged += 1;
            }
        }
        Some((judged, file["numberOfTests"].as_u64().unwrap()))
    }

    #[test]
    fn wycheproofs_ed25519_vectors_are_all_judged_right() {
        let judged = judge("ed25519_test.json", |group, message, signature| {
            verify_ed25519(&hex(&group["publicKey"]["pk"]), message, signature).is_ok()
        });
        if let Some((judged, told)) = judged {
            assert_eq!((judged as u64, judged > 100), (told, true));
        }
    }

    #[test]
    fn wycheproofs_rsa_4096_sha_512_vectors_are_all_judged_right() {
        let judged = judge("rsa_signature_4096_sha512_test.json", |group, message, signature| {
            let key = &group["publicKey"];
            let modulus = hex(&key["modulus"]);
            // The vectors write a leading zero, which a modulus in a JWK does not have.
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(&modulus);
            verify_rs512(modulus, &hex(&key["publicExponent"]), message, signature).is_ok()
        });
        if let Some((judged, told)) = judged {
            assert_eq!((judged as u64, told), (259, 259));
        }
    }
}
