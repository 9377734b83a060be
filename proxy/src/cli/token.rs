//! `token revoke`, `token ls`, `token undo`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::ban::encode;
use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{RevocationView, Revoke};

#[derive(Subcommand, Debug)]
pub(super) enum Token {
    /// Revoke what was issued: `subject:PROVIDER/NAME`, `tenant:NAME`, `token:PROVIDER/ID`, `key:PROVIDER/ID` or
    /// `provider:NAME`. It counts from the next request on, on this node.
    Revoke(RevokeOne),
    /// Show what is revoked by command.
    Ls(Target),
    /// Take a revocation back.
    Undo(Undo),
}

#[derive(Args, Debug)]
pub(super) struct RevokeOne {
    /// What to revoke.
    what: String,
    /// Only what was issued before this moment, such as 2026-01-31T12:00:00Z. Without it: before now; a single token and
    /// a key wholly.
    #[arg(long, value_name = "MOMENT", conflicts_with = "all")]
    before: Option<String>,
    /// Also what will be issued, until it is undone.
    #[arg(long)]
    all: bool,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Undo {
    /// What was revoked.
    what: String,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(token: Token) -> Done {
    match token {
        Token::Revoke(one) => {
            let wanted =
                Revoke { what: one.what, before: one.before, all: one.all, reason: one.reason };
            let revoked: RevocationView =
                ask(one.target.client()?.post("/v1/revocations", &wanted))?;
            show(&one.target, &vec![revoked])
        }
        Token::Ls(target) => {
            let revoked = ask(target.client()?.get("/v1/revocations"))?;
            show(&target, &revoked)
        }
        Token::Undo(undo) => {
            let mut path = format!("/v1/revocations?what={}", encode(&undo.what));
            if let Some(reason) = &undo.reason {
                path.push_str("&reason=");
                path.push_str(&encode(reason));
            }
            let undone: RevocationView = ask(undo.target.client()?.delete(&path))?;
            if undo.target.json {
                say_json(&undone)?;
            } else {
                say(&format!("accepted again: {}\n", undone.what))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(target: &Target, revoked: &Vec<RevocationView>) -> Done {
    if target.json {
        say_json(revoked)?;
    } else if revoked.is_empty() {
        say("nothing is revoked by command\n")?;
    } else {
        let rows: Vec<Vec<String>> = revoked.iter().map(row).collect();
        say(&table::draw(&["REVOKED", "ISSUED", "SINCE", "BY", "REASON"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(view: &RevocationView) -> Vec<String> {
    let issued =
        view.before.as_ref().map_or_else(|| "at any time".to_owned(), |at| format!("before {at}"));
    let reason = view.reason.clone().unwrap_or_default();
    vec![view.what.clone(), issued, view.since.clone(), view.by.clone(), reason]
}
