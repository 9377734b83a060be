//! A signed token in compact form (RFC 7515): taken apart, looked up, verified. Nothing of its payload is believed
//! before the signature is.

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::keys::{KID_BYTES_MAX, KeySet};
use crate::refusal::Why;
use crate::{base64url, json};

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The longest decoded header, in bytes.
pub const HEADER_BYTES_MAX: usize = 1024;

/// A token taken apart, not verified.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'a [u8],
}

/// A payload whose signature was good.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) payload: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, Why> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Why::TooLong);
        }
        if token.trim_ascii_start().starts_with(b"{") {
            return Err(Why::JsonSerialization);
        }
        let parts: Vec<&[u8]> = token.splitn(6, |byte| *byte == b'.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(if parts.len() == 5 { Why::Encrypted } else { Why::NotCompact });
        };
        let header = read_header(header)?;
        let payload_bytes = base64url::decode(payload).ok_or(Why::BadBase64)?;
        if signature.is_empty() {
            return Err(Why::NoSignature);
        }
        let signed = token.len().checked_sub(signature.len() + 1).and_then(|end| token.get(..end));
        Ok(Self {
            algorithm: header.algorithm,
            kid: header.kid,
            typ: header.typ,
            payload: payload_bytes,
            signature: base64url::decode(signature).ok_or(Why::BadBase64)?,
            signed: signed.ok_or(Why::NotCompact)?,
        })
    }

    /// Verifies the signature with the key that the id names, under an algorithm that this key is pinned to.
    pub(crate) fn verify(self, keys: &KeySet) -> Result<Verified, Why> {
        let missing = if self.kid.is_some() { Why::UnknownKid } else { Why::MissingKid };
        let key = keys.find(self.kid.as_deref()).ok_or(missing)?;
        if !key.allows(self.algorithm) {
            return Err(Why::AlgNotOfKey);
        }
        if !key.verifies(self.algorithm, self.signed, &self.signature) {
            return Err(Why::BadSignature);
        }
        Ok(Verified { kid: self.kid, typ: self.typ, payload: self.payload })
    }

    /// Returns the algorithm that the header names.
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the key id that the header names.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Reads the payload before it is verified: for choosing a provider and for the log, never for a decision in favour
    /// of the caller.
    pub(crate) fn unverified_claims(&self) -> Option<Map<String, Value>> {
        json::object(&self.payload)
    }
}

struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
}

fn read_header(encoded: &[u8]) -> Result<Header, Why> {
    if encoded.len() > HEADER_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Why::BadHeader);
    }
    let text = base64url::decode(encoded).ok_or(Why::BadBase64)?;
    if text.len() > HEADER_BYTES_MAX {
        return Err(Why::BadHeader);
    }
    let header = json::object(&text).ok_or(Why::BadHeader)?;
    let algorithm = algorithm(&header)?;
    refuse_extensions(&header)?;
    Ok(Header { algorithm, kid: kid(&header)?, typ: typ(&header)? })
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Why> {
    let Some(Value::String(name)) = header.get("alg") else { return Err(Why::UnknownAlg) };
    if name.trim().eq_ignore_ascii_case("none") {
        return Err(Why::AlgNone);
    }
    Algorithm::by_name(name).ok_or(Why::UnknownAlg)
}

/// `x5c` and `x5t` are never looked at; what asks to fetch or to trust a key is a forger's.
fn refuse_extensions(header: &Map<String, Value>) -> Result<(), Why> {
    let has = |name: &str| header.contains_key(name);
    if has("b64") {
        return Err(Why::Unencoded);
    }
    if has("crit") || has("zip") {
        return Err(Why::Critical);
    }
    if has("enc") {
        return Err(Why::Encrypted);
    }
    if has("jwk") || has("jku") || has("x5u") {
        return Err(Why::EmbeddedKey);
    }
    // A nested token: the claims would be inside another one.
    if has("cty") {
        return Err(Why::WrongType);
    }
    Ok(())
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, Why> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Ok(Some(kid.clone())),
        Some(_) => Err(Why::BadKid),
    }
}

fn typ(header: &Map<String, Value>) -> Result<Option<String>, Why> {
    match header.get("typ") {
        None => Ok(None),
        Some(Value::String(typ)) => {
            let typ = typ.to_ascii_lowercase();
            Ok(Some(typ.strip_prefix("application/").unwrap_or(&typ).to_owned()))
        }
        Some(_) => Err(Why::WrongType),
    }
}
