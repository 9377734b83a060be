//! Rule files from declared directories, for the compiler.

use aws_lc_rs::digest;
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
    expanded: RefCell<Vec<Expanded>>,
}

/// A pattern, the file in which it stands, and what it named.
#[derive(Debug)]
struct Expanded {
    pattern: String,
    from: String,
    names: Vec<String>,
}

/// What a load got from its files. Asking again tells whether a load would give the same.
#[derive(Debug)]
pub(crate) struct Taken {
    roots: Vec<PathBuf>,
    /// SHA-256 of each file.
    read: Vec<(PathBuf, digest::Digest)>,
    expanded: Vec<Expanded>,
}

impl Taken {
    /// Says whether every file and every pattern still gives what it gave.
    pub(crate) fn stands(&self) -> bool {
        let files = RootedFiles::under(self.roots.clone());
        let same = |(path, digest): &(PathBuf, digest::Digest)| {
            let source = files.read(&path.display().to_string(), "");
            source.is_ok_and(|source| sha256(&source.bytes).as_ref() == digest.as_ref())
        };
        let names = |one: &Expanded| files.expand(&one.pattern, &one.from);
        self.read.iter().all(same)
            && self.expanded.iter().all(|one| names(one).is_ok_and(|names| names == one.names))
    }
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

impl RootedFiles {
    /// Allows what stands under `roots`.
    pub(crate) fn under(roots: Vec<PathBuf>) -> Self {
        Self { roots, read: RefCell::default(), expanded: RefCell::default() }
    }

    /// Returns what was read, in the order in which it was asked for, and what there is to compare with later.
    pub(crate) fn into_read(self) -> (Vec<(PathBuf, Vec<u8>)>, Taken) {
        let read = self.read.into_inner();
        let digests = read.iter().map(|(path, bytes)| (path.clone(), sha256(bytes))).collect();
        let expanded = self.expanded.into_inner();
        (read, Taken { roots: self.roots, read: digests, expanded })
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
        let names = self.names(pattern, from)?;
        let (pattern, from) = (pattern.to_owned(), from.to_owned());
        self.expanded.borrow_mut().push(Expanded { pattern, from, names: names.clone() });
        Ok(names)
    }
}

impl RootedFiles {
    fn names(&self, pattern: &str, from: &str) -> Result<Vec<String>, ResolveError> {
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
        assert_eq!(files.into_read().0.len(), 2);
    }

    #[test]
    fn what_was_taken_stands_until_a_file_or_a_name_changes() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.conf", "1");
        let from = folder.path().join("entry.conf").display().to_string();
        let files = RootedFiles::under(vec![folder.path().to_owned()]);
        files.read("a.conf", &from).unwrap();
        files.expand("*.conf", &from).unwrap();
        let (_, taken) = files.into_read();
        assert!(taken.stands());
        write("a.conf", "2");
        assert!(!taken.stands());
        write("a.conf", "1");
        assert!(taken.stands());
        write("b.conf", "");
        assert!(!taken.stands());
        std::fs::remove_file(folder.path().join("b.conf")).unwrap();
        std::fs::remove_file(folder.path().join("a.conf")).unwrap();
        assert!(!taken.stands());
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
