//! `check`: every error and lint of files, with carets.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_config::armor::lint::{Strictness, lint_policy};
use portcullis_config::{Diagnostic, SourceFile, Style, armor, render_all};
use serde_json::{Value, json};

use super::{Done, say, say_json};
use crate::compile::compile_as;
use crate::origin::Origin;

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Configuration files, or security policies on their own.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Refuse the project's extensions and what exceeds Google's limits.
    #[arg(long)]
    strict_gcp: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(check: &Check) -> Done {
    let problems: Vec<(&Path, Vec<Diagnostic>)> = check
        .files
        .iter()
        .map(|file| (file.as_path(), problems(file, check.strictness())))
        .collect();
    let errors = problems.iter().flat_map(|(_, found)| found).filter(|one| one.is_error()).count();
    if check.json {
        say_json(&problems.iter().map(|(file, found)| view(file, found)).collect::<Vec<_>>())?;
    } else {
        say(&drawn(&problems))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Check {
    const fn strictness(&self) -> Strictness {
        if self.strict_gcp { Strictness::Gcp } else { Strictness::Native }
    }
}

/// What start-up would say about a configuration, or what can be said about a policy on its own.
fn problems(file: &Path, strictness: Strictness) -> Vec<Diagnostic> {
    match fs::read_to_string(file) {
        Ok(text) if is_policy(&text) => {
            of_policy(&SourceFile::new(file.display().to_string(), text), strictness)
        }
        // What cannot be read is said by the loader.
        Ok(_) | Err(_) => of_configuration(file, strictness),
    }
}

fn of_configuration(file: &Path, strictness: Strictness) -> Vec<Diagnostic> {
    let loaded = Origin::File(file.to_owned()).load();
    match loaded.and_then(|loaded| compile_as(loaded, 1, strictness)) {
        Ok((_, warnings)) => warnings,
        Err(report) => report.problems,
    }
}

/// Lists, rule sets and databases belong to a configuration: what a policy needs of them is not looked for here.
fn of_policy(source: &SourceFile, strictness: Strictness) -> Vec<Diagnostic> {
    match armor::parse(source) {
        Ok((policy, mut warnings)) => {
            warnings.extend(lint_policy(&policy, strictness));
            warnings
        }
        Err(problems) => problems,
    }
}

/// A policy has `rules` at its top, in YAML or JSON; a configuration has `listeners`.
fn is_policy(text: &str) -> bool {
    let is_configuration = text.lines().any(|line| line.starts_with("listeners:"));
    let has_rules = text.lines().any(|line| line.starts_with("rules:"));
    !is_configuration && (has_rules || text.trim_start().starts_with(['{', '[']))
}

fn drawn(problems: &[(&Path, Vec<Diagnostic>)]) -> String {
    let style = if std::io::stdout().is_terminal() { Style::Colour } else { Style::Plain };
    let mut text = String::new();
    for (file, found) in problems {
        text.push_str(&render_all(found, style));
        let errors = found.iter().filter(|one| one.is_error()).count();
        let warnings = found.len() - errors;
        let verdict = if errors == 0 { "good" } else { "refused" };
        let counts = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
        text.push_str(&format!("{}: {verdict} ({counts})\n", file.display()));
    }
    text
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn view(file: &Path, found: &[Diagnostic]) -> Value {
    let one = |problem: &Diagnostic| {
        let at = problem.at.as_ref().map(|at| {
            json!({
                "file": at.file.name(), "line": at.line, "column": at.column,
                "start": at.span.start, "end": at.span.end,
            })
        });
        json!({
            "severity": if problem.is_error() { "error" } else { "warning" },
            "code": problem.code, "message": problem.message, "help": problem.help, "at": at,
        })
    };
    json!({
        "file": file.display().to_string(),
        "good": !found.iter().any(Diagnostic::is_error),
        "problems": found.iter().map(one).collect::<Vec<_>>(),
    })
}
