//! `import cloud-armor` and `export cloud-armor`.

mod report;
mod written;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use portcullis_config::armor::import::{Import as Found, ImportedPolicy, Reach, fix, import};
use portcullis_config::armor::{self, SecurityPolicy, write};
use portcullis_config::{SourceFile, render_all};
use serde_json::json;

use super::{Done, Failed, complain, say, say_json, style};

/// The largest file that is imported.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Subcommand, Debug)]
pub(super) enum Import {
    /// Read Cloud Armor policies and the resources around them, and say what they do not do.
    ///
    /// FILE is what `gcloud compute security-policies export` wrote (YAML or JSON), the API's JSON, Terraform (`.tf`),
    /// or GKE's BackendConfig, Ingress, Service and ManagedCertificate.
    CloudArmor(CloudArmor),
}

#[derive(Args, Debug)]
pub(super) struct CloudArmor {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the policy that was meant, and say what is changed.
    #[arg(long)]
    fix: bool,
    /// Enforce the rules that the fix makes reachable for the first time, in place of putting them in preview.
    #[arg(long, requires = "fix")]
    enforce: bool,
    /// Where to write: a file `NAME.yaml` for the one policy, or a directory for policies and a `portcullis.yaml`.
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum Export {
    /// Write a native policy as Google takes it, or say rule by rule why it cannot be.
    CloudArmor(ToCloudArmor),
}

#[derive(Args, Debug)]
pub(super) struct ToCloudArmor {
    /// The policy.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write; standard output without it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A policy as it is to be written.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) yaml: String,
    pub(super) changes: Vec<String>,
    pub(super) lists: Vec<String>,
}

pub(super) fn run(command: &Import) -> Done {
    let Import::CloudArmor(wanted) = command;
    let sources: Vec<SourceFile> =
        wanted.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let found = import(&sources);
    let unread = !found.problems.is_empty();
    let results = results(&found, wanted);
    let place = match &wanted.output {
        Some(output) if !unread => written::write(output, &found, &results).map(Some),
        Some(_) | None => Ok(None),
    };
    if wanted.json {
        say_json(&report::json(&found, &results, place.as_ref().ok().and_then(Option::as_ref)))?;
    } else {
        say(&report::drawn(&found, &results, wanted.fix))?;
    }
    if unread {
        complain(&render_all(&found.problems, style()));
        return Err(Failed::Said(
            "error: not everything could be read, so nothing is written".to_owned(),
        ));
    }
    if let Some(place) = place?
        && !wanted.json
    {
        say(&place.words)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn results(found: &Found, wanted: &CloudArmor) -> Vec<Outcome> {
    let reach = if wanted.enforce { Reach::Enforce } else { Reach::Preview };
    let result = |imported: &ImportedPolicy| {
        let name = imported.policy.name.clone();
        if wanted.fix {
            let fixed = fix(imported, reach);
            return Outcome { name, yaml: fixed.yaml, changes: fixed.changes, lists: fixed.lists };
        }
        Outcome { name, yaml: write(&imported.policy), changes: Vec::new(), lists: Vec::new() }
    };
    found.policies.iter().map(result).collect()
}

pub(super) fn export(command: &Export) -> Done {
    let Export::CloudArmor(wanted) = command;
    let source = read(&wanted.file)?;
    let policy = policy(&source)?;
    let exported = armor::export(&policy).map_err(|problems| {
        let drawn = render_all(&problems, style());
        Failed::Said(format!(
            "{drawn}error: {} of the policy's points have no equal on Google\n  help: change them here, or keep the policy native",
            problems.len()
        ))
    })?;
    for change in &exported.changes {
        complain(change);
    }
    match &wanted.output {
        Some(output) => {
            written::new_file(output, exported.yaml.as_bytes())?;
            say(&format!(
                "written: {}\nnext: gcloud compute security-policies import NAME --file-name {}\n",
                output.display(),
                output.display()
            ))?;
        }
        None => say(&exported.yaml)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn policy(source: &SourceFile) -> Result<SecurityPolicy, Failed> {
    match armor::parse(source) {
        Ok((policy, _warnings)) => Ok(policy),
        Err(problems) => Err(Failed::Said(format!(
            "{}error: `{}` is no policy that loads",
            render_all(&problems, style()),
            source.name()
        ))),
    }
}

fn read(path: &Path) -> Result<SourceFile, Failed> {
    let failed =
        |why: String| Failed::Said(format!("error: `{}` cannot be read: {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(failed("it is larger than 16 MiB".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Ok(SourceFile::new(path.display().to_string(), text))
}

/// Says JSON of a problem's place.
fn at(location: &portcullis_config::Location) -> serde_json::Value {
    json!({ "file": location.file.name(), "line": location.line, "column": location.column })
}
