//! An audit trail on its own: JSON lines of events, and a last line that proves where in the chain they stand.

use crate::domain::audit::{Broken, Event, Head, Linked, Veil, Walk};
use crate::domain::names::TenantId;
use crate::signing::{KeySet, Unverified, verify_checkpoint};
use crate::store::office::Checkpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, Read as _};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// An event as a line holds it: everything that its hash covers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    head: String,
    at: i64,
    kind: String,
    actor: String,
    license_id: Option<String>,
    session_id: Option<String>,
    detail: String,
    /// In hexadecimal digits; gone when the person was erased.
    #[serde(default)]
    salt: Option<String>,
    #[serde(default)]
    commitment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofLine {
    proof: Proof,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    tenant: TenantId,
    before: String,
    last: String,
    checkpoints: Vec<String>,
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes an event.
pub(super) fn event(linked: &Linked) -> Value {
    let event = &linked.event;
    json!({"head": linked.head.to_string(), "at": event.at, "kind": event.kind, "actor": event.actor,
        "license_id": event.license, "session_id": event.session, "detail": event.detail,
        "salt": event.veil.as_ref().and_then(|veil| veil.salt.as_deref()).map(hex),
        "commitment": event.veil.as_ref().map(|veil| hex(&veil.commitment))})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Writes the last line: the head before the first event, the last head, and the checkpoints in between.
pub(super) fn proof(
    tenant: &TenantId,
    before: Head,
    last: Head,
    checkpoints: &[Checkpoint],
) -> Value {
    let within = |checkpoint: &&Checkpoint| {
        checkpoint.head.position > before.position && checkpoint.head.position <= last.position
    };
    let signed: Vec<&str> =
        checkpoints.iter().filter(within).map(|checkpoint| checkpoint.signed.as_str()).collect();
    json!({"proof": {"tenant": tenant.as_str(), "before": before.to_string(), "last": last.to_string(),
        "checkpoints": signed}})
}

/// An export that holds.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) events: usize,
    pub(super) before: Head,
    pub(super) last: Head,
    pub(super) checkpoints: usize,
}

/// Why an export does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error("line {0} is not one that `audit export` writes")]
    Line(usize),
    #[error("the export ends without its proof")]
    NoProof,
    #[error("the audit chain is broken: {0}")]
    Broken(#[from] Broken),
    #[error("a checkpoint is not one of the key set's: {0}")]
    Checkpoint(Unverified),
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
}

/// Checks an export by itself. Without a key set the checkpoints are not looked at.
pub(super) fn check(file: &mut impl BufRead, keys: Option<&KeySet>) -> Result<Checked, CheckError> {
    let mut lines = vec![];
    let mut text = String::new();
    while file.by_ref().take(LINE_BYTES_MAX).read_line(&mut text)? > 0 {
        lines.push(std::mem::take(&mut text));
    }
    let (last_line, events) = lines.split_last().ok_or(CheckError::NoProof)?;
    let ProofLine { proof } = serde_json::from_str(last_line).map_err(|_| CheckError::NoProof)?;
    let head = |text: &str| text.parse::<Head>().map_err(|_| CheckError::Line(lines.len()));
    let (before, last) = (head(&proof.before)?, head(&proof.last)?);
    let mut noted = vec![last];
    if let Some(keys) = keys {
        for signed in &proof.checkpoints {
            noted.push(
                verify_checkpoint(signed, &proof.tenant, keys).map_err(CheckError::Checkpoint)?,
            );
        }
    }
    let checkpoints = noted.len() - 1;
    noted.retain(|head| *head != before);
    let mut walk = Walk::from(before, noted);
    for (number, line) in events.iter().enumerate() {
        let linked = linked(line).ok_or(CheckError::Line(number + 1))?;
        walk.step(proof.tenant.as_str(), &linked)?;
    }
    walk.end()?;
    Ok(Checked { events: events.len(), before, last, checkpoints })
}

fn linked(line: &str) -> Option<Linked> {
    let line: EventLine = serde_json::from_str(line).ok()?;
    let veil = match &line.commitment {
        None => None,
        Some(commitment) => {
            let commitment = of_hex(commitment)?.try_into().ok()?;
            let salt = match &line.salt {
                None => None,
                Some(salt) => Some(of_hex(salt)?),
            };
            Some(Veil { salt, commitment })
        }
    };
    let event = Event {
        veil,
        id: 0,
        at: line.at,
        kind: line.kind,
        actor: line.actor,
        license: line.license_id,
        session: line.session_id,
        detail: line.detail,
    };
    Some(Linked { event, head: line.head.parse().ok()? })
}
