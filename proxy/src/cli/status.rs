//! `status`, `reload` and `upgrade`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::ban::duration;
use super::socket::{Target, ask};
use super::{Done, say, say_json};
use crate::admin::{
    CertificateView, ReloadView, StatusView, TestedView, UpgradeView, WantReload, WantUpgrade,
};

#[derive(Args, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Reload {
    /// Go back to what is served now after this time (`90s`, `5m`), unless `reload --keep` comes before.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm: Option<Duration>,
    /// Keep what `reload --confirm` published. Reads no file.
    #[arg(long, conflicts_with = "confirm")]
    keep: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Upgrade {
    /// The new program. Without it: the path from which the running process was started.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn upgrade(upgrade: &Upgrade) -> Done {
    let absolute =
        |program: &PathBuf| std::path::absolute(program).unwrap_or_else(|_| program.clone());
    let wanted = WantUpgrade { program: upgrade.program.as_ref().map(absolute) };
    let view: UpgradeView = ask(upgrade.target.client()?.post("/v1/upgrade", &wanted))?;
    if upgrade.target.json {
        say_json(&view)?;
    } else {
        let UpgradeView { pid, generation } = view;
        say(&format!("process {pid} serves generation {generation}; the process before drains\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn reload(reload: &Reload) -> Done {
    let client = reload.target.client()?;
    let view: ReloadView = if reload.keep {
        ask(client.post("/v1/reload/keep", &json!({})))?
    } else {
        let confirm_secs = reload.confirm.map(|wait| wait.as_secs());
        ask(client.post("/v1/reload", &WantReload { confirm_secs }))?
    };
    if reload.target.json {
        say_json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    if reload.keep {
        say(&format!("generation {} is kept\n", view.generation))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text: String =
        view.warnings.iter().fold(String::new(), |text, warning| text + warning + "\n");
    let (generation, fingerprint) = (view.generation, short(&view.fingerprint));
    let said = if view.changed {
        format!(
            "generation {generation} ({fingerprint}) is served; {} probes and {} tests passed\n",
            view.probes.len(),
            view.tests
        )
    } else {
        format!("nothing has changed; generation {generation} ({fingerprint}) is served\n")
    };
    text.push_str(&said);
    if let Some(at) = &view.revert_at {
        text.push_str(&format!(
            "it is taken back at {at} unless you say `portcullis reload --keep`\n"
        ));
    }
    text.push_str(&released(&view));
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Offers the release of bans whose rules are not what they were.
fn released(view: &ReloadView) -> String {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in view.changed_bans.iter().filter_map(|ban| ban.rule.as_deref()) {
        *rules.entry(rule).or_default() += 1;
    }
    rules.iter().fold(String::new(), |mut text, (rule, count)| {
        writeln!(
            text,
            "{count} live bans are of the rule {rule}, which has changed: they stand; `portcullis ban ls --rule {rule}` lists them, `portcullis ban rm --rule {rule}` releases them"
        )
        .expect("a string takes all text");
        text
    })
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
        ("last reload", last_reload(view)),
        ("listeners", view.listeners.join(", ")),
        ("metrics", view.metrics.clone().unwrap_or_else(|| "none".to_owned())),
        (
            "geo database",
            view.geo.clone().unwrap_or_else(|| "none: regions are unknown".to_owned()),
        ),
        (
            "ASN database",
            view.networks.clone().unwrap_or_else(|| "none: network numbers are unknown".to_owned()),
        ),
        ("bans", view.bans.to_string()),
        ("rate keys", format!("{} of at most {}", view.rate_keys, view.rate_keys_max)),
    ];
    rows.extend(view.tests.as_ref().map(|tests| ("tests", tested(tests))));
    for list in &view.lists {
        let age = match (&list.fetched, list.stale) {
            (Some(fetched), false) => format!(", fetched {fetched}"),
            (Some(fetched), true) => format!(", STALE: fetched {fetched}"),
            (None, true) => ", NOT FETCHED YET".to_owned(),
            (None, false) => String::new(),
        };
        let (name, prefixes, source) = (&list.name, list.prefixes, &list.source);
        rows.push(("list", format!("{name}: {prefixes} prefixes from {source}{age}")));
    }
    rows.extend(view.certificates.iter().map(|one| ("certificate", certificate(one))));
    for policy in &view.policies {
        let routes = policy.routes.join(", ");
        rows.push(("policy", format!("{} from {} on {routes}", policy.id, policy.source)));
    }
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name:<14} {value}").expect("a string takes all text");
        text
    })
}

fn certificate(view: &CertificateView) -> String {
    let names = view.names.join(", ");
    let held = match &view.not_after {
        Some(not_after) => format!("valid until {not_after}"),
        None => "NOT ISSUED YET".to_owned(),
    };
    let next = view.next_order.as_ref().map(|at| format!(", next order {at}")).unwrap_or_default();
    let wrong = view.last_error.as_ref().map(|why| format!(", LAST ORDER FAILED: {why}"));
    format!("{names} from {}: {held}{next}{}", view.directory, wrong.unwrap_or_default())
}

fn tested(tests: &TestedView) -> String {
    let TestedView { files, passed, failed } = tests;
    let said = format!("{passed} passed");
    let said = if *failed > 0 { format!("{said}, {failed} FAILED") } else { said };
    format!("{said} (of {files} files)")
}

fn last_reload(view: &StatusView) -> String {
    if let Some(error) = &view.last_error {
        return error.clone();
    }
    if let Some(at) = &view.revert_at {
        return format!("taken back at {at} unless `portcullis reload --keep` comes before");
    }
    if view.rolled_back {
        return "rolled back: the files hold another configuration".to_owned();
    }
    "good".to_owned()
}

/// The first twelve digits: enough to tell two configurations apart by eye.
pub(super) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
