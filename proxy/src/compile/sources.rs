//! The files that a compilation reads: each read once, whole, under a cap, and all of them in one fingerprint.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::hex::hex;
use aws_lc_rs::digest::{Context, SHA256};
use portcullis_config::model::Places;
use portcullis_config::secret::Secret;
use portcullis_config::{Diagnostic, Loaded, SecretRef, SourceFile};

/// The largest file that is read: a country database is far below it.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Reads files for one compilation; remembers what was read and what went wrong.
pub(super) struct Sources {
    digest: Context,
    files: Vec<PathBuf>,
    /// Where the configuration names each file.
    places: Places,
    /// Errors and warnings so far.
    pub(super) problems: Vec<Diagnostic>,
}

impl Sources {
    pub(super) fn new(loaded: &Loaded) -> Self {
        Self {
            digest: Context::new(&SHA256),
            files: loaded.files.clone(),
            places: loaded.config.places.clone(),
            problems: loaded.warnings.clone(),
        }
    }

    /// Reads a file. `what` says what it is for, such as "the certificate"; a failure is reported and gives `None`.
    pub(super) fn read(&mut self, what: &str, path: &Path) -> Option<Vec<u8>> {
        self.watch(path);
        match read_whole(path) {
            Ok(bytes) => {
                self.hash(path.as_os_str().as_encoded_bytes(), &bytes);
                Some(bytes)
            }
            Err(error) => {
                self.report(unreadable(what, path, &error), path);
                None
            }
        }
    }

    /// Reads a text file; one that is not UTF-8 is reported like one that cannot be read.
    pub(super) fn read_text(&mut self, what: &str, path: &Path) -> Option<SourceFile> {
        let bytes = self.read(what, path)?;
        let name = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Some(SourceFile::new(name, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let message = format!("{what} `{name}` is not UTF-8 (byte {at})");
                let problem = Diagnostic::error("file-unreadable", message);
                self.report(problem.help("save it as UTF-8"), path);
                None
            }
        }
    }

    /// Reads a secret; a failure is reported and gives `None`.
    pub(super) fn read_secret(&mut self, what: &str, secret: &SecretRef) -> Option<Secret> {
        if let Some(path) = secret.path() {
            self.watch(&path);
        }
        match secret.read() {
            Ok(bytes) => {
                self.hash(secret.to_string().as_bytes(), bytes.expose());
                Some(bytes)
            }
            Err(error) => {
                let message = format!("{what}: {error}");
                let help =
                    "give a file of mode 0600 that this user owns, or `env:` or `credential:`";
                let problem = Diagnostic::error("secret-unreadable", message).help(help);
                self.report(problem, &secret.path().unwrap_or_default());
                None
            }
        }
    }

    /// Adds a file or directory whose change is worth a reload.
    pub(super) fn watch(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
    }

    /// Adds something that was read elsewhere to the fingerprint. Name and content are length-prefixed.
    pub(super) fn hash(&mut self, name: &[u8], content: &[u8]) {
        for part in [name, content] {
            self.digest.update(&(part.len() as u64).to_be_bytes());
            self.digest.update(part);
        }
    }

    /// Reports a problem with `path`, where the configuration names it.
    pub(super) fn report(&mut self, problem: Diagnostic, path: &Path) {
        self.problems.push(self.places.placed(problem, path));
    }

    /// Returns the fingerprint in hex, the files, and the problems.
    pub(super) fn finish(self) -> (String, Vec<PathBuf>, Vec<Diagnostic>) {
        (hex(self.digest.finish().as_ref()), self.files, self.problems)
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    let kind = error.kind();
    let help = if kind == io::ErrorKind::NotFound {
        "create the file, or correct the path in the configuration"
    } else if kind == io::ErrorKind::PermissionDenied {
        "let the user that runs portcullis read it"
    } else if kind == io::ErrorKind::IsADirectory {
        "name a file in it"
    } else {
        "see that the file can be read whole"
    };
    Diagnostic::error("file-unreadable", format!("{what} `{shown}` cannot be read: {kind}"))
        .help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded() -> Loaded {
        let mut loaded = portcullis_config::embedded_default(Path::new("data")).unwrap();
        loaded.warnings.clear();
        loaded
    }

    #[test]
    fn a_file_that_cannot_be_read_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources::new(&loaded());
        assert!(sources.read("the list", &dir.path().join("none.txt")).is_none());
        assert!(sources.read("the list", dir.path()).is_none());
        let (_, files, problems) = sources.finish();
        assert!(files.ends_with(&[dir.path().join("none.txt"), dir.path().to_owned()]));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].message.contains("none.txt` cannot be read: entity not found"));
        assert!(problems[0].help.as_deref().unwrap().contains("create the file"));
        assert!(problems[1].message.contains("is a directory"));
    }

    #[test]
    fn the_fingerprint_follows_names_and_contents() {
        let fingerprint = |parts: &[(&str, &str)]| {
            let mut sources = Sources::new(&loaded());
            parts.iter().for_each(|(name, text)| sources.hash(name.as_bytes(), text.as_bytes()));
            sources.finish().0
        };
        let one = fingerprint(&[("a", "x")]);
        assert_eq!(one.len(), 64);
        assert_eq!(one, fingerprint(&[("a", "x")]));
        for other in [&[("a", "y")][..], &[("b", "x")], &[("ax", "")], &[("a", "x"), ("", "")]] {
            assert_ne!(one, fingerprint(other));
        }
    }
}
