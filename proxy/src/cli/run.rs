//! `run`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_config::render_all;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::prelude::*;

use super::{DATA_DIR, Done, Failed, complain, say, style};
use crate::dev::{Tour, tour};
use crate::origin::Origin;
use crate::restraint::Restraint;
use crate::run::{StartError, Started};
use crate::upgrade::{Inheritance, Invocation};

#[derive(Args, Debug)]
pub(super) struct Run {
    /// The configuration. Without it the embedded default is served, with everything it makes under `--data`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the embedded default.
    #[arg(long, value_name = "DIR", conflicts_with = "config", default_value = DATA_DIR)]
    data: PathBuf,
    /// Take the place of the process that hands over on standard input: what `portcullis upgrade` starts.
    #[arg(long, hide = true)]
    successor: bool,
}

/// What the process says about itself, where `PORTCULLIS_LOG` does not choose. Pingora's own words are for its authors,
/// and rustls warns once per odd ClientHello, which is for any stranger to send.
const LOG_FILTER: &str = "info,pingora=warn,pingora_core=warn,pingora_proxy=warn,rustls=error";

pub(super) fn run(run: Run) -> Done {
    start_tracing();
    crate::edge::install_provider();
    let origin = match run.config {
        Some(file) => Origin::File(file),
        None => Origin::Embedded { data_dir: run.data },
    };
    let because = |error: &dyn std::error::Error| Failed::because(error, None);
    let invocation = Invocation::current().map_err(|error| because(&error))?;
    let inheritance = match run.successor {
        true => Some(Inheritance::receive().map_err(|error| because(&error))?),
        false => None,
    };
    let runtime = runtime(&origin).map_err(|error| because(&error))?;
    let shown = origin.clone();
    let serving =
        crate::run::run(origin, &invocation, inheritance, |started| announce(&shown, started));
    runtime.block_on(serving).map_err(|error| explain(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the threads that serve. A configuration that does not load is read again by the start, which says why.
fn runtime(origin: &Origin) -> std::io::Result<tokio::runtime::Runtime> {
    if std::env::var_os("TOKIO_WORKER_THREADS").is_some() {
        tracing::warn!("`TOKIO_WORKER_THREADS` is not read: set `workers` in the configuration");
    }
    let set = origin.load().ok().and_then(|loaded| loaded.config.workers);
    let workers = match set.and_then(|workers| usize::try_from(workers).ok()) {
        Some(workers) => workers,
        None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

fn start_tracing() {
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| LOG_FILTER.into());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(filter.and(Restraint::default()));
    tracing_subscriber::registry().with(lines).init();
}

fn explain(error: &StartError) -> Failed {
    if let StartError::Config(report) = error {
        let drawn = report.render(style());
        return Failed::Said(format!("{drawn}error: {error}"));
    }
    let help = error.help();
    Failed::because(error, help)
}

/// Prints what is served. A closed output stops nothing.
fn announce(origin: &Origin, started: &Started) {
    complain(&render_all(&started.warnings, style()));
    let mut text = format!("portcullis serves generation {} of {origin}\n", started.generation);
    for address in &started.listeners {
        writeln!(text, "  listening on {address}").expect("a string takes all text");
    }
    if let Some(metrics) = started.metrics {
        writeln!(text, "  metrics on http://{metrics}/metrics").expect("a string takes all text");
    }
    writeln!(text, "  admin socket {}", started.socket.display()).expect("a string takes all text");
    if let Some(lines) = lines(origin, started) {
        text.push_str("\nTry, in another terminal, in this order:\n\n");
        text.push_str(&lines);
    }
    if let Err(error) = say(&text) {
        tracing::debug!(%error, "nobody reads what is served");
    }
}

fn lines(origin: &Origin, started: &Started) -> Option<String> {
    let Origin::Embedded { data_dir } = origin else { return None };
    let program = std::env::current_exe().ok()?;
    Some(tour(&Tour {
        program: &program.display().to_string(),
        base: format!("https://{}", started.listeners.first()?),
        certificate: &absolute(started.certificate.as_deref()?),
        socket: &absolute(&started.socket),
        data_dir: &absolute(data_dir),
        demo: started.demo.as_ref()?,
    }))
}

/// The path as it works from another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
