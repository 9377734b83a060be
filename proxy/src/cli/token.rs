//! `token revoke`, `token ls`, `token undo`; `token hmac-key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use portcullis_identity::Algorithm;

use super::ban::encode;
use super::socket::{Target, ask};
use super::{Done, Failed, say, say_json, table};
use crate::admin::{RevocationView, Revoke};
use crate::key_sets::{add_secret, retire_secrets};

#[derive(Subcommand, Debug)]
pub(super) enum Token {
    /// Revoke what was issued: `subject:PROVIDER/NAME`, `tenant:NAME`, `token:PROVIDER/ID`, `key:PROVIDER/ID` or
    /// `provider:NAME`. It counts from the next request on, on this node.
    Revoke(RevokeOne),
    /// Show what is revoked by command.
    Ls(Target),
    /// Take a revocation back.
    Undo(Undo),
    /// Put a new secret at the head of the file of a provider with `kind: hmac`; make the file where there is none.
    HmacKey(HmacKey),
}

#[derive(Args, Debug)]
pub(super) struct HmacKey {
    /// The file, made with mode 0600: a JWK set. A running edge takes it as it is written. Copy it to every edge before its
    /// issuer signs with the new secret.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the new secret is for: `HS256`, `HS384` or `HS512`.
    #[arg(long, value_name = "NAME", default_value = "HS256", value_parser = algorithm)]
    algorithm: Algorithm,
    /// How many of the secrets before stay, so that their tokens are accepted still; 0 retires them all at once.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=7))]
    keep: u8,
    /// Make none: take out all but the newest, once its issuer signs with that.
    #[arg(long, conflicts_with_all = ["algorithm", "keep"])]
    retire: bool,
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    let known = Algorithm::by_name(name).filter(|one| one.is_of_secrets());
    known.ok_or_else(|| "write `HS256`, `HS384` or `HS512`".to_owned())
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
        Token::HmacKey(key) => {
            let kids = match key.retire {
                true => retire_secrets(&key.file),
                false => add_secret(&key.file, key.algorithm, usize::from(key.keep)),
            };
            let kids = kids.map_err(|error| Failed::because(&error, None))?;
            for (at, kid) in kids.iter().enumerate() {
                let said = if at == 0 && !key.retire { "new" } else { "accepted still" };
                say(&format!("{said}: {kid}\n"))?;
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
