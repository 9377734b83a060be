//! A rule set by name, compiled at a level.

use crate::builtin;
use crate::category::Category;
use crate::files::{RootedFiles, Taken};
use crate::layout::{self, Entry};
use aws_lc_rs::digest;
use seclang::{Diagnostic, Program, Resolve, ResolveError, Severity};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a set's rules are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A directory of the OWASP Core Rule Set, 3.3 or 4: Debian's layout, a release or a checkout.
    Crs(PathBuf),
    /// A set that the binary carries, by name: `core`.
    Builtin(String),
    /// A directory of `.conf` files, taken in the order of their names.
    Directory(PathBuf),
}

impl Source {
    /// Finds what an operator means by `name`: a built-in set, a directory of the OWASP CRS in any of its layouts, or a
    /// directory of `.conf` files.
    pub fn find(name: &str) -> Self {
        if builtin::NAMES.contains(&name) {
            return Self::Builtin(name.to_owned());
        }
        let folder = PathBuf::from(name);
        let is_crs = folder.join("owasp-crs.load").is_file() || folder.join("rules").is_dir();
        if is_crs { Self::Crs(folder) } else { Self::Directory(folder) }
    }
}

/// A compiled rule set with what is known of its rules.
#[derive(Debug)]
pub struct RuleSet {
    name: String,
    level: u8,
    program: Arc<Program>,
    fingerprint: String,
    rules: BTreeMap<u32, Placed>,
}

/// What a rule is about and at which level it runs.
#[derive(Clone, Copy, Debug)]
struct Placed {
    category: Option<Category>,
    level: Option<u8>,
    severity: Option<u8>,
}

/// What a load gives.
#[derive(Debug)]
pub struct Loaded {
    /// The set.
    pub set: Arc<RuleSet>,
    /// What was accepted and has no effect.
    pub warnings: Vec<Diagnostic>,
    /// Every file that was read, to be watched.
    pub files: Vec<PathBuf>,
    /// What it was made of.
    made_of: MadeOf,
}

/// What a set was made of, apart from its level.
#[derive(Debug)]
struct MadeOf {
    source: Source,
    /// What was compiled, the level in it.
    text: String,
    /// Nothing of a built-in set comes from files.
    taken: Option<Taken>,
}

impl Loaded {
    /// Says whether loading `source` at `level` now would give this set again. Costs reading its files, a small part of
    /// what loading costs.
    pub fn is_current(&self, source: &Source, level: u8) -> bool {
        let MadeOf { source: known, text, taken } = &self.made_of;
        known == source
            && entry(source, level).is_ok_and(|entry| entry.text == *text)
            && taken.as_ref().is_none_or(Taken::stands)
    }
}

/// What to compile.
fn entry(source: &Source, level: u8) -> Result<Entry, String> {
    let action = layout::level_action(level);
    match source {
        Source::Crs(folder) => layout::crs(&absolute(folder), &action),
        Source::Directory(folder) => layout::directory(&absolute(folder), level),
        Source::Builtin(name) => {
            let includes =
                builtin_files(name)?.iter().map(|(file, _)| format!("Include \"{file}\"\n"));
            let text = action + &includes.collect::<String>();
            Ok(Entry { name: "(built-in)".to_owned(), text, roots: Vec::new() })
        }
    }
}

fn builtin_files(name: &str) -> Result<builtin::Files, String> {
    builtin::files(name).ok_or_else(|| {
        let known = builtin::NAMES.join("`, `");
        format!("`{name}` is no built-in set; there is `{known}`")
    })
}

impl RuleSet {
    /// Reads and compiles a set so that rules up to paranoia level `level` (1 to 4) run. Every error that can be
    /// found is reported.
    pub fn load(name: &str, source: &Source, level: u8) -> Result<Loaded, Vec<Diagnostic>> {
        if !(1..=4).contains(&level) {
            return Err(vec![refusal(name, format!("level {level} is not from 1 to 4"))]);
        }
        let refused = |message| vec![refusal(name, message)];
        let entry = entry(source, level).map_err(refused)?;
        match source {
            Source::Builtin(builtin) => {
                let files = builtin_files(builtin).map_err(refused)?;
                let compiled = Program::compile(&entry.name, &entry.text, &Embedded(files))?;
                let bytes = files.iter().map(|(_, text)| text.as_bytes());
                let set = Self::new(name, level, compiled.program, &entry.text, bytes);
                let made_of = MadeOf { source: source.clone(), text: entry.text, taken: None };
                let set = Arc::new(set);
                Ok(Loaded { set, warnings: compiled.notes, files: Vec::new(), made_of })
            }
            Source::Crs(_) | Source::Directory(_) => Self::load_files(name, source, entry, level),
        }
    }

    /// Reads a CRS directory at level 4 with SecLang of the caller's between the set-up and the rules.
    pub(crate) fn load_with(folder: &Path, after_setup: &str) -> Result<Loaded, Vec<Diagnostic>> {
        let shown = folder.display().to_string();
        let entry = layout::crs(&absolute(folder), &(layout::level_action(4) + after_setup));
        let entry = entry.map_err(|message| vec![refusal(&shown, message)])?;
        Self::load_files(&shown, &Source::Crs(folder.to_owned()), entry, 4)
    }

    fn load_files(
        name: &str,
        source: &Source,
        entry: Entry,
        level: u8,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let files = RootedFiles::under(entry.roots);
        let compiled = Program::compile(&entry.name, &entry.text, &files)?;
        let (mut read, taken) = files.into_read();
        let bytes = read.iter().map(|(_, bytes)| bytes.as_slice());
        let set = Self::new(name, level, compiled.program, &entry.text, bytes);
        read.sort_by(|a, b| a.0.cmp(&b.0));
        read.dedup_by(|a, b| a.0 == b.0);
        let files = read.into_iter().map(|(path, _)| path).collect();
        let made_of = MadeOf { source: source.clone(), text: entry.text, taken: Some(taken) };
        Ok(Loaded { set: Arc::new(set), warnings: compiled.notes, files, made_of })
    }

    fn new<'b>(
        name: &str,
        level: u8,
        program: Program,
        text: &'b str,
        files: impl Iterator<Item = &'b [u8]>,
    ) -> Self {
        let place = |info: &seclang::RuleInfo| {
            let category = Category::of(info.id, &info.tags);
            // Two rules of CRS 3.3 that look for attacks carry no level; they stand where those of level 1 do.
            let looks = category.is_some() && info.severity.is_some();
            let level = info.paranoia.or_else(|| looks.then_some(1));
            (info.id, Placed { category, level, severity: info.severity })
        };
        let rules = program.rules().iter().map(place).collect();
        let fingerprint = fingerprint(std::iter::once(text.as_bytes()).chain(files));
        Self { name: name.to_owned(), level, program: Arc::new(program), fingerprint, rules }
    }

    /// Returns the name that the configuration gave the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the paranoia level up to which rules run.
    pub const fn run_level(&self) -> u8 {
        self.level
    }

    /// Returns the compiled rules.
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Returns the SHA-256 of all that was read and of the level, in hexadecimal: two sets with one fingerprint
    /// decide alike.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Says whether the set holds a rule.
    pub fn contains(&self, rule_id: u32) -> bool {
        self.rules.contains_key(&rule_id)
    }

    /// Returns what a rule is about.
    pub fn category(&self, rule_id: u32) -> Option<Category> {
        self.rules.get(&rule_id)?.category
    }

    /// Returns the paranoia level of a rule; `None` for one that only prepares or evaluates.
    pub fn level(&self, rule_id: u32) -> Option<u8> {
        self.rules.get(&rule_id)?.level
    }

    /// Returns what a match of the rule adds to an anomaly score, as the Core Rule Set weighs its severities.
    pub fn score(&self, rule_id: u32) -> u32 {
        match self.rules.get(&rule_id).and_then(|placed| placed.severity) {
            Some(0..=2) => 5,
            Some(3) => 4,
            Some(4) => 3,
            Some(_) | None => 2,
        }
    }

    /// Returns the detection rules of a category with their levels, by id.
    pub fn ids(&self, category: Category) -> impl Iterator<Item = (u32, u8)> {
        self.rules.iter().filter_map(move |(id, placed)| {
            (placed.category == Some(category)).then_some((*id, placed.level?))
        })
    }
}

/// A set names its own files, so that a folder has to be the same wherever a path is read.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

fn fingerprint<'b>(parts: impl Iterator<Item = &'b [u8]>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refusal(file: &str, message: String) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line: 0,
        column: 0,
        span: 0,
        text: String::new(),
        message,
        help: None,
        severity: Severity::Error,
    }
}

/// Hands the compiler the files of a built-in set.
struct Embedded(builtin::Files);

impl Resolve for Embedded {
    fn read(&self, path: &str, _from: &str) -> Result<seclang::Source, ResolveError> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        let (name, text) = found.ok_or_else(|| ResolveError::NotFound(path.to_owned()))?;
        Ok(seclang::Source { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() })
    }

    fn expand(&self, pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
        let names = self.0.iter().map(|(name, _)| (*name).to_owned());
        Ok(names.filter(|name| name == pattern).collect())
    }
}

#[cfg(test)]
mod tests;
