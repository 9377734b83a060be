//! `ban ls`, `ban add`, `ban rm`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_policy::BanKey;

use super::socket::{Target, ask};
use super::{Done, Failed, say, say_json, table};
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
    /// Only the bans of one rule, as `POLICY/PRIORITY`.
    #[arg(long)]
    rule: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub(super) struct Add {
    /// Whom to ban.
    #[arg(required_unless_present = "from")]
    keys: Vec<String>,
    /// A file of whom to ban: one a line, `#` starts a comment.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
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
    #[arg(required_unless_present = "rule", conflicts_with = "rule")]
    key: Option<String>,
    /// Lift every ban of one rule, as `POLICY/PRIORITY`.
    #[arg(long)]
    rule: Option<String>,
    /// Why, for the audit file.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// How many bytes of keys go over the socket at once.
const KEYS_BYTES_MAX: usize = 32 * 1024;
/// The largest file of keys.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn run(ban: Ban) -> Done {
    match ban {
        Ban::Ls(list) => {
            let query =
                list.rule.map_or_else(String::new, |rule| format!("?rule={}", encode(&rule)));
            let bans = ask(list.target.client()?.get(&format!("/v1/bans{query}")))?;
            show(&list.target, &bans, "no bans\n")
        }
        Ban::Add(add) => place(add),
        Ban::Rm(remove) => {
            let (name, value) = match (&remove.key, &remove.rule) {
                (Some(key), _) => ("key", key.as_str()),
                (None, rule) => ("rule", rule.as_deref().unwrap_or_default()),
            };
            let mut path = format!("/v1/bans?{name}={}", encode(value));
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

/// Places the bans, in as many requests as their number needs. A key that names nobody stops all before the first.
fn place(add: Add) -> Done {
    let mut keys = add.keys;
    if let Some(file) = &add.from {
        keys.extend(from_file(file)?);
    }
    let client = add.target.client()?;
    let for_secs = add.span.map(|span| span.as_secs());
    let mut placed: Vec<BanView> = Vec::new();
    let mut keys = keys.into_iter().peekable();
    while keys.peek().is_some() {
        let mut bytes = 0;
        let some: Vec<String> = std::iter::from_fn(|| {
            keys.next_if(|key| {
                bytes += key.len() + 4;
                bytes <= KEYS_BYTES_MAX || bytes == key.len() + 4
            })
        })
        .collect();
        let wanted = AddBan { keys: some, for_secs, reason: add.reason.clone() };
        let more: Vec<BanView> = ask(client.post("/v1/bans", &wanted))?;
        placed.extend(more);
    }
    show(&add.target, &placed, "the file names nobody\n")
}

/// Reads a file of keys; every line that names nobody is told.
fn from_file(file: &Path) -> Result<Vec<String>, Failed> {
    let shown = file.display();
    let cannot =
        |error: &std::io::Error| Failed::Said(format!("error: cannot read `{shown}`: {error}"));
    let opened = File::open(file).map_err(|error| cannot(&error))?;
    let mut text = String::new();
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    let mut keys = Vec::new();
    let mut wrong = String::new();
    for (number, line) in text.lines().enumerate() {
        let key = line.split(" #").next().unwrap_or_default().trim();
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        match key.parse::<BanKey>() {
            Ok(_) => keys.push(key.to_owned()),
            Err(error) => {
                writeln!(wrong, "{shown}:{}: error: {error}", number + 1)
                    .expect("a string takes all text");
            }
        }
    }
    if wrong.is_empty() {
        return Ok(keys);
    }
    wrong.push_str("nobody is banned; correct the lines and try again");
    Err(Failed::Said(wrong))
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
    say(&table::draw(&["KEY", "REMAINING", "BY", "GENERATION", "SINCE", "REASON"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(ban: &BanView) -> Vec<String> {
    let remaining =
        ban.remaining_secs.map_or_else(|| "permanent".to_owned(), |secs| format!("{secs} s"));
    vec![
        ban.key.clone(),
        remaining,
        ban.origin.clone(),
        ban.generation.to_string(),
        ban.since.clone(),
        ban.reason.clone(),
    ]
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
