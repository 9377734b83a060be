//! `allow ls`, `allow add`, `allow rm`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ban::{duration, encode};
use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{AddAllow, AllowAdded, AllowView};

#[derive(Subcommand, Debug)]
pub(super) enum Allow {
    /// Show whom operators spare. Lists that the configuration names under `bans.allow` are not shown.
    Ls(Target),
    /// Spare an address, a network, `user:NAME`, `tenant:NAME` or `fingerprint:JA4`, and end the bans on it.
    Add(Add),
    /// Take an entry out; bans that it ended do not come back.
    Rm(Remove),
}

#[derive(Args, Debug)]
pub(super) struct Add {
    /// Whom to spare.
    key: String,
    /// For how long: `90s`, `10m`, `1h`, `7d`; for good where it is left out.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    span: Option<Duration>,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Remove {
    /// Whom to spare no longer.
    key: String,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(allow: Allow) -> Done {
    match allow {
        Allow::Ls(target) => {
            let entries: Vec<AllowView> = ask(target.client()?.get("/v1/allow"))?;
            if target.json {
                say_json(&entries)?;
            } else if entries.is_empty() {
                say("no operator spares anybody\n")?;
            } else {
                let rows: Vec<_> = entries.iter().map(row).collect();
                say(&table::draw(&["KEY", "REMAINING", "BY", "SINCE", "REASON"], &rows))?;
            }
        }
        Allow::Add(add) => {
            let for_secs = add.span.map(|span| span.as_secs());
            let wanted = AddAllow { key: add.key, for_secs, reason: add.reason };
            let added: AllowAdded = ask(add.target.client()?.post("/v1/allow", &wanted))?;
            if add.target.json {
                say_json(&added)?;
            } else {
                let ended: Vec<_> = added.ended.iter().map(|ban| ban.key.as_str()).collect();
                let ended = if ended.is_empty() { "none".to_owned() } else { ended.join(", ") };
                say(&format!("spared: {}\nbans ended: {ended}\n", added.entry.key))?;
            }
        }
        Allow::Rm(remove) => {
            let mut path = format!("/v1/allow?key={}", encode(&remove.key));
            if let Some(reason) = &remove.reason {
                path.push_str("&reason=");
                path.push_str(&encode(reason));
            }
            let gone: AllowView = ask(remove.target.client()?.delete(&path))?;
            if remove.target.json {
                say_json(&gone)?;
            } else {
                say(&format!("no longer spared: {}\n", gone.key))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(entry: &AllowView) -> Vec<String> {
    let remaining =
        entry.remaining_secs.map_or_else(|| "permanent".to_owned(), |secs| format!("{secs} s"));
    vec![entry.key.clone(), remaining, entry.by.clone(), entry.since.clone(), entry.reason.clone()]
}
