//! Bans and allow-list entries as the file holds them: JSON without the key. Times are milliseconds since the Unix epoch.

use portcullis_config::Timestamp;
use portcullis_policy::{Ban, BanOrigin};
use serde::{Deserialize, Serialize};

use super::AllowEntry;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    until: Option<u64>,
    since: u64,
    reason: String,
    origin: Origin,
    definition: Option<u64>,
    /// Not in files of schema 1.
    #[serde(default)]
    generation: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    Rule,
    Operator(String),
    Incident(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    until: Option<u64>,
    since: u64,
    reason: String,
    by: String,
}

pub(super) fn of_ban(ban: &Ban) -> Vec<u8> {
    let row = Row {
        until: ban.until.map(Timestamp::as_millis),
        since: ban.since.as_millis(),
        reason: ban.reason.clone(),
        origin: match &ban.origin {
            BanOrigin::Rule => Origin::Rule,
            BanOrigin::Operator(name) => Origin::Operator(name.clone()),
            BanOrigin::Incident(id) => Origin::Incident(id.clone()),
        },
        definition: ban.definition,
        generation: ban.generation,
    };
    serde_json::to_vec(&row).expect("numbers and strings serialise")
}

pub(super) fn ban(key: &str, row: &[u8]) -> Option<Ban> {
    let row: Row = serde_json::from_slice(row).ok()?;
    Some(Ban {
        key: key.parse().ok()?,
        until: row.until.map(Timestamp::from_millis),
        since: Timestamp::from_millis(row.since),
        reason: row.reason,
        origin: match row.origin {
            Origin::Rule => BanOrigin::Rule,
            Origin::Operator(name) => BanOrigin::Operator(name),
            Origin::Incident(id) => BanOrigin::Incident(id),
        },
        definition: row.definition,
        generation: row.generation,
    })
}

pub(super) fn of_entry(entry: &AllowEntry) -> Vec<u8> {
    let row = Allowed {
        until: entry.until.map(Timestamp::as_millis),
        since: entry.since.as_millis(),
        reason: entry.reason.clone(),
        by: entry.by.clone(),
    };
    serde_json::to_vec(&row).expect("numbers and strings serialise")
}

pub(super) fn entry(key: &str, row: &[u8]) -> Option<AllowEntry> {
    let row: Allowed = serde_json::from_slice(row).ok()?;
    Some(AllowEntry {
        key: key.parse().ok()?,
        until: row.until.map(Timestamp::from_millis),
        since: Timestamp::from_millis(row.since),
        reason: row.reason,
        by: row.by,
    })
}
