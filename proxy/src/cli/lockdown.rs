//! `lockdown on`, `lockdown off`, `lockdown ls`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ban::{duration, encode};
use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{LockdownView, PlaceLockdown};

#[derive(Subcommand, Debug)]
pub(super) enum Lockdown {
    /// Refuse every request to a route for a while.
    On(On),
    /// Open a route again, or every one.
    Off(Off),
    /// Show the routes that are locked down.
    Ls(Target),
}

#[derive(Args, Debug)]
pub(super) struct On {
    /// The route: its host and its path, such as `licenses.example.com/api/v1/auth/`.
    route: String,
    /// For how long: `90s`, `10m`, `1h`, `7d`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    span: Duration,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Off {
    /// The route; without it every one is opened.
    route: Option<String>,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(lockdown: Lockdown) -> Done {
    match lockdown {
        Lockdown::On(on) => {
            let wanted =
                PlaceLockdown { route: on.route, for_secs: on.span.as_secs(), reason: on.reason };
            let placed: LockdownView = ask(on.target.client()?.post("/v1/lockdowns", &wanted))?;
            show(&on.target, &vec![placed])
        }
        Lockdown::Off(off) => lift(&off),
        Lockdown::Ls(target) => {
            let closed = ask(target.client()?.get("/v1/lockdowns"))?;
            show(&target, &closed)
        }
    }
}

fn lift(off: &Off) -> Done {
    let named = [("route", &off.route), ("reason", &off.reason)];
    let query: Vec<String> = named
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", encode(value.as_ref()?))))
        .collect();
    let path = format!("/v1/lockdowns?{}", query.join("&"));
    let lifted: Vec<String> = ask(off.target.client()?.delete(&path))?;
    if off.target.json {
        say_json(&lifted)?;
    } else if lifted.is_empty() {
        say("nothing was locked down\n")?;
    } else {
        say(&format!("open again: {}\n", lifted.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(target: &Target, closed: &Vec<LockdownView>) -> Done {
    if target.json {
        say_json(closed)?;
    } else if closed.is_empty() {
        say("no lockdowns\n")?;
    } else {
        let rows: Vec<Vec<String>> = closed.iter().map(row).collect();
        say(&table::draw(&["ROUTE", "REMAINING", "UNTIL", "REASON"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(view: &LockdownView) -> Vec<String> {
    let reason = view.reason.clone().unwrap_or_default();
    vec![view.route.clone(), format!("{} s", view.remaining_secs), view.until.clone(), reason]
}
