//! Rate keys: each part, or what takes its place.

use portcullis_config::armor::Fallback;
use portcullis_config::expr::Need;

use super::facts::{Facts, parse_address};
use super::params::license_key;
use super::value::{Stop, Value};
use crate::compile::{CompiledKey, KeyKind, Operand, RateRule};
use crate::limit::LimitKey;

/// What a request is counted by.
#[derive(Debug)]
pub(crate) enum Key {
    /// This.
    Counted(LimitKey),
    /// A part is absent, and the rule does not match then.
    Skip,
    /// A part is absent, and the request exceeds then.
    Deny,
}

/// Builds the key of a request for a rate rule.
pub(crate) fn rate_key<'f>(rule: &'f RateRule, facts: &mut Facts<'f, '_>) -> Result<Key, Need> {
    let mut key = LimitKey::new();
    for part in &rule.keys {
        if push(part, &mut key, facts)? {
            continue;
        }
        match part.fallback {
            Fallback::All => key.push_all(),
            Fallback::Ip => key.push_address(facts.head.client_ip),
            Fallback::Skip => return Ok(Key::Skip),
            Fallback::Deny => return Ok(Key::Deny),
        }
    }
    Ok(Key::Counted(key))
}

/// Pushes one part; false when it is absent.
fn push<'f>(
    part: &'f CompiledKey,
    key: &mut LimitKey,
    facts: &mut Facts<'f, '_>,
) -> Result<bool, Need> {
    match &part.kind {
        KeyKind::All => key.push_all(),
        KeyKind::Ip => key.push_address(facts.head.client_ip),
        KeyKind::UserIp => match facts.user_ip() {
            Some(address) => key.push_address(address),
            None => return Ok(false),
        },
        KeyKind::XffIp => match forwarded(facts) {
            Some(address) => key.push_address(address),
            None => return Ok(false),
        },
        KeyKind::Sni => match facts.head.sni {
            Some(name) if !name.is_empty() => key.push_text(name),
            Some(_) | None => return Ok(false),
        },
        KeyKind::LicenseKey => {
            let body = facts.kept.ok_or(Need::Body)?;
            match license_key(&body.bytes) {
                Some(license) => key.push_text(&license),
                None => return Ok(false),
            }
        }
        KeyKind::Text(operand) => return text(operand, key, facts, false),
        KeyKind::TextOrEmpty(operand) => return text(operand, key, facts, true),
    }
    Ok(true)
}

fn text<'f>(
    operand: &'f Operand,
    key: &mut LimitKey,
    facts: &mut Facts<'f, '_>,
    empty_counts: bool,
) -> Result<bool, Need> {
    let value = match facts.value(operand) {
        Ok(value) => value,
        Err(Stop::Needs(need)) => return Err(need),
        Err(Stop::Error) => return Ok(false),
    };
    if let Value::Address(address) = value {
        key.push_address(address);
        return Ok(true);
    }
    match value.write().and_then(Value::into_text) {
        Ok(text) if empty_counts || !text.is_empty() => {
            key.push_text(&text);
            Ok(true)
        }
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Returns the first address of X-Forwarded-For.
fn forwarded(facts: &Facts<'_, '_>) -> Option<std::net::IpAddr> {
    let first = facts.head.header_values(b"x-forwarded-for").next()?;
    first.split(|byte| *byte == b',').next().and_then(parse_address)
}
