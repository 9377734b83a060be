//! `license …`: the license service's own operator commands, by its library; nothing of them is here.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use license_core::Settings;
use license_core::command::{Action, administer};

use super::{DATA_DIR, Done, Failed};
use crate::license;
use crate::origin::Origin;

#[derive(Args, Debug)]
pub(super) struct License {
    /// The edge's configuration, whose embedded license service is meant; the embedded default unless said.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The settings of a license service that runs on its own.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    service: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

pub(super) fn run(command: License) -> Done {
    let settings = settings(&command)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failed::because(&error, None))?;
    let done = runtime.block_on(administer(&settings, command.action, &mut io::stdout()));
    done.map_err(|error| Failed::because(error.as_ref(), None))?;
    Ok(ExitCode::SUCCESS)
}

fn settings(command: &License) -> Result<Settings, Failed> {
    if let Some(file) = &command.service {
        return Settings::load(file).map_err(|error| Failed::because(&error, None));
    }
    let origin = match &command.config {
        Some(config) => Origin::File(config.clone()),
        None => Origin::Embedded { data_dir: DATA_DIR.into() },
    };
    let loaded = origin
        .load()
        .map_err(|report| Failed::Said(format!("error: {origin} cannot be used:\n{report}")))?;
    license::settings(&loaded.config).ok_or_else(|| {
        Failed::Said(format!(
            "error: {origin} embeds no license service\n  help: name the settings of the one that runs with `--service`"
        ))
    })
}
