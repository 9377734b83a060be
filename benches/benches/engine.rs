//! What does one request cost in the engine, beside libmodsecurity on the same rules and requests?
//!
//! Both run in process on one core, in turn, several rounds; the minimum of each is quoted, which is what the
//! machine can do when nobody disturbs it, and the ratio of the minima. The rules are Debian's OWASP CRS 3.3, or
//! those of the SecLang file named by `PORTCULLIS_BENCH_RULES` (a CRS 4, for one).

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use portcullis_benches::mode::Mode;
use portcullis_benches::rule_files::{self, Chosen};
use portcullis_benches::{machine, record};

const REQUESTS: [(&str, &str); 4] = [
    ("a", "GET, 8 headers, 2 arguments"),
    ("b", "JSON POST of 1 KB"),
    ("c", "form POST of 10 KB, 40 arguments"),
    ("d", "GET with an SQL injection"),
];

struct Row {
    what: &'static str,
    ours: f64,
    peer: Option<f64>,
}

fn main() -> ExitCode {
    match bench(Mode::from_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a bench's output is its result")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("engine bench: {error}");
    ExitCode::FAILURE
}

fn bench(mode: Mode) -> io::Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Chosen { path: rules, set, suffix } = rule_files::chosen();
    let dir = tempfile::tempdir()?;
    let peer = build_peer(home, dir.path())?;
    let span = mode.span(Duration::from_secs(2));
    let mut rows = Vec::new();
    for (name, what) in REQUESTS {
        let request = home.join(format!("requests/{name}.req"));
        let mut row = Row { what, ours: f64::INFINITY, peer: None };
        for _ in 0..mode.rounds(4) {
            row.ours = row.ours.min(ours(&rules, span, &request)?);
            if let Some(peer) = &peer {
                let figure = theirs(peer, &rules, span, &request)?;
                row.peer = Some(row.peer.map_or(figure, |least| least.min(figure)));
            }
        }
        rows.push(row);
    }
    record::publish(mode, &format!("engine-{suffix}"), &table(set, &rows))
}

/// Compiles the peer from Debian's `libmodsecurity-dev`, when that is installed.
fn build_peer(home: &Path, dir: &Path) -> io::Result<Option<PathBuf>> {
    let program = dir.join("modsecurity");
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(home.join("peers/modsecurity.c"))
        .arg("-lmodsecurity")
        .output()?;
    if built.status.success() {
        return Ok(Some(program));
    }
    if std::env::var_os("REQUIRE_ALL").is_some() {
        return Err(io::Error::other("libmodsecurity-dev is needed: bash .ci/packages bench"));
    }
    Ok(None)
}

fn ours(rules: &Path, span: Duration, request: &Path) -> io::Result<f64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    command
        .arg("--rules")
        .arg(rules)
        .args(["--seconds", &span.as_secs_f64().to_string()])
        .arg(request);
    micros(&mut command)
}

fn theirs(peer: &Path, rules: &Path, span: Duration, request: &Path) -> io::Result<f64> {
    micros(Command::new(peer).arg(rules).arg(span.as_secs_f64().to_string()).arg(request))
}

fn micros(command: &mut Command) -> io::Result<f64> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    let figure = text.split(": ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    figure.ok_or_else(|| {
        let said = String::from_utf8(output.stderr).unwrap_or_default();
        io::Error::other(format!("{command:?} printed `{text}`: {said}"))
    })
}

fn table(set: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "# The engine beside libmodsecurity\n\n{}; {set}, paranoia level 1; processor time, minima.\n\n| request | seclang µs | libmodsecurity µs | times fewer |\n|---|---|---|---|\n",
        machine::describe()
    );
    for Row { what, ours, peer } in rows {
        let line = match peer {
            Some(peer) => writeln!(text, "| {what} | {ours:.1} | {peer:.1} | {:.1} |", peer / ours),
            None => writeln!(text, "| {what} | {ours:.1} | not installed | – |"),
        };
        line.expect("writing to a string does not fail");
    }
    text
}
