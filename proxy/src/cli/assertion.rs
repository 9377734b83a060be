//! `assertion rotate`, `assertion show`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ban::duration;
use super::socket::{Target, ask};
use super::{Done, say, say_json};
use crate::admin::{AssertionView, RotateAssertion};

#[derive(Subcommand, Debug)]
pub(super) enum Assertion {
    /// Sign with a new key from now on; backends accept the old one for a time. A key that the configuration gives is read
    /// again: put the new one in its place first.
    Rotate(Rotate),
    /// Show which key signs, and which are accepted still.
    Show(Target),
}

#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// How long the old key is published beside the new one. An assertion is valid for a minute.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    overlap: Duration,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(assertion: Assertion) -> Done {
    match assertion {
        Assertion::Rotate(rotate) => {
            let wanted =
                RotateAssertion { overlap_secs: rotate.overlap.as_secs(), reason: rotate.reason };
            let client = rotate.target.client()?;
            show(&rotate.target, &ask(client.post("/v1/assertion/rotate", &wanted))?)
        }
        Assertion::Show(target) => show(&target, &ask(target.client()?.get("/v1/assertion"))?),
    }
}

fn show(target: &Target, view: &AssertionView) -> Done {
    if target.json {
        say_json(view)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("signs: {}\npublic keys: {}\n", view.kid, view.jwks.display()))?;
    for old in &view.retired {
        say(&format!("accepted until {}: {}\n", old.until, old.kid))?;
    }
    Ok(ExitCode::SUCCESS)
}
