//! `replay`: a log's requests against a configuration, or two.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::requests::Requests;
use super::{Done, Failed, eval, say, say_json, table};
use crate::clock::{Clock, System};
use crate::replay::{Change, Kind, Progress, Report, RuleShift, Tally, replay};
use crate::trial::Missing;

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    requests: Requests,
    /// A second configuration: what would change from the first to it. Without it the log's own verdicts are compared.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Replay) -> Done {
    let config = eval::snapshot(Some(&command.config))?;
    let against = match &command.against {
        Some(file) => Some(eval::snapshot(Some(file))?),
        None => None,
    };
    let mut source = command.requests.open()?;
    let kind = source.kind;
    let mut bar = Bar::new();
    let report = replay(&mut source, &config, against.as_ref(), |progress| bar.show(progress));
    bar.clear();
    let report = report.map_err(|error| Failed::because(&error, None))?;
    if command.json {
        say_json(&as_json(kind, &report))?;
    } else {
        say(&drawn(kind, &report, command.against.is_some()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A progress bar on a terminal, and nothing elsewhere.
struct Bar {
    is_terminal: bool,
    clock: System,
    last: Option<Duration>,
}

/// How often the bar is drawn.
const BAR_EVERY: Duration = Duration::from_millis(100);
const BAR_CELLS: u64 = 30;

impl Bar {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), clock: System::new(), last: None }
    }

    fn show(&mut self, progress: Progress) {
        let now = self.clock.monotonic();
        if !self.is_terminal || self.last.is_some_and(|last| now.saturating_sub(last) < BAR_EVERY) {
            return;
        }
        self.last = Some(now);
        let full = progress.bytes.saturating_mul(BAR_CELLS) / progress.of_bytes.max(1);
        let full = usize::try_from(full.min(BAR_CELLS)).unwrap_or(0);
        let percent = progress.bytes.saturating_mul(100) / progress.of_bytes.max(1);
        let bar = format!("{:<30}", "█".repeat(full));
        drop(write!(io::stderr(), "\r{bar} {percent:>3} %  {} requests", progress.requests));
    }

    fn clear(&self) {
        if self.is_terminal && self.last.is_some() {
            drop(write!(io::stderr(), "\r{:70}\r", ""));
        }
    }
}

fn drawn(kind: Kind, report: &Report, is_pair: bool) -> String {
    let mut text = format!("{} requests from {}", report.requests, kind.as_str());
    text.push_str(&match report.unreadable {
        0 => "\n".to_owned(),
        records if kind == Kind::Capture => {
            format!("; {records} records are damaged and were left out\n")
        }
        lines => format!("; {lines} lines hold no request\n"),
    });
    text.push_str(&format!("unchanged    {}\n", share(report.unchanged, report.requests)));
    let changed = changed(report);
    text.push_str(&format!("changed      {}\n", share(changed, report.requests)));
    text.push_str(&format!("not judged   {}", share(report.unjudged, report.requests)));
    text.push_str(&missing(report));
    if report.unrecorded > 0 {
        text.push_str(&format!(
            "not compared {}: the log does not say what was decided\n",
            share(report.unrecorded, report.requests)
        ));
    }
    if matches!(kind, Kind::Ours | Kind::Google) {
        text.push_str(
            "a log holds no headers but Host, User-Agent and Referer: the others count as absent\n",
        );
    }
    if report.rule_errors > 0 {
        text.push_str(&format!(
            "{} requests met a rule that reads an absent header\n",
            report.rule_errors
        ));
    }
    tallies(&mut text, report, is_pair);
    changes(&mut text, report);
    parity(&mut text, report);
    text
}

fn changed(report: &Report) -> u64 {
    report.changes.values().map(|shift| shift.count).sum::<u64>() + report.more_changes
}

fn share(count: u64, of: u64) -> String {
    let per_mille = count.saturating_mul(1000) / of.max(1);
    format!("{count} ({}.{} %)", per_mille / 10, per_mille % 10)
}

fn missing(report: &Report) -> String {
    let word = |missing: &Missing| match missing {
        Missing::Body => "the body",
        Missing::Token => "the token",
        Missing::Grants => "the roles and scopes of the token",
    };
    if report.missing.is_empty() {
        return "\n".to_owned();
    }
    let parts: Vec<String> = report
        .missing
        .iter()
        .map(|(what, count)| format!("{count} for want of {}", word(what)))
        .collect();
    format!(": {}\n", parts.join(", "))
}

fn tallies(text: &mut String, report: &Report, is_pair: bool) {
    let mut names: Vec<&String> = report.tally.answers.keys().collect();
    if let Some(against) = &report.against {
        names.extend(against.answers.keys());
    }
    names.sort();
    names.dedup();
    let count =
        |tally: &Tally, name: &String| tally.answers.get(name).copied().unwrap_or(0).to_string();
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .map(|name| {
            let mut row = vec![name.clone(), count(&report.tally, name)];
            row.extend(report.against.as_ref().map(|against| count(against, name)));
            row
        })
        .collect();
    let headings: &[&str] =
        if is_pair { &["ANSWER", "CONFIG", "AGAINST"] } else { &["ANSWER", "REQUESTS"] };
    text.push('\n');
    text.push_str(&table::draw(headings, &rows));
    for (title, tally) in [("CONFIG", Some(&report.tally)), ("AGAINST", report.against.as_ref())] {
        let Some(tally) = tally else { continue };
        let decided = tally
            .rules
            .iter()
            .map(|(rule, count)| vec![rule.to_string(), "decided".to_owned(), count.to_string()]);
        let previewed = tally.previews.iter().map(|(rule, count)| {
            vec![rule.to_string(), "preview matched".to_owned(), count.to_string()]
        });
        let rows: Vec<Vec<String>> = decided.chain(previewed).collect();
        let heading = if is_pair { format!("RULE ({title})") } else { "RULE".to_owned() };
        text.push('\n');
        text.push_str(&table::draw(&[&heading, "", "REQUESTS"], &rows));
    }
}

fn changes(text: &mut String, report: &Report) {
    let mut changes: Vec<(&Change, &RuleShift)> = report.changes.iter().collect();
    changes.sort_by_key(|(_, shift)| std::cmp::Reverse(shift.count));
    for (change, shift) in changes {
        text.push_str(&format!(
            "\n{} requests: {} → {}\n",
            shift.count,
            side(&change.from),
            side(&change.to)
        ));
        for sample in &shift.samples {
            text.push_str(&format!("  {} from {}: {}\n", sample.id, sample.client, sample.request));
        }
    }
    if report.more_changes > 0 {
        text.push_str(&format!("\n{} requests changed in further ways\n", report.more_changes));
    }
}

fn side((words, rule): &(String, Option<u32>)) -> String {
    rule.map_or_else(|| words.clone(), |rule| format!("{words} by rule {rule}"))
}

fn parity(text: &mut String, report: &Report) {
    let Some(parity) = &report.parity else { return };
    let rows = [
        ("both let pass", parity.both_pass),
        ("both refuse", parity.both_refuse),
        ("only Google refuses", parity.only_google_refuses),
        ("only this configuration refuses", parity.only_we_refuse),
        ("not judged here", parity.unjudged),
    ];
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect();
    text.push('\n');
    text.push_str(&table::draw(&["BESIDE GOOGLE", "REQUESTS"], &rows));
}

fn as_json(kind: Kind, report: &Report) -> Value {
    let tally = |tally: &Tally| json!({ "answers": tally.answers, "rules": tally.rules, "previews": tally.previews });
    let change = |(change, shift): (&Change, &RuleShift)| {
        json!({
            "from": { "answer": change.from.0, "rule": change.from.1 },
            "to": { "answer": change.to.0, "rule": change.to.1 },
            "count": shift.count,
            "samples": shift.samples.iter().map(|sample| json!({ "id": sample.id, "client": sample.client, "request": sample.request })).collect::<Vec<_>>(),
        })
    };
    json!({
        "source": kind.as_str(), "requests": report.requests, "unreadableLines": report.unreadable,
        "unchanged": report.unchanged, "changed": changed(report),
        "notJudged": report.unjudged,
        "notJudgedForWantOf": {
            "body": report.missing.get(&Missing::Body).copied().unwrap_or(0),
            "token": report.missing.get(&Missing::Token).copied().unwrap_or(0),
            "grants": report.missing.get(&Missing::Grants).copied().unwrap_or(0),
        },
        "notCompared": report.unrecorded, "ruleErrors": report.rule_errors,
        "config": tally(&report.tally), "against": report.against.as_ref().map(tally),
        "changes": report.changes.iter().map(change).collect::<Vec<_>>(),
        "furtherChanges": report.more_changes,
        "parity": report.parity.as_ref().map(|parity| json!({
            "bothPass": parity.both_pass, "bothRefuse": parity.both_refuse,
            "onlyGoogleRefuses": parity.only_google_refuses, "onlyThisRefuses": parity.only_we_refuse,
            "notJudged": parity.unjudged,
        })),
    })
}
