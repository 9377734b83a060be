//! What operators have revoked by command: held in memory as a list that every request is asked against, and kept in a
//! file of the state directory, so that a restart brings nothing back to life.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use portcullis_config::Timestamp;
use portcullis_identity::revocation::{Revocation, Revocations, Revoked};
use serde_json::{Value, json};

use crate::atomic_file;

/// The most entries: each change writes them all. A longer list is `identity.revocations`.
pub(crate) const ENTRIES_MAX: usize = 10_000;
/// The largest file that is read: the longest names and reasons of every entry fit.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 256;

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Only what was issued before this moment; `None` for everything, also what will be issued.
    pub before: Option<Timestamp>,
    /// When it was revoked.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Every entry, by what it names.
#[derive(Debug, Default)]
pub struct RevocationBook {
    entries: Mutex<BTreeMap<Revoked, Entry>>,
    list: ArcSwap<Revocations>,
    file: Option<PathBuf>,
}

/// Why something is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// There are too many.
    #[error(
        "{ENTRIES_MAX} entries are revoked already: undo some, or list them in the file of `identity.revocations`"
    )]
    Full,
    /// The file cannot be written.
    #[error("the revocation cannot be kept on disk: {0}")]
    Io(#[from] io::Error),
}

impl RevocationBook {
    /// Reads the file of an earlier process; none means that nothing is revoked.
    ///
    /// # Errors
    /// When there is a file that cannot be read or is not ours: what was revoked is not to be accepted by that.
    pub fn open(file: &Path) -> io::Result<Self> {
        let entries = match atomic_file::read(file, FILE_BYTES_MAX)? {
            Some(bytes) => parse(&bytes).ok_or(io::ErrorKind::InvalidData)?,
            None => BTreeMap::new(),
        };
        let list = ArcSwap::from_pointee(index(&entries));
        Ok(Self { entries: Mutex::new(entries), list, file: Some(file.to_owned()) })
    }

    /// Returns the list that a request is asked against.
    #[must_use]
    pub fn list(&self) -> Guard<Arc<Revocations>> {
        self.list.load()
    }

    /// Revokes; the next request is asked against it. A second entry for the same reaches as far as the farther one:
    /// only [`Self::undo`] takes something back. Returns the entry as it stands.
    ///
    /// # Errors
    /// When there are too many, or the disk refuses; then it is not revoked.
    pub fn revoke(&self, what: Revoked, entry: Entry) -> Result<Entry, RevocationError> {
        let mut entries = self.held();
        let mut changed = entries.clone();
        let before = match changed.get(&what) {
            None if changed.len() >= ENTRIES_MAX => return Err(RevocationError::Full),
            None => entry.before,
            Some(old) => old.before.zip(entry.before).map(|(old, new)| old.max(new)),
        };
        let reason = entry.reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        let entry = Entry { before, reason, ..entry };
        changed.insert(what, entry.clone());
        self.change(&mut entries, changed)?;
        Ok(entry)
    }

    /// Takes an entry back; `None` if there is none.
    ///
    /// # Errors
    /// When the disk refuses; then it stands.
    pub fn undo(&self, what: &Revoked) -> Result<Option<Entry>, RevocationError> {
        let mut entries = self.held();
        let mut changed = entries.clone();
        let undone = changed.remove(what);
        if undone.is_some() {
            self.change(&mut entries, changed)?;
        }
        Ok(undone)
    }

    /// Returns every entry.
    #[must_use]
    pub fn entries(&self) -> Vec<(Revoked, Entry)> {
        self.held().iter().map(|(what, entry)| (what.clone(), entry.clone())).collect()
    }

    fn change(
        &self,
        entries: &mut BTreeMap<Revoked, Entry>,
        changed: BTreeMap<Revoked, Entry>,
    ) -> io::Result<()> {
        if let Some(file) = &self.file {
            atomic_file::replace(file, text(&changed).as_bytes(), atomic_file::SECRET)?;
        }
        self.list.store(Arc::new(index(&changed)));
        *entries = changed;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Revoked, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(entries: &BTreeMap<Revoked, Entry>) -> Revocations {
    let entries = entries.iter().map(|(what, entry)| Revocation {
        what: what.clone(),
        before: entry.before,
        until: None,
    });
    Revocations::new(entries, Timestamp::default()).expect("the book's cap is below the list's")
}

fn text(entries: &BTreeMap<Revoked, Entry>) -> String {
    let rows = entries.iter().map(|(what, entry)| {
        json!({
            "what": what.to_string(),
            "before_ms": entry.before.map(Timestamp::as_millis),
            "since_ms": entry.since.as_millis(),
            "by": entry.by,
            "reason": entry.reason,
        })
    });
    Value::Array(rows.collect()).to_string()
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<Revoked, Entry>> {
    let Value::Array(rows) = serde_json::from_slice(bytes).ok()? else { return None };
    if rows.len() > ENTRIES_MAX {
        return None;
    }
    let row = |row: &Value| {
        let before = row.get("before_ms")?;
        let before =
            if before.is_null() { None } else { Some(Timestamp::from_millis(before.as_u64()?)) };
        let entry = Entry {
            before,
            since: Timestamp::from_millis(row.get("since_ms")?.as_u64()?),
            by: row.get("by")?.as_str()?.to_owned(),
            reason: row.get("reason")?.as_str().map(str::to_owned),
        };
        Some((row.get("what")?.as_str()?.parse().ok()?, entry))
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Revoked {
        Revoked::Tenant(name.to_owned())
    }

    fn before(secs: Option<u64>) -> Entry {
        Entry {
            before: secs.map(Timestamp::from_secs),
            since: Timestamp::from_secs(5),
            by: "ada".to_owned(),
            reason: Some("a \"reason\"".to_owned()),
        }
    }

    #[test]
    fn a_restart_brings_nothing_back_and_a_broken_file_does_not_either() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("revocations.json");
        let book = RevocationBook::open(&file).unwrap();
        book.revoke(tenant("acme"), before(Some(9))).unwrap();
        book.revoke("key:main/k1".parse().unwrap(), before(None)).unwrap();
        let again = RevocationBook::open(&file).unwrap();
        assert_eq!(again.entries(), book.entries());
        assert_eq!(again.list().len(), 2);
        assert_eq!(again.undo(&tenant("other")).unwrap(), None);
        assert_eq!(again.undo(&tenant("acme")).unwrap(), Some(before(Some(9))));
        assert_eq!(RevocationBook::open(&file).unwrap().list().len(), 1);
        for broken in ["", "{}", "[1]", "[{\"what\":\"acme\"}]"] {
            std::fs::write(&file, broken).unwrap();
            assert!(RevocationBook::open(&file).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_second_entry_never_reaches_less_far() {
        let book = RevocationBook::default();
        for (new, stands) in [
            (Some(9), Some(9)),
            (Some(3), Some(9)),
            (Some(11), Some(11)),
            (None, None),
            (Some(20), None),
        ] {
            let entry = book.revoke(tenant("acme"), before(new)).unwrap();
            assert_eq!(entry.before, stands.map(Timestamp::from_secs));
        }
    }

    #[test]
    fn entries_are_kept_up_to_the_cap() {
        let book = RevocationBook::default();
        let most_but_two: BTreeMap<_, _> =
            (2..ENTRIES_MAX).map(|n| (tenant(&n.to_string()), before(None))).collect();
        book.change(&mut book.held(), most_but_two).unwrap();
        for (what, name, is_full) in
            [("one under", "0", false), ("at it", "1", false), ("one over", "x", true)]
        {
            let revoked = book.revoke(tenant(name), before(None));
            assert_eq!(matches!(revoked, Err(RevocationError::Full)), is_full, "{what}");
        }
        book.revoke(tenant("7"), before(None)).unwrap();
        book.undo(&tenant("7")).unwrap();
        book.revoke(tenant("x"), before(None)).unwrap();
    }
}
