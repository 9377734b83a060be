//! `backend ls`, `backend drain`, `backend undrain`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{BackendView, DrainBackend};

#[derive(Subcommand, Debug)]
pub(super) enum Backend {
    /// Show every server with how it stands.
    Ls(Target),
    /// Send no further request to a server (`BACKEND/SERVER`) or to all of a backend (`BACKEND`).
    Drain(Drain),
    /// Send requests to it again.
    Undrain(Drain),
}

#[derive(Args, Debug)]
pub(super) struct Drain {
    /// `BACKEND/SERVER` as `backend ls` shows them, or `BACKEND`.
    name: String,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(backend: Backend) -> Done {
    match backend {
        Backend::Ls(target) => {
            let servers = ask(target.client()?.get("/v1/backends"))?;
            show(&target, &servers)
        }
        Backend::Drain(drain) => change(drain, true),
        Backend::Undrain(drain) => change(drain, false),
    }
}

fn change(drain: Drain, drained: bool) -> Done {
    let wanted = DrainBackend { name: drain.name, drained, reason: drain.reason };
    let servers = ask(drain.target.client()?.post("/v1/backends", &wanted))?;
    show(&drain.target, &servers)
}

fn show(target: &Target, servers: &Vec<BackendView>) -> Done {
    if target.json {
        say_json(servers)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = servers.iter().map(row).collect();
    let headings = ["BACKEND", "SERVER", "STATE", "WEIGHT", "IN FLIGHT", "OF BACKEND", "WAITING"];
    say(&table::draw(&headings, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(view: &BackendView) -> Vec<String> {
    let inside = view.backend_in_flight;
    vec![
        view.backend.clone(),
        view.server.clone(),
        view.state.clone(),
        view.weight.to_string(),
        view.in_flight.to_string(),
        view.backend_limit.map_or_else(|| inside.to_string(), |most| format!("{inside}/{most}")),
        view.backend_waiting.to_string(),
    ]
}
