//! `ban ls`, `ban add`, `ban rm`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::socket::{Target, ask};
use super::{Done, say, say_json, table};
use crate::admin::{AddBan, BanView};

#[derive(Subcommand, Debug)]
pub(super) enum Ban {
    /// Show every ban in force, the next to end first.
    Ls(List),
    /// Ban an address, a network, `user:NAME`, `tenant:NAME` or `fingerprint:JA4`.
    Add(Add),
    /// Lift every ban that names an address, or the one ban on another key.
    Rm(Remove),
}

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Add {
    /// Whom to ban.
    key: String,
    /// For how long: `90s`, `10m`, `1h`, `7d`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, required_unless_present = "permanent")]
    span: Option<Duration>,
    /// For good.
    #[arg(long, conflicts_with = "span")]
    permanent: bool,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Remove {
    /// Whose ban to lift.
    key: String,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(ban: Ban) -> Done {
    match ban {
        Ban::Ls(list) => {
            let bans = ask(list.target.client()?.get("/v1/bans"))?;
            show(&list.target, &bans, "no bans\n")
        }
        Ban::Add(add) => {
            let for_secs = add.span.map(|span| span.as_secs());
            let wanted = AddBan { key: add.key, for_secs, reason: add.reason };
            let placed: BanView = ask(add.target.client()?.post("/v1/bans", &wanted))?;
            show(&add.target, &vec![placed], "")
        }
        Ban::Rm(remove) => {
            let mut path = format!("/v1/bans?key={}", encode(&remove.key));
            if let Some(reason) = &remove.reason {
                path.push_str("&reason=");
                path.push_str(&encode(reason));
            }
            let lifted: Vec<BanView> = ask(remove.target.client()?.delete(&path))?;
            if remove.target.json {
                say_json(&lifted)?;
            } else {
                let keys: Vec<_> = lifted.iter().map(|ban| ban.key.as_str()).collect();
                say(&format!("lifted: {}\n", keys.join(", ")))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(target: &Target, bans: &Vec<BanView>, none: &str) -> Done {
    if target.json {
        say_json(bans)?;
        return Ok(ExitCode::SUCCESS);
    }
    if bans.is_empty() {
        say(none)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = bans.iter().map(row).collect();
    say(&table::draw(&["KEY", "REMAINING", "BY", "SINCE", "REASON"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(ban: &BanView) -> Vec<String> {
    let remaining =
        ban.remaining_secs.map_or_else(|| "permanent".to_owned(), |secs| format!("{secs} s"));
    vec![ban.key.clone(), remaining, ban.origin.clone(), ban.since.clone(), ban.reason.clone()]
}

/// Reads a time with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write `90s`, `10m`, `1h` or `7d`");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()), // any other text
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// Percent-encodes everything but letters and digits, for a query.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes all text");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h", Some(3600)),
            ("7d", Some(604_800)),
            ("0s", Some(0)),
            ("1", None),
            ("h", None),
            ("1w", None),
            ("-1s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text).ok().map(|time| time.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn a_key_is_encoded_for_the_query() {
        assert_eq!(encode("rule:a/1=\"ü\""), "rule%3Aa%2F1%3D%22%C3%BC%22");
    }
}
