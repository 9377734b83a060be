//! The load generator for capacities: nghttp2's `h2load`, one thread, HTTP/1.1 without TLS.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::edge::HOST;

/// Whether h2load is installed.
pub fn is_installed() -> bool {
    Command::new("h2load").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Loads `url`, as of [`HOST`], for `span` with `connections` connections, each with one request at a time, as fast as it
/// is answered; returns how many got 2xx.
///
/// # Errors
/// When h2load cannot be run or prints what this does not understand.
pub fn run(url: &str, connections: u32, span: Duration) -> io::Result<u64> {
    let mut command = Command::new("h2load");
    command.args(["--h1", "-m1", "-c", &connections.to_string()]);
    command.args(["-D", &span.as_secs().to_string()]);
    command.arg("-H").arg(format!(":authority: {HOST}"));
    let output = command.arg(url).output()?;
    let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("h2load printed: {text}")))
}

fn parse(text: &str) -> Option<u64> {
    let codes = text.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    codes.split(',').find_map(|part| part.trim().strip_suffix(" 2xx"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_refusals_is_read() {
        let text = "finished in 2.01s, 175.00 req/s, 25.46KB/s\nrequests: 350 total, 400 started, 350 done, 340 succeeded, 10 failed, 3 errored, 1 timeout\nstatus codes: 336 2xx, 0 3xx, 0 4xx, 10 5xx\n";
        assert_eq!(parse(text), Some(336));
    }
}
