//! `status` and `reload`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::socket::{Target, ask};
use super::{Done, say, say_json};
use crate::admin::{ReloadView, StatusView};

#[derive(Args, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    target: Target,
}

pub(super) fn reload(reload: &Reload) -> Done {
    let client = reload.target.client()?;
    let view: ReloadView = ask(client.post("/v1/reload", &json!({})))?;
    if reload.target.json {
        say_json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text: String =
        view.warnings.iter().fold(String::new(), |text, warning| text + warning + "\n");
    let (generation, fingerprint) = (view.generation, short(&view.fingerprint));
    let said = if view.changed {
        format!(
            "generation {generation} ({fingerprint}) is served; {} probes passed\n",
            view.probes.len()
        )
    } else {
        format!("nothing has changed; generation {generation} ({fingerprint}) is served\n")
    };
    text.push_str(&said);
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(status: &Status) -> Done {
    let client = status.target.client()?;
    let view: StatusView = ask(client.get("/v1/status"))?;
    if status.target.json {
        say_json(&view)?;
    } else {
        say(&draw(&view))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(view: &StatusView) -> String {
    let mut rows = vec![
        ("portcullis", format!("{} (pid {}), up {} s", view.version, view.pid, view.uptime_secs)),
        ("configuration", format!("{} ({})", view.config, view.environment)),
        (
            "generation",
            format!("{} ({}), since {}", view.generation, short(&view.fingerprint), view.published),
        ),
        ("last reload", view.last_error.clone().unwrap_or_else(|| "good".to_owned())),
        ("listeners", view.listeners.join(", ")),
        ("metrics", view.metrics.clone().unwrap_or_else(|| "none".to_owned())),
        (
            "geo database",
            view.geo.clone().unwrap_or_else(|| "none: regions are unknown".to_owned()),
        ),
        ("bans", view.bans.to_string()),
        ("rate keys", format!("{} of at most {}", view.rate_keys, view.rate_keys_max)),
    ];
    for policy in &view.policies {
        let routes = policy.routes.join(", ");
        rows.push(("policy", format!("{} from {} on {routes}", policy.id, policy.source)));
    }
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name:<14} {value}").expect("a string takes all text");
        text
    })
}

/// The first twelve digits: enough to tell two configurations apart by eye.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
