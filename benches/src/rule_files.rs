//! Rule files as a bench names them: any path, relative to the file that names it.

use std::fs;
use std::path::{Path, PathBuf};

use seclang::{Resolve, ResolveError, Source};

/// The rules that a bench runs: those of the SecLang file named by `PORTCULLIS_BENCH_RULES`, else Debian's CRS.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The SecLang file that includes the rest.
    pub path: PathBuf,
    /// In words, for the head of a record.
    pub set: &'static str,
    /// What the names of records end in.
    pub suffix: &'static str,
}

/// Chooses the rules.
pub fn chosen() -> Chosen {
    match std::env::var_os("PORTCULLIS_BENCH_RULES") {
        Some(path) => Chosen {
            path: path.into(),
            set: "the rules of PORTCULLIS_BENCH_RULES",
            suffix: "crs-4",
        },
        None => Chosen {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/crs-debian.conf"),
            set: "OWASP CRS 3.3 (Debian)",
            suffix: "crs-3",
        },
    }
}

/// Reads whatever the rules name. A bench runs the operator's own files, so nothing is refused.
#[derive(Clone, Copy, Debug)]
pub struct RuleFiles;

impl Resolve for RuleFiles {
    fn read(&self, path: &str, from: &str) -> Result<Source, ResolveError> {
        let place = Path::new(from).parent().unwrap_or_else(|| Path::new("")).join(path);
        let name = place.display().to_string();
        match fs::read(&place) {
            Ok(bytes) => Ok(Source { name, bytes }),
            Err(error) => Err(ResolveError::Unreadable { path: name, reason: error.to_string() }),
        }
    }

    /// Expands one `*` in the last part of the pattern, in the order of the names.
    fn expand(&self, pattern: &str, from: &str) -> Result<Vec<String>, ResolveError> {
        let place = Path::new(from).parent().unwrap_or_else(|| Path::new("")).join(pattern);
        let last = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((before, after)) = last.split_once('*') else {
            return Ok(place.exists().then(|| place.display().to_string()).into_iter().collect());
        };
        let folder = place.parent().unwrap_or_else(|| Path::new(""));
        let fits = |name: &str| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<String> = names.filter(|name| fits(name)).collect();
        found.sort_unstable();
        Ok(found.into_iter().map(|name| folder.join(name).display().to_string()).collect())
    }
}
