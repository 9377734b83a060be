//! `key issue`, `key ls`, `key rotate`, `key revoke`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ban::{duration, encode};
use super::socket::{Target, ask};
use super::{Done, complain, say, say_json, table};
use crate::admin::{ApiKeyView, IssueKey, NewKey, RotateKey};

#[derive(Subcommand, Debug)]
pub(super) enum Key {
    /// Issue a key for a tenant. Its text is shown now and never again: only a hash of it is kept.
    Issue(Issue),
    /// Show the keys that were issued.
    Ls(Target),
    /// Give a key a new text; the old one is taken for a time.
    Rotate(Rotate),
    /// Take a key out of use, from the next request on.
    Revoke(Revoke),
}

#[derive(Args, Debug)]
pub(super) struct Issue {
    /// The tenant that it speaks for.
    #[arg(long)]
    tenant: String,
    /// The subject that it is, such as the name of a service.
    #[arg(long)]
    subject: String,
    /// A role of it; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope of it; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The provider that it is of, where there are several of `kind: api_keys`.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// How long it is good, such as 90d; without it until it is revoked.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    good_for: Option<Duration>,
    /// What for, for the list and the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// The id of the key: what stands between `pck_` and the next `_`.
    id: String,
    /// How long the old text is taken beside the new one.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    overlap: Duration,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// The id of the key.
    id: String,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(key: Key) -> Done {
    match key {
        Key::Issue(issue) => {
            let wanted = IssueKey {
                provider: issue.provider,
                tenant: issue.tenant,
                subject: issue.subject,
                roles: issue.roles,
                scopes: issue.scopes,
                for_secs: issue.good_for.map(|time| time.as_secs()),
                reason: issue.reason,
            };
            show_new(&issue.target, &ask(issue.target.client()?.post("/v1/keys", &wanted))?)
        }
        Key::Ls(target) => {
            let keys: Vec<ApiKeyView> = ask(target.client()?.get("/v1/keys"))?;
            show(&target, &keys)
        }
        Key::Rotate(rotate) => {
            let overlap_secs = rotate.overlap.as_secs();
            let wanted = RotateKey { id: rotate.id, overlap_secs, reason: rotate.reason };
            let client = rotate.target.client()?;
            show_new(&rotate.target, &ask(client.post("/v1/keys/rotate", &wanted))?)
        }
        Key::Revoke(revoke) => {
            let mut path = format!("/v1/keys?id={}", encode(&revoke.id));
            if let Some(reason) = &revoke.reason {
                path.push_str("&reason=");
                path.push_str(&encode(reason));
            }
            let revoked: ApiKeyView = ask(revoke.target.client()?.delete(&path))?;
            if revoke.target.json {
                say_json(&revoked)?;
            } else {
                say(&format!("refused from now on: {}\n", revoked.id))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The text alone on standard output, so that it can be piped; what there is to know beside it.
fn show_new(target: &Target, new: &NewKey) -> Done {
    if target.json {
        say_json(new)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{}\n", new.text))?;
    let ends = new.key.expires.as_deref().unwrap_or("it is revoked");
    let mut said = format!("key {}, good until {ends}; it cannot be shown again", new.key.id);
    if let Some(until) = &new.key.overlap_until {
        said.push_str(&format!("\nthe text before it is taken until {until}"));
    }
    complain(&said);
    Ok(ExitCode::SUCCESS)
}

fn show(target: &Target, keys: &Vec<ApiKeyView>) -> Done {
    if target.json {
        say_json(keys)?;
    } else if keys.is_empty() {
        say("no keys are issued\n")?;
    } else {
        let headings = [
            "ID", "PROVIDER", "TENANT", "SUBJECT", "ROLES", "SCOPES", "ISSUED", "ENDS", "BY",
            "REASON",
        ];
        let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
        say(&table::draw(&headings, &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(key: &ApiKeyView) -> Vec<String> {
    let ends = match &key.expires {
        Some(at) if key.has_ended => format!("ended {at}"),
        Some(at) => at.clone(),
        None => "never".to_owned(),
    };
    vec![
        key.id.clone(),
        key.provider.clone(),
        key.tenant.clone(),
        key.subject.clone(),
        key.roles.join(" "),
        key.scopes.join(" "),
        key.issued.clone(),
        ends,
        key.by.clone(),
        key.reason.clone().unwrap_or_default(),
    ]
}
