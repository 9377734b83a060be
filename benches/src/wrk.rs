//! The load generator: Debian's `wrk`, one thread, keep-alive.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Answered requests.
    pub requests: u64,
    /// Requests per second.
    pub per_second: f64,
    /// Latency that 99 of 100 requests stayed under, in milliseconds.
    pub p99_millis: f64,
    /// Answers outside 2xx and 3xx, and socket errors.
    pub failures: u64,
}

/// Whether wrk is installed.
pub fn is_installed() -> bool {
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Loads `url` with `connections` connections for `span`.
///
/// # Errors
/// When wrk cannot be run or prints what this does not understand.
pub fn run(url: &str, host: &str, connections: u32, span: Duration) -> io::Result<Run> {
    let output = Command::new("wrk")
        .args(["-t1", "--latency", "-c", &connections.to_string(), "-d"])
        .arg(format!("{}s", span.as_secs()))
        .args(["-H", &format!("Host: {host}"), url])
        .output()?;
    let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("wrk printed: {text}")))
}

fn parse(text: &str) -> Option<Run> {
    let after =
        |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let bad: u64 =
        after("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?;
    let errors: u64 = after("Socket errors:").map_or(0, |line| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok()).sum()
    });
    Some(Run {
        requests,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p99_millis: millis(after("99%")?)?,
        failures: bad + errors,
    })
}

fn millis(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)];
    units
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_errors_is_read() {
        let text = "Running 1s test @ https://127.0.0.1:1\n  Latency Distribution\n     50%    0.80ms\n     99%    2.04ms\n  70000 requests in 1.00s, 9MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 5\nRequests/sec:  69999.50\n";
        let run = parse(text).expect("the report is whole");
        assert_eq!(
            run,
            Run { requests: 70000, per_second: 69999.5, p99_millis: 2.04, failures: 8 }
        );
    }
}
