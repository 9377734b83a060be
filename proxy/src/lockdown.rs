//! Routes that an operator has closed for a while: every request to one is refused, whoever asks. Kept in a file of the
//! state directory, so that a restart does not open what was closed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_config::Timestamp;
use portcullis_config::model::HostName;
use serde_json::{Map, Value, json};

use crate::atomic_file;

/// Routes that can be closed at one time; far more than a configuration has.
const LOCKDOWNS_MAX: usize = 1024;
/// The largest file that is read: the longest path and reason of every lockdown fit.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A closed route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lockdown {
    /// When it opens by itself.
    pub until: Timestamp,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Every closed route, by its host and path.
#[derive(Debug, Default)]
pub struct Lockdowns {
    by_route: Mutex<BTreeMap<String, Lockdown>>,
    /// What a request looks at first: nearly always nothing is closed.
    is_any: AtomicBool,
    file: Option<PathBuf>,
}

/// Why a lockdown is not placed.
#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    /// There are too many.
    #[error("{LOCKDOWNS_MAX} routes are locked down already: open one first")]
    Full,
    /// The file cannot be written.
    #[error("the lockdown cannot be kept on disk: {0}")]
    Io(#[from] io::Error),
}

impl Lockdowns {
    /// Reads the file of an earlier process; none means that nothing is closed.
    ///
    /// # Errors
    /// When there is a file that cannot be read or is not ours: what was closed is not to be opened by that.
    pub fn open(file: &Path) -> io::Result<Self> {
        let by_route = match std::fs::metadata(file) {
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(_) => parse(&std::fs::read(file)?).ok_or(io::ErrorKind::InvalidData)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let is_any = AtomicBool::new(!by_route.is_empty());
        Ok(Self { by_route: Mutex::new(by_route), is_any, file: Some(file.to_owned()) })
    }

    /// Closes a route, or closes it for another time.
    ///
    /// # Errors
    /// When there are too many, or the disk refuses; then it is not closed.
    pub fn place(
        &self,
        route: &str,
        lockdown: Lockdown,
        now: Timestamp,
    ) -> Result<(), LockdownError> {
        let mut by_route = self.held();
        let mut changed = by_route.clone();
        changed.retain(|_, one| one.until > now);
        if changed.len() >= LOCKDOWNS_MAX && !changed.contains_key(route) {
            return Err(LockdownError::Full);
        }
        changed.insert(route.to_owned(), lockdown);
        Ok(self.change(&mut by_route, changed)?)
    }

    /// Opens a route, or all of them; returns what was closed.
    ///
    /// # Errors
    /// When the disk refuses; then it stays closed.
    pub fn lift(&self, route: Option<&str>, now: Timestamp) -> Result<Vec<String>, LockdownError> {
        let mut by_route = self.held();
        let mut changed = by_route.clone();
        changed.retain(|_, one| one.until > now);
        let named = |one: &String| route.is_none_or(|route| route == one);
        let lifted: Vec<String> = changed.keys().filter(|one| named(one)).cloned().collect();
        changed.retain(|one, _| !named(one));
        self.change(&mut by_route, changed)?;
        Ok(lifted)
    }

    /// Returns what is closed now.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<(String, Lockdown)> {
        let by_route = self.held();
        let closed = by_route.iter().filter(|(_, one)| one.until > now);
        closed.map(|(route, one)| (route.clone(), one.clone())).collect()
    }

    /// Returns when a route opens, if it is closed. Costs one load while nothing is.
    #[must_use]
    pub fn until(&self, host: &HostName, path: &str, now: Timestamp) -> Option<Timestamp> {
        if !self.is_any.load(Ordering::Relaxed) {
            return None;
        }
        let until = self.held().get(&route_name(host, path))?.until;
        (until > now).then_some(until)
    }

    fn change(
        &self,
        by_route: &mut BTreeMap<String, Lockdown>,
        changed: BTreeMap<String, Lockdown>,
    ) -> io::Result<()> {
        if let Some(file) = &self.file {
            atomic_file::replace(file, text(&changed).as_bytes(), atomic_file::SECRET)?;
        }
        self.is_any.store(!changed.is_empty(), Ordering::Relaxed);
        *by_route = changed;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Lockdown>> {
        self.by_route.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A route's name on the command line: its host and its path, one after the other.
#[must_use]
pub fn route_name(host: &HostName, path: &str) -> String {
    format!("{host}{path}")
}

fn text(by_route: &BTreeMap<String, Lockdown>) -> String {
    let entry = |(route, one): (&String, &Lockdown)| {
        (route.clone(), json!({ "until_ms": one.until.as_millis(), "reason": one.reason }))
    };
    Value::Object(by_route.iter().map(entry).collect::<Map<_, _>>()).to_string()
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Lockdown>> {
    let Value::Object(entries) = serde_json::from_slice(bytes).ok()? else { return None };
    let lockdown = |(route, one): (String, Value)| {
        let until = Timestamp::from_millis(one.get("until_ms")?.as_u64()?);
        let reason = one.get("reason").and_then(Value::as_str).map(str::to_owned);
        Some((route, Lockdown { until, reason }))
    };
    entries.into_iter().map(lockdown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn until(secs: u64) -> Lockdown {
        Lockdown { until: at(secs), reason: Some("a \"reason\"".to_owned()) }
    }

    #[test]
    fn a_route_is_closed_until_its_time_or_an_operators_word() {
        let lockdowns = Lockdowns::default();
        let host = HostName::parse("a.test").unwrap();
        assert_eq!(lockdowns.until(&host, "/x", at(1)), None);
        lockdowns.place("a.test/x", until(10), at(1)).unwrap();
        for (path, now, expected) in
            [("/x", 1, Some(10)), ("/x", 9, Some(10)), ("/x", 10, None), ("/y", 1, None)]
        {
            assert_eq!(lockdowns.until(&host, path, at(now)), expected.map(at), "{path} {now}");
        }
        assert_eq!(lockdowns.lift(Some("a.test/y"), at(2)).unwrap(), Vec::<String>::new());
        assert_eq!(lockdowns.lift(None, at(2)).unwrap(), ["a.test/x"]);
        assert_eq!(lockdowns.until(&host, "/x", at(3)), None);
    }

    #[test]
    fn a_restart_opens_nothing_and_a_broken_file_does_not_either() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lockdowns.json");
        Lockdowns::open(&file).unwrap().place("a.test/", until(10), at(1)).unwrap();
        let again = Lockdowns::open(&file).unwrap();
        assert_eq!(again.list(at(2)), [("a.test/".to_owned(), until(10))]);
        assert_eq!(again.list(at(10)), []);
        for broken in ["", "[]", "{\"a\": 1}", "{\"a\": {\"until_ms\": -1}}"] {
            std::fs::write(&file, broken).unwrap();
            assert!(Lockdowns::open(&file).is_err(), "{broken}");
        }
    }

    #[test]
    fn there_is_a_cap_and_what_has_ended_does_not_count() {
        let lockdowns = Lockdowns::default();
        for route in 0..LOCKDOWNS_MAX {
            lockdowns.place(&format!("a.test/{route}"), until(10), at(1)).unwrap();
        }
        assert!(matches!(lockdowns.place("b.test/", until(10), at(1)), Err(LockdownError::Full)));
        lockdowns.place("a.test/1", until(20), at(1)).unwrap();
        lockdowns.place("b.test/", until(20), at(11)).unwrap();
        assert_eq!(lockdowns.list(at(11)).len(), 2);
    }
}
