//! An import's files: one policy, or a directory that `check` takes as it is. Nothing that is there is overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::armor::import::{CERTIFICATE, Import, PolicyFile, skeleton, twice};
use portcullis_config::{Diagnostic, render_all};

use super::Outcome;
use crate::atomic_file;
use crate::cli::{Failed, style};
use crate::clock::{Clock, System};
use crate::compile::compile;
use crate::dev::make_certificate;
use crate::origin::Origin;

/// What was written.
pub(super) struct Place {
    pub(super) files: Vec<String>,
    /// What the operator is told.
    pub(super) words: String,
}

/// Writes the policies.
pub(super) fn write(output: &Path, found: &Import, outcomes: &[Outcome]) -> Result<Place, Failed> {
    if let Some(pair) = twice(found).first() {
        return Err(Failed::Said(format!(
            "error: `{}` is defined twice, and the definitions are not merged: nothing is written\n  help: import the one file that is meant",
            pair.name
        )));
    }
    let lost: Vec<String> = found
        .policies
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| outcome.changes.is_empty())
        .flat_map(|(policy, _)| &policy.broken)
        .map(|broken| {
            broken.priority.map_or_else(|| "one without a priority".to_owned(), |p| p.to_string())
        })
        .collect();
    if !lost.is_empty() {
        return Err(Failed::Said(format!(
            "error: these rules cannot be loaded, so nothing is written without them: {}\n  help: mend them, or write what was meant with `--fix`",
            lost.join(", ")
        )));
    }
    let is_file =
        output.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_file { one(output, outcomes) } else { directory(output, found, outcomes) }
}

fn one(output: &Path, outcomes: &[Outcome]) -> Result<Place, Failed> {
    let [outcome] = outcomes else {
        return Err(Failed::Said(format!(
            "error: {} policies were found, and `{}` is one file\n  help: name a directory: `-o DIR`",
            outcomes.len(),
            output.display()
        )));
    };
    new_file(output, outcome.yaml.as_bytes())?;
    let mut words = format!("\nwritten: {}\n", output.display());
    for list in &outcome.lists {
        words.push_str(&format!(
            "declare in the configuration: lists: {{ {list}: {{ file: {list}.txt }} }}\n"
        ));
    }
    words.push_str(&format!("next: portcullis check {}\n", output.display()));
    Ok(Place { files: vec![output.display().to_string()], words })
}

fn directory(output: &Path, found: &Import, outcomes: &[Outcome]) -> Result<Place, Failed> {
    let taken = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some());
    if taken || output.is_file() {
        return Err(taken_already(output));
    }
    let mut files = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| -> Result<(), Failed> {
        let path = output.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
        }
        atomic_file::replace(&path, bytes, atomic_file::PUBLIC)
            .map_err(|error| unwritable(&path, &error))?;
        files.push(path.display().to_string());
        Ok(())
    };
    let mut named = Vec::new();
    let mut lists: Vec<String> = Vec::new();
    for outcome in outcomes {
        let file = format!("policies/{}.yaml", outcome.name);
        put(&file, outcome.yaml.as_bytes())?;
        named.push(PolicyFile { name: outcome.name.clone(), file });
        lists.extend(
            outcome.lists.iter().filter(|list| !lists.contains(list)).cloned().collect::<Vec<_>>(),
        );
    }
    for list in &lists {
        put(&format!("lists/{list}.txt"), b"# One address or network a line.\n")?;
    }
    put("portcullis.yaml", skeleton(&found.plan, &named, &lists).as_bytes())?;
    certificate(output, found)?;
    let config = output.join("portcullis.yaml");
    let checked = checked(&config);
    let words = format!("\nwritten: {}\n{checked}", files.join(", "));
    Ok(Place { files, words })
}

/// A certificate for trying, for the hosts of the plan.
fn certificate(output: &Path, found: &Import) -> Result<(), Failed> {
    let mut names: Vec<String> = found.plan.hosts.iter().map(|host| host.name.clone()).collect();
    names.push("localhost".to_owned());
    let (chain, key) = (output.join(CERTIFICATE.0), output.join(CERTIFICATE.1));
    if let Some(parent) = key.parent() {
        atomic_file::private_directory(parent).map_err(|error| unwritable(parent, &error))?;
    }
    make_certificate(&chain, &key, &names, System::new().now())
        .map_err(|error| Failed::because(&error, None))
}

/// What `check` says of the configuration that was written.
fn checked(config: &Path) -> String {
    let origin = Origin::File(PathBuf::from(config));
    let (problems, verdict) = match origin.load().and_then(|loaded| compile(loaded, 1)) {
        Ok((_, warnings)) => (warnings, "passes `check`"),
        Err(report) => (report.problems, "does not pass `check` yet"),
    };
    let errors: Vec<Diagnostic> =
        problems.iter().filter(|problem| problem.is_error()).cloned().collect();
    format!(
        "{}{} {verdict}, with {} warnings\nnext: portcullis check {}\n",
        render_all(&errors, style()),
        config.display(),
        problems.len() - errors.len(),
        config.display()
    )
}

/// Writes a file that is not there yet.
pub(super) fn new_file(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    if path.exists() {
        return Err(taken_already(path));
    }
    atomic_file::replace(path, bytes, atomic_file::PUBLIC).map_err(|error| unwritable(path, &error))
}

fn taken_already(path: &Path) -> Failed {
    Failed::Said(format!(
        "error: `{}` is there already, and nothing is overwritten\n  help: remove it, or name another place",
        path.display()
    ))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::Said(format!("error: `{}` cannot be written: {error}", path.display()))
}
