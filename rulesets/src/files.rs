//! Rule files from declared directories, for the compiler.

use seclang::{Resolve, ResolveError, Source};
use std::cell::RefCell;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The most bytes of one file.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// The most bytes of all files of a set.
const SET_BYTES_MAX: u64 = 64 << 20;

/// Reads files under its roots and no others. A path is judged as it is written, so that a symbolic link that
/// stands under a root may lead out of it, as Debian's packages do; `..` may not.
#[derive(Debug)]
pub(crate) struct RootedFiles {
    roots: Vec<PathBuf>,
    read: RefCell<Vec<(PathBuf, Vec<u8>)>>,
}

impl RootedFiles {
    /// Allows what stands under `roots`.
    pub(crate) fn under(roots: Vec<PathBuf>) -> Self {
        Self { roots, read: RefCell::new(Vec::new()) }
    }

    /// Returns what was read, in the order in which it was asked for.
    pub(crate) fn into_read(self) -> Vec<(PathBuf, Vec<u8>)> {
        self.read.into_inner()
    }

    fn locate(&self, path: &str, from: &str) -> Result<PathBuf, ResolveError> {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
        let joined = beside.join(path);
        let place = without_dots(&joined);
        match place.filter(|place| self.roots.iter().any(|root| place.starts_with(root))) {
            Some(place) => Ok(place),
            None => Err(refused(&joined, "it stands outside the directory of the rule set")),
        }
    }

    fn room(&self) -> u64 {
        let read: usize = self.read.borrow().iter().map(|(_, bytes)| bytes.len()).sum();
        SET_BYTES_MAX.saturating_sub(read as u64)
    }
}

impl Resolve for RootedFiles {
    fn read(&self, path: &str, from: &str) -> Result<Source, ResolveError> {
        let place = self.locate(path, from)?;
        let unreadable = |error: std::io::Error| {
            let path = place.display().to_string();
            if error.kind() == std::io::ErrorKind::NotFound {
                return ResolveError::NotFound(path);
            }
            ResolveError::Unreadable { path, reason: error.to_string() }
        };
        let limit = FILE_BYTES_MAX.min(self.room());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&place).map_err(unreadable)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limit {
            return Err(refused(&place, &format!("it has more than {limit} bytes")));
        }
        let name = place.display().to_string();
        self.read.borrow_mut().push((place, bytes.clone()));
        Ok(Source { name, bytes })
    }

    fn expand(&self, pattern: &str, from: &str) -> Result<Vec<String>, ResolveError> {
        let place = self.locate(pattern, from)?;
        let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.contains(['*', '?']) {
            return Ok(place.exists().then(|| place.display().to_string()).into_iter().collect());
        }
        let folder = place.parent().unwrap_or_else(|| Path::new(""));
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<String> =
            names.filter(|found| matches(name.as_bytes(), found.as_bytes())).collect();
        found.sort_unstable();
        Ok(found.into_iter().map(|name| folder.join(name).display().to_string()).collect())
    }
}

fn refused(path: &Path, reason: &str) -> ResolveError {
    ResolveError::Refused { path: path.display().to_string(), reason: reason.to_owned() }
}

/// Returns the path without `.` and `..`; `None` when `..` leads out of it.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => out.push(component),
        }
    }
    Some(out)
}

/// Says whether `name` fits a pattern of `*` and `?`. Linear: a `*` is retried from its last place only.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == name.get(here) => {
                at += 1;
                here += 1;
            }
            Some(_) | None => {
                let Some((place, reached)) = star else { return false };
                star = Some((place, reached + 1));
                (at, here) = (place + 1, reached + 1);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.example", false),
            ("REQUEST-9??-*.conf", "REQUEST-942-SQLI.conf", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
            ("*", "", true),
            ("?", "", false),
            ("abc", "abc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn only_what_stands_under_a_root_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("rules");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a.conf"), "inside").unwrap();
        std::fs::write(folder.path().join("b.conf"), "outside").unwrap();
        let from = root.join("entry.conf").display().to_string();
        let files = RootedFiles::under(vec![root]);
        assert_eq!(files.read("a.conf", &from).unwrap().bytes, b"inside");
        assert_eq!(files.read("./x/../a.conf", &from).unwrap().bytes, b"inside");
        assert!(matches!(files.read("../b.conf", &from), Err(ResolveError::Refused { .. })));
        assert!(matches!(files.read("/etc/hostname", &from), Err(ResolveError::Refused { .. })));
        assert!(matches!(files.read("gone.conf", &from), Err(ResolveError::NotFound(_))));
        assert_eq!(files.expand("*.conf", &from).unwrap().len(), 1);
        assert_eq!(files.expand("gone.conf", &from).unwrap(), Vec::<String>::new());
        assert!(files.expand("../*.conf", &from).is_err());
        assert_eq!(files.into_read().len(), 2);
    }

    #[test]
    fn a_file_over_the_limit_is_refused_and_one_at_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("entry.conf").display().to_string();
        for (size, fits) in
            [(FILE_BYTES_MAX - 1, true), (FILE_BYTES_MAX, true), (FILE_BYTES_MAX + 1, false)]
        {
            let files = RootedFiles::under(vec![folder.path().to_owned()]);
            std::fs::File::create(folder.path().join("big.data")).unwrap().set_len(size).unwrap();
            assert_eq!(files.read("big.data", &from).is_ok(), fits, "{size}");
        }
    }
}
