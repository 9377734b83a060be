//! Rule files from a directory.

use std::path::{Path, PathBuf};

use seclang::{Resolve, ResolveError, Source};

/// Reads below no particular root: a measurement names its own directories.
pub(crate) struct Files;

impl Resolve for Files {
    fn read(&self, path: &str, from: &str) -> Result<Source, ResolveError> {
        let path = beside(path, from);
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Source { name, bytes }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ResolveError::NotFound(name))
            }
            Err(error) => Err(ResolveError::Unreadable { path: name, reason: error.to_string() }),
        }
    }

    fn expand(&self, pattern: &str, from: &str) -> Result<Vec<String>, ResolveError> {
        let path = beside(pattern, from);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((before, after)) = name.split_once('*') else {
            return Ok(path.exists().then(|| path.display().to_string()).into_iter().collect());
        };
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        let Ok(entries) = std::fs::read_dir(directory) else { return Ok(Vec::new()) };
        let mut found: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(before) && name.ends_with(after))
            .map(|name| directory.join(name).display().to_string())
            .collect();
        found.sort();
        Ok(found)
    }
}

fn beside(path: &str, from: &str) -> PathBuf {
    let path = Path::new(path);
    if path.is_absolute() {
        return path.to_owned();
    }
    Path::new(from).parent().unwrap_or_else(|| Path::new(".")).join(path)
}
