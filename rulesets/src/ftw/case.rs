//! Cases, read and checked.

use super::format::{Bare, File, Output, Status};
use super::request::Request;
use regex::bytes::{Regex, RegexBuilder};
use std::path::{Path, PathBuf};

/// One case of a tree.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, such as `942100-3`.
    pub name: String,
    /// The file it stands in, relative to the tree.
    pub file: String,
    /// The rule that it is about, where its file or its name says.
    pub rule_id: Option<u32>,
    /// Its requests, in order.
    pub stages: Vec<Stage>,
}

/// One request of a case with what is expected.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The request.
    pub request: Request,
    /// What is expected.
    pub expected: Expectation,
}

/// What a stage expects.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Rules that must fire.
    pub fire: Vec<u32>,
    /// Rules that must not fire.
    pub stay: Vec<u32>,
    /// What the log lines of the rules that fired must match.
    pub log: Option<Regex>,
    /// What they must not match.
    pub no_log: Option<Regex>,
    /// Whether the web server is to refuse the request before any rule runs.
    pub refused: bool,
    /// The statuses of which the answer must have one; empty: any.
    pub statuses: Vec<u16>,
}

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file or folder cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what a regression tree holds.
    #[error("`{path}`: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads every `.yaml` and `.yml` below a folder, in the order of their paths. Empty files hold no case.
pub fn read(tree: &Path) -> Result<Vec<Case>, TreeError> {
    let mut files = Vec::new();
    collect(tree, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let bytes = std::fs::read_to_string(&path);
        let text = bytes.map_err(|source| TreeError::Unreadable { path: path.clone(), source })?;
        if text.trim().is_empty() {
            continue;
        }
        let malformed = |reason: String| TreeError::Malformed { path: path.clone(), reason };
        let file: File = serde_saphyr::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        let shown = path.strip_prefix(tree).unwrap_or(&path).display().to_string();
        cases.extend(cases_of(file, &shown).map_err(malformed)?);
    }
    Ok(cases)
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), TreeError> {
    let unreadable = |source| TreeError::Unreadable { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            into.push(path);
        }
    }
    Ok(())
}

fn cases_of(file: File, shown: &str) -> Result<Vec<Case>, String> {
    let mut cases = Vec::with_capacity(file.tests.len());
    for test in file.tests {
        let name = match (test.test_title, file.rule_id, test.test_id) {
            (Some(title), _, _) => title,
            (None, Some(rule), Some(test)) => format!("{rule}-{test}"),
            (None, None, _) | (None, Some(_), None) => return Err("a case has no name".to_owned()),
        };
        let mut stages = Vec::with_capacity(test.stages.len());
        for stage in test.stages {
            let stage = stage.stage.unwrap_or_else(|| Bare {
                input: stage.input.unwrap_or_default(),
                output: stage.output.unwrap_or_default(),
            });
            let request = Request::of(&stage.input).map_err(|why| format!("{name}: {why}"))?;
            let expected = expectation(stage.output).map_err(|why| format!("{name}: {why}"))?;
            stages.push(Stage { request, expected });
        }
        let named = name.split('-').next().and_then(|id| id.parse().ok());
        let rule_id = file.rule_id.or(named);
        cases.push(Case { name, file: shown.to_owned(), rule_id, stages });
    }
    Ok(cases)
}

fn expectation(output: Output) -> Result<Expectation, String> {
    let log = output.log.unwrap_or_default();
    let asks_log = !log.expect_ids.is_empty()
        || !log.no_expect_ids.is_empty()
        || log.match_regex.is_some()
        || log.no_match_regex.is_some();
    let statuses = match output.status {
        Some(Status::One(status)) => vec![status],
        Some(Status::Any(statuses)) => statuses,
        None => Vec::new(),
    };
    let mut expected = Expectation {
        refused: statuses.contains(&400)
            || (statuses.is_empty() && output.expect_error == Some(true) && !asks_log),
        fire: log.expect_ids,
        stay: log.no_expect_ids,
        log: log.match_regex.as_deref().map(pattern).transpose()?,
        no_log: log.no_match_regex.as_deref().map(pattern).transpose()?,
        statuses,
    };
    expected.fire.extend(output.log_contains.as_deref().map(id_in).transpose()?);
    expected.stay.extend(output.no_log_contains.as_deref().map(id_in).transpose()?);
    Ok(expected)
}

fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).unicode(false).size_limit(1 << 22).build();
    built.map_err(|error| format!("`{text}`: {error}"))
}

/// Reads the id in `id "920100"`.
fn id_in(text: &str) -> Result<u32, String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("`{text}` names no rule"))
}
