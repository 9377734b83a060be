//! One JSON Web Key. `kty`, `crv`, `alg`, `use` and `key_ops` must fit each other and the provider's algorithms.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Key, KeyError, KeyFault, checked_kid};
use crate::algorithm::{Algorithm, KeyKind};
use crate::base64url;

pub(super) type Members = Map<String, Value>;

/// Says whether a key is a shared secret.
pub(super) fn is_secret(key: &Value) -> bool {
    key.get("kty").and_then(Value::as_str) == Some("oct")
}

/// Says whether a key has a private part.
pub(super) fn is_private(key: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| key.get(name).is_some())
}

/// Returns a key's id.
pub(super) fn kid(key: &Members) -> Result<Option<String>, KeyError> {
    match key.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) => checked_kid(kid).map(Some),
        Some(_) => Err(KeyError::Malformed),
    }
}

/// Reads a key and pins it.
pub(super) fn read(key: &Members, configured: &[Algorithm]) -> Result<Key, KeyFault> {
    if !is_for_verifying(key)? {
        return Err(KeyFault::WrongUse);
    }
    let kind = kind(key)?;
    let algorithms = pins(key, kind, configured)?;
    match kind {
        KeyKind::Rsa => Key::rsa(&bytes(key, "n")?, &bytes(key, "e")?, &algorithms),
        KeyKind::P256 => point(key, kind, 32, &algorithms),
        KeyKind::P384 => point(key, kind, 48, &algorithms),
        KeyKind::P521 => point(key, kind, 66, &algorithms),
        KeyKind::Ed25519 => Key::public(kind, &sized(key, "x", 32)?, &algorithms),
        KeyKind::Secret => Key::secret(&Zeroizing::new(bytes(key, "k")?), &algorithms),
    }
}

fn is_for_verifying(key: &Members) -> Result<bool, KeyFault> {
    let by_use = match key.get("use") {
        None => true,
        Some(Value::String(purpose)) => purpose == "sig",
        Some(_) => return Err(KeyFault::Malformed),
    };
    let by_operations = match key.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|name| name == "verify"),
        Some(_) => return Err(KeyFault::Malformed),
    };
    Ok(by_use && by_operations)
}

fn kind(key: &Members) -> Result<KeyKind, KeyFault> {
    match (text(key, "kty")?, text(key, "crv")?) {
        (Some("RSA"), None) => Ok(KeyKind::Rsa),
        (Some("EC"), Some("P-256")) => Ok(KeyKind::P256),
        (Some("EC"), Some("P-384")) => Ok(KeyKind::P384),
        (Some("EC"), Some("P-521")) => Ok(KeyKind::P521),
        (Some("OKP"), Some("Ed25519")) => Ok(KeyKind::Ed25519),
        (Some("oct"), None) => Ok(KeyKind::Secret),
        _ => Err(KeyFault::UnknownKind),
    }
}

/// The key's own `alg` pins it to that one; without it, to those of the provider that fit its kind.
fn pins(
    key: &Members,
    kind: KeyKind,
    configured: &[Algorithm],
) -> Result<Vec<Algorithm>, KeyFault> {
    let fits = |algorithm: &Algorithm| algorithm.key_kind() == kind;
    let Some(name) = text(key, "alg")? else {
        return Ok(configured.iter().copied().filter(fits).collect());
    };
    // RFC 9864 writes `Ed25519` where RFC 8037 writes `EdDSA`.
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    let algorithm = Algorithm::by_name(name).filter(fits).ok_or(KeyFault::UnknownKind)?;
    if !configured.contains(&algorithm) {
        return Err(KeyFault::NotConfigured);
    }
    Ok(vec![algorithm])
}

/// Puts a point into its uncompressed form.
fn point(
    key: &Members,
    kind: KeyKind,
    size: usize,
    algorithms: &[Algorithm],
) -> Result<Key, KeyFault> {
    let mut bytes = vec![4];
    bytes.extend(sized(key, "x", size)?);
    bytes.extend(sized(key, "y", size)?);
    Key::public(kind, &bytes, algorithms)
}

fn sized(key: &Members, name: &str, size: usize) -> Result<Vec<u8>, KeyFault> {
    bytes(key, name).and_then(|b| if b.len() == size { Ok(b) } else { Err(KeyFault::Malformed) })
}

fn bytes(key: &Members, name: &str) -> Result<Vec<u8>, KeyFault> {
    let text = text(key, name)?.ok_or(KeyFault::Malformed)?;
    base64url::decode(text.as_bytes()).ok_or(KeyFault::Malformed)
}

fn text<'a>(key: &'a Members, name: &str) -> Result<Option<&'a str>, KeyFault> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFault::Malformed),
    }
}
