//! `check`: every error and lint of files, with carets.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_config::{Diagnostic, Style, render_all};
use serde_json::{Value, json};

use super::{Done, say, say_json};
use crate::compile::compile;
use crate::origin::Origin;

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Configuration files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(check: &Check) -> Done {
    let problems: Vec<(&Path, Vec<Diagnostic>)> =
        check.files.iter().map(|file| (file.as_path(), problems(file))).collect();
    let errors = problems.iter().flat_map(|(_, found)| found).filter(|one| one.is_error()).count();
    if check.json {
        say_json(&problems.iter().map(|(file, found)| view(file, found)).collect::<Vec<_>>())?;
    } else {
        say(&drawn(&problems))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What start-up would say about the file.
fn problems(file: &Path) -> Vec<Diagnostic> {
    let loaded = Origin::File(file.to_owned()).load();
    match loaded.and_then(|loaded| compile(loaded, 1)) {
        Ok((_, warnings)) => warnings,
        Err(report) => report.problems,
    }
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
