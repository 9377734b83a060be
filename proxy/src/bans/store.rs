//! The file of bans and of the operators' allow-list.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use portcullis_policy::Ban;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{AllowEntry, row};

type Rows = BTreeMap<String, Vec<u8>>;
type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// From the key as text to the rest as JSON.
const BANS: Table = TableDefinition::new("bans");
const ALLOWED: Table = TableDefinition::new("allowed");
/// What the file is: its `schema`.
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
/// The schema that this program writes. Files of schema 1 have no table `meta`.
const SCHEMA: u64 = 2;
/// How many damaged files are kept beside.
const ASIDE_MAX: u32 = 100;

/// Why the file of bans cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file does not open: it is held by another process, or may not be read or written.
    #[error("the ban file `{}` does not open: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// A newer program has written the file.
    #[error("the ban file `{}` has schema {found}, and this program knows schemas up to {SCHEMA}: use the program that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// The file is no such database, or a damaged one.
    #[error("the ban file `{}` is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database said.
        why: String,
    },
    /// The damaged file cannot be put out of the way.
    #[error("the damaged ban file `{}` cannot be set aside: {source}", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A write that the disk refused.
    #[error("the ban file cannot be written: {0}")]
    Access(#[source] Box<redb::Error>),
}

/// The file, held open by one process.
#[derive(Debug)]
pub struct BanStore {
    path: PathBuf,
    database: Option<Database>,
    /// What the file holds: what a write compares with.
    bans: Rows,
    allowed: Rows,
    set_aside: Option<PathBuf>,
}

impl BanStore {
    /// Opens the file, making it with mode 0600 if it is not there. One that is damaged is set aside under another name,
    /// which [`Self::set_aside`] tells, and a new one begun.
    ///
    /// # Errors
    /// When another process holds it, a newer program wrote it, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        match guarded(path, || try_open(path)) {
            Err(StoreError::Damaged { why, .. }) => {
                let aside = set_aside(path)?;
                tracing::error!(
                    kept = %aside.display(),
                    "the ban file is damaged ({why}): it is set aside, and bans begin anew"
                );
                let mut store = guarded(path, || try_open(path))?;
                store.set_aside = Some(aside);
                Ok(store)
            }
            opened => opened,
        }
    }

    /// Returns where a damaged file was put when this one was opened.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Returns the stored bans. A row that cannot be read is left out and logged: one bad row must not free the rest.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        readable(&self.bans, row::ban)
    }

    /// Returns the stored allow-list entries.
    #[must_use]
    pub fn allowed(&self) -> Vec<AllowEntry> {
        readable(&self.allowed, row::entry)
    }

    /// Makes the file hold exactly these, in one transaction; returns how many rows changed. Durable when it returns. A
    /// file that turns out to be damaged is replaced by a new one that holds them.
    ///
    /// # Errors
    /// When the disk refuses; then the file holds what it held.
    pub fn save(&mut self, bans: &[Ban], allowed: &[AllowEntry]) -> Result<usize, StoreError> {
        let bans: Rows = bans.iter().map(|ban| (ban.key.to_string(), row::of_ban(ban))).collect();
        let allowed: Rows =
            allowed.iter().map(|entry| (entry.key.to_string(), row::of_entry(entry))).collect();
        if self.bans == bans && self.allowed == allowed {
            return Ok(0);
        }
        let path = self.path.clone();
        let written = match guarded(&path, || self.write(&bans, &allowed)) {
            Err(StoreError::Damaged { .. }) => {
                self.database = None;
                *self = Self::open(&path)?;
                guarded(&path, || self.write(&bans, &allowed))
            }
            written => written,
        }?;
        (self.bans, self.allowed) = (bans, allowed);
        Ok(written)
    }

    fn write(&self, bans: &Rows, allowed: &Rows) -> Result<usize, StoreError> {
        let access = |error: redb::Error| classed(&self.path, error, StoreError::Access);
        let Some(database) = &self.database else { return Ok(0) };
        let write = database.begin_write().map_err(|error| access(error.into()))?;
        let changes = update(&write, BANS, &self.bans, bans)
            .and_then(|one| Ok(one + update(&write, ALLOWED, &self.allowed, allowed)?))
            .map_err(access)?;
        write.commit().map_err(|error| access(error.into()))?;
        Ok(changes)
    }
}

/// Runs what asks the database. One that was damaged from outside can make it panic, which is an answer as well.
fn guarded<T>(path: &Path, ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| {
        let why = "the database broke off".to_owned();
        Err(StoreError::Damaged { path: path.to_owned(), why })
    })
}

/// Tells damage from everything else that can be wrong.
fn classed(
    path: &Path,
    error: redb::Error,
    other: impl FnOnce(Box<redb::Error>) -> StoreError,
) -> StoreError {
    let is_broken = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
    };
    // What is not known to be damage is not set aside.
    let is_damage = matches!(
        &error,
        redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
    ) || matches!(&error, redb::Error::Io(error) if is_broken(error));
    if is_damage {
        StoreError::Damaged { path: path.to_owned(), why: error.to_string() }
    } else {
        other(Box::new(error))
    }
}

fn try_open(path: &Path) -> Result<BanStore, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let opened = || -> Result<_, redb::Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(redb::Error::Io)?;
        let backend = redb::backends::FileBackend::new(file)?;
        let database = redb::Builder::new().create_with_backend(backend)?;
        let schema = schema(&database)?;
        let known = schema.is_none_or(|schema| schema <= SCHEMA);
        let (bans, allowed) = if known {
            (rows(&database, BANS)?, rows(&database, ALLOWED)?)
        } else {
            (Rows::new(), Rows::new())
        };
        if known && schema != Some(SCHEMA) {
            note_schema(&database)?;
        }
        Ok((database, schema, bans, allowed))
    };
    let (database, schema, bans, allowed) = opened().map_err(|error| classed(path, error, open))?;
    match schema {
        Some(found) if found > SCHEMA => Err(StoreError::Newer { path: path.to_owned(), found }),
        Some(_) | None => {
            let (path, database) = (path.to_owned(), Some(database));
            Ok(BanStore { path, database, bans, allowed, set_aside: None })
        }
    }
}

fn schema(database: &Database) -> Result<Option<u64>, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(table) => Ok(table.get("schema")?.map(|schema| schema.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn note_schema(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(META)?.insert("schema", SCHEMA)?;
    Ok(write.commit()?)
}

fn rows(database: &Database, table: Table) -> Result<Rows, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(table) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Rows::new()),
        Err(error) => return Err(error.into()),
    };
    let mut rows = Rows::new();
    for entry in table.iter()? {
        let (key, row) = entry?;
        rows.insert(key.value().to_owned(), row.value().to_vec());
    }
    Ok(rows)
}

/// Writes the difference between what is stored and what is wanted; returns how many rows it is.
fn update(
    write: &WriteTransaction,
    table: Table,
    stored: &Rows,
    wanted: &Rows,
) -> Result<usize, redb::Error> {
    let mut table = write.open_table(table)?;
    let mut changes = 0;
    for key in stored.keys().filter(|key| !wanted.contains_key(*key)) {
        table.remove(key.as_str())?;
        changes += 1;
    }
    for (key, row) in wanted.iter().filter(|(key, row)| stored.get(*key) != Some(*row)) {
        table.insert(key.as_str(), row.as_slice())?;
        changes += 1;
    }
    Ok(changes)
}

fn readable<T>(rows: &Rows, parse: fn(&str, &[u8]) -> Option<T>) -> Vec<T> {
    let read = |(key, row): (&String, &Vec<u8>)| {
        let parsed = parse(key, row);
        if parsed.is_none() {
            tracing::error!(%key, "a row of the ban file cannot be read and is left out");
        }
        parsed
    };
    rows.iter().filter_map(read).collect()
}

/// Moves the file to the first name beside it that is free.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::SetAside { path: path.to_owned(), source };
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=ASIDE_MAX).map(name).find(|aside| !aside.exists());
    let aside = free.ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(path, &aside).map_err(failed)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
