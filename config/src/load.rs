//! From files to a [`Config`]: what `check`, start-up and reload have in common.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, SourceFile, Style, render_all};
use crate::file::{self, Files};
use crate::model::Config;
use crate::secret::why;

/// The configuration of `portcullis run` without a file.
const DEFAULT: &str = include_str!("../examples/development.yaml");
/// The name under which problems of [`DEFAULT`] would be shown.
const DEFAULT_NAME: &str = "embedded default";
/// The largest configuration file that is read; a hundred hosts are far below it.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A configuration that can be used, with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Lints, in the order of the text.
    pub warnings: Vec<Diagnostic>,
    /// The file itself and everything it names: what a reload watches.
    pub files: Vec<PathBuf>,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Report {
    /// Every problem, in the order of the text: the errors, at least one, and the lints between them.
    pub problems: Vec<Diagnostic>,
    /// The file itself and everything it names that could be made out: a reload watches them for the mending.
    pub files: Vec<PathBuf>,
}

impl Report {
    /// Returns the problems that stop the load.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.problems.iter().filter(|problem| problem.is_error())
    }

    /// Draws every problem with its caret.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        render_all(&self.problems, style)
    }
}

/// One line per error, as a log takes it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.errors().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reads the configuration file at `path`; paths in it are relative to its directory.
///
/// # Errors
/// Every error of the file, and of the files and secrets it names as far as they have to be there.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    match read(path) {
        Ok(text) => {
            let base = path.parent().unwrap_or_else(|| Path::new(""));
            decode(&SourceFile::new(name, text), base, Files::Checked, vec![path.to_owned()])
        }
        Err(problem) => Err(Report { problems: vec![problem], files: vec![path.to_owned()] }),
    }
}

/// Reads a configuration from a text; `name` is shown in problems, paths in it are relative to `base_dir`.
///
/// # Errors
/// As [`load`].
pub fn load_str(name: &str, text: &str, base_dir: &Path) -> Result<Loaded, Report> {
    decode(&SourceFile::new(name, text), base_dir, Files::Checked, Vec::new())
}

/// Returns the configuration of `portcullis run` without a file, with everything it names under `data_dir`.
///
/// The files it names are not looked for: whoever starts the process makes them first.
///
/// # Errors
/// Only when `data_dir` is too long for a Unix socket's path.
pub fn embedded_default(data_dir: &Path) -> Result<Loaded, Report> {
    decode(&SourceFile::new(DEFAULT_NAME, DEFAULT), data_dir, Files::MadeLater, Vec::new())
}

fn decode(
    source: &SourceFile,
    base: &Path,
    files: Files,
    own: Vec<PathBuf>,
) -> Result<Loaded, Report> {
    let decoded = file::decode(source, base, files);
    let mut files = own;
    files.extend(decoded.files);
    let refused = decoded.problems.iter().any(Diagnostic::is_error);
    match decoded.config {
        Some(config) if !refused => Ok(Loaded { config, warnings: decoded.problems, files }),
        Some(_) | None => Err(Report { problems: decoded.problems, files }),
    }
}

fn read(path: &Path) -> Result<String, Diagnostic> {
    let unreadable = |why: &dyn fmt::Display| {
        Diagnostic::error("unreadable-file", format!("cannot read `{}`: {why}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(&why(&error)))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&why(&error)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&"it is larger than 8 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(&format!("it is not UTF-8 (byte {at})"))
    })
}
