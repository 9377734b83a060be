//! `incidents ls`, `show`, `ack`, `contain`, `resolve`, `undo`, `test-notify`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::ban::encode;
use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{ChangeIncident, IncidentView, NotifiedView, TestNotify};

#[derive(Subcommand, Debug)]
pub(super) enum Incidents {
    /// List the incidents that are not over, the newest first; with `--all` the others too.
    Ls(List),
    /// Show one incident: what it is about, and its timeline.
    Show(One),
    /// Say that somebody works on an incident: it does not escalate any more.
    Ack(Change),
    /// Say that an incident can do no more harm.
    Contain(Change),
    /// Say that an incident is over. It opens again if it goes on.
    Resolve(Change),
    /// Take back what was done about an incident by itself; it is not done again for it.
    Undo(Change),
    /// Send a test to a notifier, or to every one. Exit 1 if one does not take it.
    TestNotify(TestNotifiers),
}

#[derive(Args, Debug)]
pub(super) struct TestNotifiers {
    /// The notifier; every one without it.
    name: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Change {
    /// The incident: `INC-YYYY-MM-DD-NNN`.
    id: String,
    /// Why, for the timeline and the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Those that are over too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct One {
    /// The incident: `INC-YYYY-MM-DD-NNN`.
    id: String,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(incidents: Incidents) -> Done {
    match incidents {
        Incidents::Ls(list) => ls(&list),
        Incidents::Show(one) => {
            let path = format!("/v1/incident?id={}", encode(&one.id));
            let found: IncidentView = ask(one.target.client()?.get(&path))?;
            show(&one.target, &found)
        }
        Incidents::Ack(change) => say_word("ack", change),
        Incidents::Contain(change) => say_word("contain", change),
        Incidents::Resolve(change) => say_word("resolve", change),
        Incidents::Undo(change) => say_word("undo", change),
        Incidents::TestNotify(test) => test_notify(test),
    }
}

fn test_notify(test: TestNotifiers) -> Done {
    let message = TestNotify { notifier: test.name };
    let path = "/v1/incidents/test-notify";
    let told: Vec<NotifiedView> = ask(test.target.client()?.post(path, &message))?;
    if test.target.json {
        say_json(&told)?;
    } else if told.is_empty() {
        say("no notifiers are configured: nobody is told of incidents\n")?;
    } else {
        let row = |one: &NotifiedView| {
            vec![one.notifier.clone(), one.error.clone().unwrap_or_else(|| "delivered".to_owned())]
        };
        say(&table::draw(&["NOTIFIER", "RESULT"], &told.iter().map(row).collect::<Vec<_>>()))?;
    }
    let is_good = told.iter().all(|one| one.error.is_none());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say_word(what: &str, change: Change) -> Done {
    let message = ChangeIncident { id: change.id, what: what.to_owned(), reason: change.reason };
    let changed: IncidentView = ask(change.target.client()?.post("/v1/incident", &message))?;
    show(&change.target, &changed)
}

fn ls(list: &List) -> Done {
    let mut found: Vec<IncidentView> = ask(list.target.client()?.get("/v1/incidents"))?;
    found.retain(|incident| list.all || incident.status != "resolved");
    found.reverse();
    if list.target.json {
        say_json(&found)?;
    } else if found.is_empty() {
        say("no incidents\n")?;
    } else {
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        let headings =
            ["ID", "PRIORITY", "STATUS", "CATEGORY", "EVENTS", "ABOUT", "TENANTS", "LAST SEEN"];
        say(&table::draw(&headings, &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(incident: &IncidentView) -> Vec<String> {
    let about = incident.dedup_key.rsplit('|').next().unwrap_or_default();
    vec![
        incident.id.clone(),
        incident.priority.clone(),
        incident.status.clone(),
        incident.category.clone(),
        incident.events.to_string(),
        about.to_owned(),
        incident.tenants.len().to_string(),
        incident.last_seen.clone(),
    ]
}

pub(super) fn show(target: &Target, incident: &IncidentView) -> Done {
    if target.json {
        say_json(incident)?;
    } else {
        say(&drawn(incident))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn drawn(incident: &IncidentView) -> String {
    let mut text = format!(
        "{} {} {}, {}\n",
        incident.id, incident.priority, incident.category, incident.status
    );
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            writeln!(text, "  {name:<12}{value}").expect("a string takes all text");
        }
    };
    line("events", &incident.events.to_string());
    line("first seen", &incident.first_seen);
    line("last seen", &incident.last_seen);
    let contained = incident.contained_after_secs.map(|secs| format!("after {secs} s"));
    line("contained", &contained.unwrap_or_default());
    let due = incident.escalates_in_secs.map(|secs| {
        format!("in {secs} s, unless somebody answers: `portcullis incidents ack {}`", incident.id)
    });
    line("escalates", &due.unwrap_or_default());
    for (name, values) in [
        ("sources", &incident.sources),
        ("users", &incident.subjects),
        ("tenants", &incident.tenants),
        ("rules", &incident.rules),
        ("objects", &incident.objects),
    ] {
        line(name, &values.join(", "));
    }
    if !incident.responses.is_empty() {
        text.push_str("responses\n");
    }
    for one in &incident.responses {
        let line = format!("  {} ({}, until {})", one.what, one.state, one.until);
        writeln!(text, "{line}").expect("a string takes all text");
    }
    text.push_str("timeline\n");
    for moment in &incident.timeline {
        writeln!(text, "  {}  {}", moment.at, moment.what).expect("a string takes all text");
    }
    text
}
