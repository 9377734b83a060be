//! `log`: what somebody did, from the files of the request log and the event log.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use portcullis_config::model::{EventFormat, LogTarget};
use portcullis_config::{Config, Timestamp};
use portcullis_incident::export;
use serde_json::{Value, json};

use super::socket::{Target, ask};
use super::{DATA_DIR, Done, Failed, complain, duration, say, say_json, style, table};
use crate::admin::{ErasedView, WantErasure};
use crate::clock::{Clock as _, System};
use crate::history::{Entry, History, Source, Wanted};
use crate::log::rfc3339;
use crate::origin::Origin;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Log {
    #[command(subcommand)]
    change: Option<Change>,
    #[command(flatten)]
    who: Who,
    /// Only what happened so long ago at most, such as `24h`, or since a moment, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Only what happened at least so long ago, or before a moment.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show the newest so many.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// The configuration that names the logs; without it the embedded default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print events only, one a line, in the fields of another system.
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<Format>,
}

#[derive(Subcommand, Debug)]
enum Change {
    /// Take a person's data out of the files of both logs and out of incidents that are over.
    Erase(Erase),
}

#[derive(Args, Debug)]
#[group(id = "person", required = true, multiple = false, args = ["of_subject", "of_address"])]
struct Erase {
    /// The subject of their tokens.
    #[arg(long = "subject", value_name = "SUBJECT")]
    of_subject: Option<String>,
    /// Their address.
    #[arg(long = "address", value_name = "ADDRESS")]
    of_address: Option<IpAddr>,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Whose actions: all that is named has to hold.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct Who {
    /// The subject of a verified token.
    #[arg(long)]
    subject: Option<String>,
    /// The tenant: of the token, or whose object was asked for.
    #[arg(long)]
    tenant: Option<String>,
    /// The client's address, or network.
    #[arg(long, value_parser = network)]
    address: Option<IpNet>,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Format {
    Json,
    Ecs,
    Ocsf,
    Cef,
}

pub(super) fn run(log: &Log) -> Done {
    if let Some(Change::Erase(erase)) = &log.change {
        return run_erasure(erase);
    }
    let config = config(log.config.as_deref())?;
    let now = System::new().now();
    let wanted = Wanted {
        subject: log.who.subject.clone(),
        tenant: log.who.tenant.clone(),
        network: log.who.address,
        since: moment(&log.since, now)?,
        until: log
            .until
            .as_ref()
            .map_or(Ok(Timestamp::from_millis(u64::MAX)), |at| moment(at, now))?,
    };
    let most = usize::try_from(log.limit).unwrap_or(usize::MAX);
    let mut history = History::default();
    for path in files(&config, log.format.is_some())? {
        let read = history.read(path, &wanted, most);
        let help = "run it as a user that may read the logs";
        read.map_err(|error| Failed::because(&error, Some(help.to_owned())))?;
    }
    show(log, &history)?;
    for path in &history.left_out {
        complain(&format!(
            "not read: {} (unpack it as PATH.NUMBER beside the log)",
            path.display()
        ));
    }
    if history.unreadable > 0 {
        complain(&format!("{} lines are none of ours and were left out", history.unreadable));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_erasure(erase: &Erase) -> Done {
    let wanted = WantErasure {
        subject: erase.of_subject.clone(),
        address: erase.of_address.map(|address| address.to_string()),
        reason: erase.reason.clone(),
    };
    let erased: ErasedView = ask(erase.target.client()?.post("/v1/log/erase", &wanted))?;
    if erase.target.json {
        say_json(&erased)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "erased: {} lines of the request log, {} events, {} incidents\n",
        erased.request_lines, erased.event_lines, erased.incidents
    ))?;
    for id in &erased.open_incidents {
        complain(&format!("incident {id} names them and is not over: resolve it, and erase again"));
    }
    for path in &erased.left_out {
        complain(&format!("not read: {path} (unpack it as PATH.NUMBER beside the log)"));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(log: &Log, history: &History) -> Result<(), Failed> {
    if let Some(format) = log.format {
        let format = match format {
            Format::Json => EventFormat::Json,
            Format::Ecs => EventFormat::Ecs,
            Format::Ocsf => EventFormat::Ocsf,
            Format::Cef => EventFormat::Cef,
        };
        for (_, line) in history.entries() {
            say(&format!("{}\n", export::line(format, line)))?;
        }
    } else if log.json {
        say_json(&as_json(history))?;
    } else {
        say(&drawn(history))?;
    }
    Ok(())
}

/// Loads a configuration without compiling what it names.
fn config(file: Option<&Path>) -> Result<Config, Failed> {
    let origin = match file {
        Some(file) => Origin::File(file.to_owned()),
        None => Origin::Embedded { data_dir: DATA_DIR.into() },
    };
    let loaded = origin.load().map_err(|report| Failed::Said(report.render(style())))?;
    Ok(loaded.config)
}

/// The files of the logs: of both, or of events only.
fn files(config: &Config, events_only: bool) -> Result<Vec<&Path>, Failed> {
    let log = &config.log;
    if matches!(log.events, LogTarget::File(_)) && log.events_format != EventFormat::Json {
        let said = "error: the file of events is not written in `json`, and cannot be read back\n  help: set `log.events_format: json`, and give a sink of `log.sinks` the other format";
        return Err(Failed::Said(said.to_owned()));
    }
    let requests = path(&log.requests).filter(|_| !events_only);
    let files: Vec<&Path> = path(&log.events).into_iter().chain(requests).collect();
    if files.is_empty() {
        let key = if events_only { "`log.events`" } else { "`log.events` and `log.requests`" };
        return Err(Failed::Said(format!(
            "error: no log is written to a file\n  help: set {key} to `file:PATH`; what went to standard output stands with whoever took it"
        )));
    }
    if !events_only && files.len() < 2 {
        let (there, absent) = match requests {
            Some(_) => ("`log.requests`", "`log.events`"),
            None => ("`log.events`", "`log.requests`"),
        };
        complain(&format!("only {there} is a file: {absent} has more; set it to `file:PATH`"));
    }
    Ok(files)
}

/// The file of a log, where it is one.
fn path(target: &LogTarget) -> Option<&Path> {
    match target {
        LogTarget::File(path) => Some(path),
        LogTarget::Stdout | LogTarget::Stderr | LogTarget::Off => None,
    }
}

fn as_json(history: &History) -> Value {
    let entries: Vec<Value> = history.entries().map(|(entry, _)| entry.to_json()).collect();
    json!({
        "found": history.found,
        "requests": history.requests,
        "refused": history.refused,
        "bytes_out": history.bytes_out,
        "events": history.events,
        "foreign_tenants": history.foreign,
        "unreadable_lines": history.unreadable,
        "entries": entries,
    })
}

fn drawn(history: &History) -> String {
    if history.found == 0 {
        return "nothing is logged of that; `--since 7d` looks further back\n".to_owned();
    }
    let rows: Vec<Vec<String>> = history.entries().map(|(entry, _)| row(entry)).collect();
    let mut text = table::draw(
        &["TIME", "WHAT", "DECISION", "OUT", "OBJECTS", "FOREIGN", "ADDRESS", "REQUEST"],
        &rows,
    );
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if shown < history.found {
        text.push_str(&format!(
            "… the newest {shown} of {}; `--limit` shows more\n",
            history.found
        ));
    }
    text.push_str(&format!(
        "{} requests, {} refused, {} bytes out",
        history.requests, history.refused, history.bytes_out
    ));
    for (kind, count) in &history.events {
        text.push_str(&format!(", {kind} {count}"));
    }
    if !history.foreign.is_empty() {
        let foreign: Vec<String> = history.foreign.iter().map(|tenant| plain(tenant)).collect();
        text.push_str(&format!("; foreign tenants: {}", foreign.join(", ")));
    }
    text.push('\n');
    text
}

fn row(entry: &Entry) -> Vec<String> {
    let what = match entry.source {
        Source::Request => format!("{} {}", entry.method, entry.path),
        Source::Event if entry.count > 1 => format!("{} ×{}", entry.kind, entry.count),
        Source::Event => entry.kind.clone(),
    };
    let status = entry.status.map(|status| status.to_string()).unwrap_or_default();
    let cells = [
        rfc3339(entry.at),
        what,
        format!("{status} {}", entry.decision).trim().to_owned(),
        entry.bytes_out.map(|bytes| bytes.to_string()).unwrap_or_default(),
        entry.objects.join(" "),
        entry.attempted_tenant.clone().unwrap_or_default(),
        entry.address.map(|address| address.to_string()).unwrap_or_default(),
        entry.request_id.clone().unwrap_or_default(),
    ];
    cells.iter().map(|cell| plain(cell)).collect()
}

/// Text of a log on a terminal: what would steer it is shown as a question mark.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Reads `24h` as so long ago, or a moment in RFC 3339.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failed> {
    if let Ok(ago) = duration(text) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(Timestamp::from_millis(now.as_millis().saturating_sub(ago)));
    }
    let read = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    let millis = read.and_then(|millis| u64::try_from(millis).ok());
    millis.map(Timestamp::from_millis).ok_or_else(|| {
        Failed::Said(format!(
            "error: `{text}` is no time\n  help: write `24h` or `7d`, or a moment such as 2026-01-31T12:00:00Z"
        ))
    })
}

/// Reads an address, or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.ok().or_else(|| text.parse().ok()).ok_or_else(|| {
        format!("`{text}` is no address: write `192.0.2.7`, `2001:db8::7` or `192.0.2.0/24`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_so_long_ago_or_moments() {
        let now = Timestamp::from_secs(1_767_225_600);
        for (text, secs) in [
            ("24h", Some(1_767_225_600 - 86_400)),
            ("0s", Some(1_767_225_600)),
            ("99999d", Some(0)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-01-01T01:00:00+01:00", Some(1_767_225_600)),
            ("yesterday", None),
            ("", None),
            ("1960-01-01T00:00:00Z", None),
        ] {
            assert_eq!(moment(text, now).ok().map(Timestamp::as_secs), secs, "{text}");
        }
    }

    #[test]
    fn an_address_is_one_or_a_network_and_nothing_steers_the_terminal() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("edge.test", None),
            ("192.0.2.0/33", None),
        ] {
            assert_eq!(
                network(text).ok().map(|net| net.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
        assert_eq!(plain("a\u{1b}[2Jb\u{e9}"), "a?[2Jb\u{e9}");
    }
}
