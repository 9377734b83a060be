//! The file of incidents: what a process that is killed at any moment leaves behind is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use portcullis_incident::{Incident, Numbered, Response};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::letter::Letter;

type Table = TableDefinition<'static, &'static str, &'static str>;

/// From the id to the incident's record.
const INCIDENTS: Table = TableDefinition::new("incidents");
/// From the number to the response's record.
const RESPONSES: Table = TableDefinition::new("responses");
/// From the number to the letter's record.
const OUTBOX: Table = TableDefinition::new("outbox");
/// From the incident's id to the names of those who were told that it began.
const TOLD: Table = TableDefinition::new("told");
/// What is known beside: the schema, the last number.
const META: Table = TableDefinition::new("meta");
const SCHEMA: &str = "1";

/// Why the file of incidents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IncidentStoreError {
    /// The file does not open: it is held by another process, damaged, or may not be read or written.
    #[error("the incident file `{}` cannot be used ({source}): if it is damaged, move it away and start again", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// A newer program has written the file.
    #[error("the incident file `{}` has schema `{found}`, and this program knows `{SCHEMA}`: use the program that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
    },
}

/// What the file held when it was opened.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) incidents: Vec<Incident>,
    pub(super) responses: Vec<Response>,
    pub(super) letters: Vec<Letter>,
    pub(super) told: BTreeMap<String, BTreeSet<String>>,
    pub(super) numbered: Numbered,
}

/// What is to be written in one transaction: a row with text is put there, one without is removed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) incidents: BTreeMap<String, Option<String>>,
    pub(super) responses: BTreeMap<u64, Option<String>>,
    pub(super) letters: BTreeMap<u64, Option<String>>,
    pub(super) told: BTreeMap<String, Option<String>>,
    pub(super) numbered: Numbered,
}

/// The file, held open by one process.
#[derive(Debug)]
pub struct IncidentStore {
    database: Database,
}

impl IncidentStore {
    /// Opens the file, making it with mode 0600 if it is not there.
    ///
    /// # Errors
    /// When another process holds it, a newer program wrote it, it is damaged, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, IncidentStoreError> {
        let open = |source: redb::Error| IncidentStoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let database = open_database(path).map_err(open)?;
        let store = Self { database };
        match store.row(META, "schema").map_err(open)? {
            Some(found) if found != SCHEMA => {
                Err(IncidentStoreError::Newer { path: path.to_owned(), found })
            }
            Some(_) => Ok(store),
            None => {
                store.begin().map_err(open)?;
                Ok(store)
            }
        }
    }

    /// Reads everything. A row that cannot be read is left out and logged: one bad row must not hide the rest.
    pub(super) fn read(&self) -> Result<Stored, redb::Error> {
        let mut stored = Stored::default();
        for (id, record) in self.rows(INCIDENTS)? {
            match Incident::from_record(record.as_bytes()) {
                Ok(incident) => stored.incidents.push(incident),
                Err(error) => tracing::error!(%id, "a stored incident is left out: {error}"),
            }
        }
        for (number, record) in self.rows(RESPONSES)? {
            match Response::from_record(record.as_bytes()) {
                Ok(response) => stored.responses.push(response),
                Err(error) => tracing::error!(%number, "a stored response is left out: {error}"),
            }
        }
        for (number, record) in self.rows(OUTBOX)? {
            match Letter::from_record(&record) {
                Some(letter) => stored.letters.push(letter),
                None => {
                    tracing::error!(%number, "what was to be told is left out: it is unreadable")
                }
            }
        }
        for (id, names) in self.rows(TOLD)? {
            stored.told.insert(id, names.split(' ').map(str::to_owned).collect());
        }
        let numbered = self.row(META, "numbered")?;
        stored.numbered = numbered.and_then(|id| Numbered::of(&id)).unwrap_or_default();
        Ok(stored)
    }

    /// Writes changes in one transaction. Durable when it returns.
    pub(super) fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        {
            put(&mut write.open_table(INCIDENTS)?, &changes.incidents)?;
            put(&mut write.open_table(RESPONSES)?, &by_number(&changes.responses))?;
            put(&mut write.open_table(OUTBOX)?, &by_number(&changes.letters))?;
            put(&mut write.open_table(TOLD)?, &changes.told)?;
            let numbered = changes.numbered.to_string();
            write.open_table(META)?.insert("numbered", numbered.as_str())?;
        }
        Ok(write.commit()?)
    }

    fn begin(&self) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        write.open_table(META)?.insert("schema", SCHEMA)?;
        drop(write.open_table(INCIDENTS)?);
        Ok(write.commit()?)
    }

    fn row(&self, table: Table, key: &str) -> Result<Option<String>, redb::Error> {
        let read = self.database.begin_read()?;
        match read.open_table(table) {
            Ok(table) => Ok(table.get(key)?.map(|row| row.value().to_owned())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rows(&self, table: Table) -> Result<Vec<(String, String)>, redb::Error> {
        let read = self.database.begin_read()?;
        let table = match read.open_table(table) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut rows = Vec::new();
        for entry in table.iter()? {
            let (key, row) = entry?;
            rows.push((key.value().to_owned(), row.value().to_owned()));
        }
        Ok(rows)
    }
}

/// Numbers as keys that sort by them.
fn by_number(rows: &BTreeMap<u64, Option<String>>) -> BTreeMap<String, Option<String>> {
    rows.iter().map(|(number, row)| (format!("{number:020}"), row.clone())).collect()
}

/// Puts rows with text, and removes those without.
fn put(
    table: &mut redb::Table<'_, &'static str, &'static str>,
    rows: &BTreeMap<String, Option<String>>,
) -> Result<(), redb::Error> {
    for (key, row) in rows {
        match row {
            Some(row) => drop(table.insert(key.as_str(), row.as_str())?),
            None => drop(table.remove(key.as_str())?),
        }
    }
    Ok(())
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(redb::Error::Io)?;
    let opened = std::panic::catch_unwind(|| -> Result<Database, redb::Error> {
        let backend = redb::backends::FileBackend::new(file)?;
        Ok(redb::Builder::new().create_with_backend(backend)?)
    });
    // A file that was damaged from outside can make the database panic, which is an answer as well.
    opened.unwrap_or_else(|_| Err(redb::Error::Io(io::ErrorKind::InvalidData.into())))
}

#[cfg(test)]
mod tests {
    use portcullis_config::Timestamp;
    use portcullis_incident::{Category, Correlator, Event};

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_foreign_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("incidents.redb");
        let now = Timestamp::from_secs(1_764_460_800);
        let mut correlator = Correlator::new(10);
        for n in 1..4 {
            let source = Some([192, 0, 2, n].into());
            correlator.observe(&Event::new("e", Category::Xss, source, now), now);
        }
        let incidents = correlator.incidents();
        let rows = incidents.iter().map(|one| (one.id.clone(), Some(one.to_record())));
        let mut changes = Changes {
            incidents: rows.collect(),
            numbered: correlator.numbered(),
            ..Changes::default()
        };
        let store = IncidentStore::open(&path).unwrap();
        store.write(&changes).unwrap();
        changes.incidents = BTreeMap::from([(incidents[0].id.clone(), None)]);
        store.write(&changes).unwrap();
        assert!(IncidentStore::open(&path).is_err(), "one process holds it");
        drop(store);
        let stored = IncidentStore::open(&path).unwrap().read().unwrap();
        assert_eq!(stored.incidents, incidents[1..]);
        assert_eq!(stored.numbered, correlator.numbered());
        std::fs::write(&path, b"not what it was").unwrap();
        assert!(IncidentStore::open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"not what it was", "it is left as it is");
    }
}
