//! `check`: every error and lint of files, with carets.

mod capacity;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use portcullis_config::armor::lint::{self, Strictness, lint_policy};
use portcullis_config::model::Capture;
use portcullis_config::{Diagnostic, SourceFile, Style, Timestamp, armor, render_all};
use portcullis_policy::{Policy, Served};
use serde_json::{Value, json};

use super::{Done, say, say_json, table};
use crate::clock::{Clock, System};
use crate::compile::compile_as;
use crate::origin::Origin;
use crate::reload::probe;
use crate::trial::Tested;

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Configuration files, or security policies on their own.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Refuse the project's extensions and what exceeds Google's limits.
    #[arg(long)]
    strict_gcp: bool,
    /// Add up what the limits let the process hold, and warn where that is more than there is.
    #[arg(long, conflicts_with = "strict_gcp")]
    capacity: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(check: &Check) -> Done {
    if check.capacity {
        return capacity::run(&check.files, check.json);
    }
    let checked: Vec<Checked<'_>> =
        check.files.iter().map(|file| checked(file, check.strictness())).collect();
    if check.json {
        say_json(&checked.iter().map(view).collect::<Vec<_>>())?;
    } else {
        say(&drawn(&checked))?;
    }
    let good = checked.iter().all(Checked::is_good);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found out about one file.
struct Checked<'f> {
    file: &'f Path,
    problems: Vec<Diagnostic>,
    /// Of a configuration that compiles: by policy, which loaded rule set answers for each preconfigured set.
    served: Vec<(String, Vec<Served>)>,
    /// Of a configuration that compiles: what of its requests is kept whole, in words.
    captures: Option<String>,
    /// Of a configuration that compiles: how the tests went that it names.
    tested: Tested,
}

impl<'f> Checked<'f> {
    fn of(file: &'f Path) -> Self {
        let tested = Tested::default();
        Self { file, problems: Vec::new(), served: Vec::new(), captures: None, tested }
    }

    fn is_good(&self) -> bool {
        !self.problems.iter().any(Diagnostic::is_error)
    }
}

impl Check {
    const fn strictness(&self) -> Strictness {
        if self.strict_gcp { Strictness::Gcp } else { Strictness::Native }
    }
}

/// What start-up would say about a configuration, or what can be said about a policy on its own.
fn checked(file: &Path, strictness: Strictness) -> Checked<'_> {
    let now = System::new().now();
    match fs::read_to_string(file) {
        Ok(text) if is_policy(&text) => {
            let source = SourceFile::new(file.display().to_string(), text);
            Checked { problems: of_policy(&source, strictness, now), ..Checked::of(file) }
        }
        // What cannot be read is said by the loader.
        Ok(_) | Err(_) => of_configuration(file, strictness, now),
    }
}

fn of_configuration(file: &Path, strictness: Strictness, now: Timestamp) -> Checked<'_> {
    let loaded = Origin::File(file.to_owned()).load();
    match loaded.and_then(|loaded| compile_as(loaded, 1, strictness)) {
        Ok((snapshot, mut problems)) => {
            let probed = probe(&snapshot, &System::new());
            problems.extend(probed.wrong);
            problems.extend(snapshot.policies.values().flat_map(|policy| expired(policy, now)));
            let of = |policy: &Arc<Policy>| {
                (policy.name().to_owned(), policy.served().into_iter().cloned().collect())
            };
            Checked {
                file,
                problems,
                served: snapshot.policies.values().map(of).collect(),
                captures: snapshot.config.log.capture.as_ref().map(captured),
                tested: probed.tested,
            }
        }
        Err(report) => Checked { problems: report.problems, ..Checked::of(file) },
    }
}

/// What is kept of requests, and to whom it is encrypted.
fn captured(capture: &Capture) -> String {
    let sample = match capture.sample_one_in {
        Some(one_in) => format!("refused requests and one in {one_in} of all"),
        None => "refused requests".to_owned(),
    };
    let most = capture.file_max.saturating_mul(u64::from(capture.files_max)) >> 20;
    format!(
        "captures {sample}, whole, credentials included, into `{}` (at most {most} MiB), encrypted to {}",
        capture.directory.display(),
        capture.key
    )
}

/// A rule whose time is over still loads, and does nothing.
fn expired(policy: &Policy, now: Timestamp) -> impl Iterator<Item = Diagnostic> {
    policy.expired(now).into_iter().map(|(priority, at)| {
        let message = format!("rule {priority} has expired and does nothing");
        Diagnostic::warning("expired-rule", message).at(at)
    })
}

/// Lists, rule sets and databases belong to a configuration: what a policy needs of them is not looked for here.
fn of_policy(source: &SourceFile, strictness: Strictness, now: Timestamp) -> Vec<Diagnostic> {
    match armor::parse(source) {
        Ok((policy, mut warnings)) => {
            warnings.extend(lint_policy(&policy, strictness));
            warnings.extend(lint::expired(&policy, now));
            warnings
        }
        Err(problems) => problems,
    }
}

/// A policy has `rules` at its top, in YAML or JSON; a configuration has `listeners`.
pub(super) fn is_policy(text: &str) -> bool {
    let is_configuration = text.lines().any(|line| line.starts_with("listeners:"));
    let has_rules = text.lines().any(|line| line.starts_with("rules:"));
    !is_configuration && (has_rules || text.trim_start().starts_with(['{', '[']))
}

fn drawn(checked: &[Checked<'_>]) -> String {
    let style = if std::io::stdout().is_terminal() { Style::Colour } else { Style::Plain };
    let mut text = String::new();
    for one in checked {
        text.push_str(&render_all(&one.problems, style));
        one.served.iter().for_each(|(policy, served)| text.push_str(&table_of(policy, served)));
        one.captures.iter().for_each(|words| text.push_str(&format!("{words}\n")));
        text.push_str(&tests(&one.tested));
        let errors = one.problems.iter().filter(|problem| problem.is_error()).count();
        let warnings = one.problems.len() - errors;
        let verdict = if errors == 0 { "good" } else { "refused" };
        let counts = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
        text.push_str(&format!("{}: {verdict} ({counts})\n", one.file.display()));
    }
    text
}

fn tests(tested: &Tested) -> String {
    let Tested { files, passed, failed } = tested;
    match files {
        0 => String::new(),
        files => format!("tests: {passed} passed, {failed} failed ({})\n", count(*files, "file")),
    }
}

/// Which loaded rules answer for each preconfigured set of a policy, and what Google's set has beside them.
fn table_of(policy: &str, served: &[Served]) -> String {
    if served.is_empty() {
        return String::new();
    }
    let row = |one: &Served| {
        let mut row = vec![one.set.clone(), one.ruleset.clone()];
        row.extend(one.levels.iter().map(ToString::to_string));
        row.push(ids(&one.missing));
        row.push(ids(&one.beyond));
        row
    };
    let rows: Vec<Vec<String>> = served.iter().map(row).collect();
    let heads = [
        "SET",
        "SERVED BY",
        "LEVEL 1",
        "2",
        "3",
        "4",
        "OF GOOGLE'S IDS NOT THERE",
        "BEYOND GOOGLE'S",
    ];
    format!("policy {policy}:\n{}\n", table::draw(&heads, &rows))
}

/// How many ids a row names.
const IDS_SHOWN_MAX: usize = 8;

fn ids(missing: &[u32]) -> String {
    let shown: Vec<String> = missing.iter().take(IDS_SHOWN_MAX).map(ToString::to_string).collect();
    match missing.len().saturating_sub(IDS_SHOWN_MAX) {
        _ if missing.is_empty() => "none".to_owned(),
        0 => shown.join(" "),
        more => format!("{} and {more} more", shown.join(" ")),
    }
}

pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn sets((policy, served): &(String, Vec<Served>)) -> Vec<Value> {
    let one = |set: &Served| {
        json!({
            "policy": policy, "set": set.set, "ruleset": set.ruleset,
            "levels": set.levels, "missing": set.missing, "beyond": set.beyond,
        })
    };
    served.iter().map(one).collect()
}

fn view(checked: &Checked<'_>) -> Value {
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
        "file": checked.file.display().to_string(),
        "good": checked.is_good(),
        "problems": checked.problems.iter().map(one).collect::<Vec<_>>(),
        "captures": checked.captures,
        "tests": { "files": checked.tested.files, "passed": checked.tested.passed, "failed": checked.tested.failed },
        "sets": checked.served.iter().flat_map(sets).collect::<Vec<_>>(),
    })
}
