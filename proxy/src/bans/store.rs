//! The file of bans.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use portcullis_config::Timestamp;
use portcullis_policy::{Ban, BanOrigin};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

/// From the ban's key as text to the rest of the ban as JSON.
const BANS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bans");

/// Why the file of bans cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file does not open: it is no such database, is held by another process, or may not be written.
    #[error("the ban file `{}` does not open: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// A read or write that the disk or the format refused.
    #[error("the ban file cannot be read or written: {0}")]
    Access(#[source] Box<redb::Error>),
}

fn access(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Access(Box::new(error.into()))
}

/// The file of bans, held open by one process.
#[derive(Debug)]
pub struct BanStore {
    database: Database,
    /// What the file holds, by key: what a write compares with.
    stored: BTreeMap<String, Vec<u8>>,
}

/// A ban as stored, without its key. Times are milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    until: Option<u64>,
    since: u64,
    reason: String,
    origin: Origin,
    definition: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    Rule,
    Operator(String),
    Incident(String),
}

impl BanStore {
    /// Opens the file, making it with mode 0600 if it is not there.
    ///
    /// # Errors
    /// When it is no such file, another process holds it, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(redb::Error::Io)
            .and_then(|file| {
                let backend = redb::backends::FileBackend::new(file)?;
                Ok(redb::Builder::new().create_with_backend(backend)?)
            });
        let database = opened
            .map_err(|source| StoreError::Open { path: path.to_owned(), source: source.into() })?;
        let mut store = Self { database, stored: BTreeMap::new() };
        store.stored = store.rows()?;
        Ok(store)
    }

    /// Returns the stored bans. A row that cannot be read is left out and logged: one bad row must not free the rest.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        let read = |(key, row): (&String, &Vec<u8>)| match parse(key, row) {
            Some(ban) => Some(ban),
            None => {
                tracing::error!(%key, "a stored ban cannot be read and is left out");
                None
            }
        };
        self.stored.iter().filter_map(read).collect()
    }

    /// Makes the file hold exactly `bans`, in one transaction; returns how many rows changed. Durable when it returns.
    ///
    /// # Errors
    /// When the disk refuses; then the file holds what it held.
    pub fn save(&mut self, bans: &[Ban]) -> Result<usize, StoreError> {
        let wanted: BTreeMap<String, Vec<u8>> =
            bans.iter().map(|ban| (ban.key.to_string(), row(ban))).collect();
        let gone: Vec<&String> =
            self.stored.keys().filter(|key| !wanted.contains_key(*key)).collect();
        let new: Vec<_> =
            wanted.iter().filter(|(key, row)| self.stored.get(*key) != Some(*row)).collect();
        let changes = gone.len() + new.len();
        if changes == 0 {
            return Ok(0);
        }
        let write = self.database.begin_write().map_err(access)?;
        {
            let mut table = write.open_table(BANS).map_err(access)?;
            for key in gone {
                table.remove(key.as_str()).map_err(access)?;
            }
            for (key, row) in new {
                table.insert(key.as_str(), row.as_slice()).map_err(access)?;
            }
        }
        write.commit().map_err(access)?;
        self.stored = wanted;
        Ok(changes)
    }

    fn rows(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let read = self.database.begin_read().map_err(access)?;
        let table = match read.open_table(BANS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(access(error)),
        };
        let mut rows = BTreeMap::new();
        for entry in table.iter().map_err(access)? {
            let (key, row) = entry.map_err(access)?;
            rows.insert(key.value().to_owned(), row.value().to_vec());
        }
        Ok(rows)
    }
}

fn row(ban: &Ban) -> Vec<u8> {
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
    };
    serde_json::to_vec(&row).expect("numbers and strings serialise")
}

fn parse(key: &str, row: &[u8]) -> Option<Ban> {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(key: &str, until: Option<u64>, origin: BanOrigin) -> Ban {
        Ban {
            key: key.parse().unwrap(),
            until: until.map(Timestamp::from_secs),
            since: Timestamp::from_secs(1),
            reason: "more than \"100\"".to_owned(),
            origin,
            definition: Some(u64::MAX),
        }
    }

    #[test]
    fn bans_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bans.redb");
        let mut bans = vec![
            ban("192.0.2.1", Some(600), BanOrigin::Operator("uid 0".to_owned())),
            ban("rule:p/100=192.0.2.7,\"k\\xff\"", Some(700), BanOrigin::Rule),
            ban("user:alice", None, BanOrigin::Incident("INC-1".to_owned())),
        ];
        let mut store = BanStore::open(&path).unwrap();
        assert_eq!(store.save(&bans).unwrap(), 3);
        assert_eq!(store.save(&bans).unwrap(), 0);
        drop(store);
        let mut store = BanStore::open(&path).unwrap();
        assert_eq!(store.bans(), bans);
        bans.remove(0);
        assert_eq!(store.save(&bans).unwrap(), 1);
        drop(store);
        assert_eq!(BanStore::open(&path).unwrap().bans(), bans);
    }

    #[test]
    fn a_file_held_by_another_or_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bans.redb");
        let held = BanStore::open(&path).unwrap();
        assert!(BanStore::open(&path).is_err());
        drop(held);
        let other = dir.path().join("other");
        std::fs::write(&other, "something else, longer than any header would be").unwrap();
        assert!(BanStore::open(&other).unwrap_err().to_string().contains("does not open"));
    }
}
