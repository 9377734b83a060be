//! `eval`: one raw HTTP request against a configuration, offline.

mod drawn;
mod engine;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{DATA_DIR, Done, Failed, ban, say, say_json};
use crate::clock::{Clock, System};
use crate::compile::compile_for_trial;
use crate::log::Escaped;
use crate::origin::Origin;
use crate::snapshot::Snapshot;
use crate::trial::{Answer, Ask, Judged, Trial};

/// The largest request.
const REQUEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most repetitions.
const REPEAT_MAX: u32 = 1_000_000;

#[derive(Args, Debug)]
pub(super) struct Eval {
    /// The configuration; without it the embedded default, whose files must have been made by `run`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with one raw request: request line, headers, an empty line, the body. Line ends may be LF.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The client's address.
    #[arg(long, alias = "client", value_name = "IP", default_value = "192.0.2.1")]
    address: IpAddr,
    /// The client's country, in place of what the database says: two capital letters, or `''` for unknown.
    #[arg(long, value_name = "CODE", value_parser = country)]
    country: Option<String>,
    /// Ask so many times, with the same counters and bans.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPEAT_MAX)))]
    repeat: u32,
    /// The time between two repetitions: `1s`, `2m`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = ban::duration)]
    every: Duration,
    /// Add what the rule sets did: every rule that ran up to this paranoia level, whatever the policy asks, with its
    /// matches, its time and the scores.
    #[arg(long, value_name = "1-4")]
    engine: Option<u8>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(eval: &Eval) -> Done {
    let snapshot = snapshot(eval.config.as_deref())?;
    let mut ask = request(&eval.request)?;
    ask.client = eval.address;
    ask.region.clone_from(&eval.country);
    let trial = Trial::of_snapshot(&snapshot).traced();
    let mut now = System::new().now();
    let mut last = trial.judge(&ask, now);
    if let Answer::NoHost = last.answer {
        return Err(no_host(&snapshot, &Escaped(ask.host()).to_string()));
    }
    let mut runs = drawn::Runs::new(&last);
    for _ in 1..eval.repeat {
        now = now.plus(eval.every);
        last = trial.judge(&ask, now);
        runs.add(&last);
    }
    let engine = eval.engine.map(|level| engine::run(&snapshot.config, &ask, level)).transpose()?;
    if eval.json {
        let mut value = drawn::json(&snapshot, &last, &runs);
        if let (Some(parts), Some(fields)) = (&engine, value.as_object_mut()) {
            fields.insert("engine".to_owned(), engine::as_json(parts));
        }
        say_json(&value)?;
    } else {
        say(&drawn::text(&snapshot, &last, &runs))?;
        say(&engine.as_deref().map(engine::drawn).unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads a configuration, or the embedded default, for judging offline.
pub(super) fn snapshot(config: Option<&Path>) -> Result<Snapshot, Failed> {
    let origin = match config {
        Some(file) => Origin::File(file.to_owned()),
        None => Origin::Embedded { data_dir: DATA_DIR.into() },
    };
    match origin.load().and_then(compile_for_trial) {
        Ok((snapshot, _warnings)) => Ok(snapshot),
        Err(report) => Err(Failed::Said(format!(
            "{}error: {origin} cannot be used",
            report.render(super::style())
        ))),
    }
}

fn request(path: &Path) -> Result<Ask, Failed> {
    let failed =
        |why: String| Failed::Said(format!("error: `{}` cannot be read: {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if metadata.len() > REQUEST_BYTES_MAX {
        return Err(failed("it is larger than 64 MiB".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    Ask::parse(&bytes).ok_or_else(|| {
        Failed::Said("error: the file holds no request line and headers\n  help: begin with `GET /path HTTP/1.1`, then `Host: name`".to_owned())
    })
}

fn no_host(snapshot: &Snapshot, host: &str) -> Failed {
    let served: Vec<&str> = snapshot.config.hosts.iter().map(|host| host.name.as_str()).collect();
    Failed::Said(format!(
        "error: the host `{}` is not served: 404\n  help: the configuration serves {}",
        host,
        served.join(", ")
    ))
}

fn country(text: &str) -> Result<String, String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if text.is_empty() || is_code {
        return Ok(text.to_owned());
    }
    Err("a country is two capital letters, such as DE, or '' for unknown".to_owned())
}

/// Says a judgement's route: host and path.
fn route(judged: &Judged) -> String {
    judged
        .route
        .as_ref()
        .map_or_else(String::new, |entry| format!("{}{}", entry.host, entry.route.path))
}
