//! `test`: policies against files of cases, and scenarios against the tests that they bring.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_config::{Diagnostic, SourceFile, render_all, yaml};
use portcullis_incident::detector::{ScenarioFile, ScenarioTest, read_scenario};
use serde_json::{Value, json};

use super::{Done, Failed, complain, say, say_json, style};
use crate::trial::{CaseResult, Outcome, SuiteResult, read_suite, run_suite};

/// The largest test file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Args, Debug)]
pub(super) struct Test {
    /// Files of tests: ours, test suites of Google's rules command line, or scenarios with their tests.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show every case, not only those that failed.
    #[arg(long, short)]
    verbose: bool,
    /// Write the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(test: &Test) -> Done {
    let mut results = Vec::new();
    let mut broken = 0;
    for file in &test.files {
        match one(file) {
            Ok(result) => results.push((file.as_path(), result)),
            Err(problems) => {
                broken += 1;
                complain(&render_all(&problems, style()));
            }
        }
    }
    if let Some(path) = &test.junit {
        fs::write(path, junit(&results)).map_err(|error| {
            Failed::Said(format!("error: `{}` cannot be written: {error}", path.display()))
        })?;
    }
    if test.json {
        say_json(&as_json(&results, broken))?;
    } else {
        say(&drawn(&results, test.verbose, broken))?;
    }
    let failed: usize = results.iter().map(|(_, result)| result.counts().1).sum();
    Ok(if failed + broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(file: &Path) -> Result<SuiteResult, Vec<Diagnostic>> {
    let unreadable = |why: String| {
        let message = format!("`{}` cannot be read: {why}", file.display());
        vec![Diagnostic::error("file-unreadable", message)]
    };
    let metadata = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(unreadable("it is larger than 16 MiB".to_owned()));
    }
    let text = fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    let source = SourceFile::new(file.display().to_string(), text);
    if is_scenario(&source) {
        return Ok(scenario(&source, read_scenario(&source)?));
    }
    run_suite(&read_suite(&source)?)
}

/// A scenario names itself by its key `scenario`.
fn is_scenario(source: &SourceFile) -> bool {
    yaml::read(source).0.is_some_and(|root| root.get("scenario").is_some())
}

/// Runs the tests that a scenario brings.
fn scenario(source: &SourceFile, file: ScenarioFile) -> SuiteResult {
    let case = |test: &ScenarioTest| {
        let raised = test.run(&file.scenario);
        let outcome = if raised == test.raises {
            Outcome::Passed
        } else {
            Outcome::Failed(format!("it raises {raised} events, not {}", test.raises))
        };
        let at = Some(source.location(test.place.clone()));
        CaseResult { name: test.name.clone(), at, outcome }
    };
    let cases = file.tests.iter().map(case).collect();
    SuiteResult { name: file.scenario.name, cases }
}

fn drawn(results: &[(&Path, SuiteResult)], verbose: bool, broken: usize) -> String {
    let mut text = String::new();
    for (file, result) in results {
        for case in &result.cases {
            if verbose || case.outcome != Outcome::Passed {
                text.push_str(&line(file, case));
            }
        }
        let (passed, failed, skipped) = result.counts();
        text.push_str(&format!(
            "{}: {} ({passed} passed, {failed} failed, {skipped} skipped)\n",
            file.display(),
            if failed == 0 { "good" } else { "failed" }
        ));
    }
    if broken > 0 {
        text.push_str(&format!("{broken} of the files could not be run\n"));
    }
    text
}

fn line(file: &Path, case: &CaseResult) -> String {
    let (word, why) = match &case.outcome {
        Outcome::Passed => ("passed ", String::new()),
        Outcome::Failed(why) => ("FAILED ", format!("\n        {why}")),
        Outcome::Skipped(why) => ("skipped", format!("\n        {why}")),
    };
    let place = case.at.as_ref();
    let place = place.map_or_else(String::new, |at| format!(" ({}:{})", file.display(), at.line));
    format!("{word} {}{place}{why}\n", case.name)
}

fn as_json(results: &[(&Path, SuiteResult)], broken: usize) -> Value {
    let case = |case: &CaseResult| {
        let (outcome, why) = match &case.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("failed", Some(why.as_str())),
            Outcome::Skipped(why) => ("skipped", Some(*why)),
        };
        let line = case.at.as_ref().map(|at| at.line);
        json!({ "name": case.name, "line": line, "outcome": outcome, "why": why })
    };
    let suites: Vec<Value> = results
        .iter()
        .map(|(file, result)| {
            let (passed, failed, skipped) = result.counts();
            json!({
                "file": file.display().to_string(), "name": result.name,
                "passed": passed, "failed": failed, "skipped": skipped,
                "cases": result.cases.iter().map(case).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "suites": suites, "unreadable": broken })
}

fn junit(results: &[(&Path, SuiteResult)]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (file, result) in results {
        let (_, failed, skipped) = result.counts();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" file=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\">\n",
            xml(&result.name),
            xml(&file.display().to_string()),
            result.cases.len()
        ));
        for case in &result.cases {
            let inner = match &case.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(why) => format!("<failure message=\"{}\"/>", xml(why)),
                Outcome::Skipped(why) => format!("<skipped message=\"{}\"/>", xml(why)),
            };
            text.push_str(&format!(
                "    <testcase name=\"{}\">{inner}</testcase>\n",
                xml(&case.name)
            ));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Escapes a text for an attribute; what XML 1.0 cannot hold becomes `?`.
fn xml(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::xml;

    #[test]
    fn names_are_escaped_for_xml() {
        assert_eq!(xml("a<b> & \"c\"\n\u{1}"), "a&lt;b&gt; &amp; &quot;c&quot; ?");
    }
}
