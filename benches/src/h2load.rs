//! The load generator for rates: nghttp2's `h2load`, one thread, HTTP/1.1 without TLS.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::edge::HOST;

/// What one run of h2load saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Requests that were sent.
    pub sent: u64,
    /// Answered with 2xx.
    pub good: u64,
    /// Answered with 5xx.
    pub refused: u64,
    /// Without an answer: broken connections and timeouts.
    pub broken: u64,
}

/// Whether h2load is installed.
pub fn is_installed() -> bool {
    Command::new("h2load").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Loads `url`, as of [`HOST`], for `span` with `connections` connections, each with one request at a time: as fast as it is answered, or
/// `per_second` requests on all of them together.
///
/// # Errors
/// When h2load cannot be run or prints what this does not understand.
pub fn run(
    url: &str,
    connections: u32,
    per_second: Option<f64>,
    span: Duration,
) -> io::Result<Run> {
    let mut command = Command::new("h2load");
    command.args(["--h1", "-m1", "-c", &connections.to_string()]);
    command.args(["-D", &span.as_secs().to_string()]);
    command.arg("-H").arg(format!(":authority: {HOST}"));
    if let Some(rate) = per_second {
        command.arg(format!("--rps={}", rate / f64::from(connections)));
    }
    let output = command.arg(url).output()?;
    let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("h2load printed: {text}")))
}

fn parse(text: &str) -> Option<Run> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let counts = |line: &str| -> Vec<(u64, String)> {
        let parts = line.split(',').filter_map(|part| part.trim().split_once(' '));
        parts.filter_map(|(count, what)| Some((count.parse().ok()?, what.to_owned()))).collect()
    };
    let of = |counts: &[(u64, String)], what: &str| {
        counts.iter().find(|(_, name)| name == what).map(|(count, _)| *count)
    };
    let (requests, codes) = (counts(line("requests: ")?), counts(line("status codes: ")?));
    Some(Run {
        sent: of(&requests, "done")?,
        good: of(&codes, "2xx")?,
        refused: of(&codes, "5xx")?,
        broken: of(&requests, "errored")? + of(&requests, "timeout")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_refusals_is_read() {
        let text = "finished in 2.01s, 175.00 req/s, 25.46KB/s\nrequests: 350 total, 400 started, 350 done, 340 succeeded, 10 failed, 3 errored, 1 timeout\nstatus codes: 336 2xx, 0 3xx, 0 4xx, 10 5xx\n";
        let run = parse(text).expect("the report is whole");
        assert_eq!(run, Run { sent: 350, good: 336, refused: 10, broken: 4 });
    }
}
