//! The file of issued keys, in the state directory with mode 0600: hashes, never texts.

use std::collections::BTreeMap;

use portcullis_config::Timestamp;
use serde_json::{Map, Value, json};

use super::text::Hash;
use super::{ApiKey, KEYS_MAX};
use crate::hex::hex;

pub(super) fn text(keys: &BTreeMap<String, ApiKey>) -> String {
    let row = |(id, key): (&String, &ApiKey)| {
        json!({
            "id": id,
            "provider": key.provider,
            "tenant": key.tenant,
            "subject": key.subject,
            "roles": key.roles,
            "scopes": key.scopes,
            "issued_ms": key.issued.as_millis(),
            "expires_ms": key.expires.map(Timestamp::as_millis),
            "by": key.by,
            "note": key.note,
            "sha256": hex(&key.hash),
            "previous": key.previous.map(|(hash, until)| {
                json!({ "sha256": hex(&hash), "until_ms": until.as_millis() })
            }),
        })
    };
    Value::Array(keys.iter().map(row).collect()).to_string()
}

pub(super) fn parse(bytes: &[u8]) -> Option<BTreeMap<String, ApiKey>> {
    let Value::Array(rows) = serde_json::from_slice(bytes).ok()? else { return None };
    if rows.len() > KEYS_MAX {
        return None;
    }
    rows.iter().map(|value| row(value.as_object()?)).collect()
}

fn row(row: &Map<String, Value>) -> Option<(String, ApiKey)> {
    let text = |name: &str| row.get(name)?.as_str().map(str::to_owned);
    let texts = |name: &str| -> Option<Vec<String>> {
        row.get(name)?.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let expires = row.get("expires_ms")?;
    let expires = if expires.is_null() { None } else { Some(moment(expires)?) };
    let before = row.get("previous")?;
    let previous = if before.is_null() {
        None
    } else {
        Some((hash(before.get("sha256")?)?, moment(before.get("until_ms")?)?))
    };
    let key = ApiKey {
        provider: text("provider")?,
        tenant: text("tenant")?,
        subject: text("subject")?,
        roles: texts("roles")?,
        scopes: texts("scopes")?,
        issued: moment(row.get("issued_ms")?)?,
        expires,
        by: text("by")?,
        note: row.get("note")?.as_str().map(str::to_owned),
        hash: hash(row.get("sha256")?)?,
        previous,
    };
    Some((text("id")?, key))
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_u64().map(Timestamp::from_millis)
}

fn hash(value: &Value) -> Option<Hash> {
    let digits = value.as_str().filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}
