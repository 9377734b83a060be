//! What the edge costs, and what clients notice of it: `cargo bench -p portcullis-benches --bench edge -- [NAME]
//! [--record]` runs one of `cost`, `change`, `flood`, `holding` and `overload`, or all of them.

mod change;
mod cost;
mod flood;
mod holding;
mod overload;

use std::io;
use std::process::ExitCode;

use portcullis_benches::mode::Mode;
use portcullis_benches::{edge, h2load, nginx, record, stock, wrk};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Bench = fn(Mode) -> io::Result<()>;

const BENCHES: [(&str, Bench); 5] = [
    ("cost", cost::bench),
    ("change", change::bench),
    ("flood", flood::bench),
    ("holding", holding::bench),
    ("overload", overload::bench),
];

fn main() -> ExitCode {
    if edge::is_asked_for() {
        // Only `run` has a folder.
        let arguments: Vec<String> = std::env::args().collect();
        let home = edge::home_of(&arguments).filter(|home| flood::is_asked_for(home));
        if let Some(home) = home {
            return flood::serve(&home).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
        }
        return portcullis::cli::main();
    }
    if let Some(ended) = stock::serve_if_asked() {
        return ended;
    }
    match run(Mode::from_args()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a bench's output is its result")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("edge bench: {error}");
    ExitCode::FAILURE
}

fn run(mode: Mode) -> io::Result<()> {
    if !nginx::is_installed() || !wrk::is_installed() || !h2load::is_installed() {
        return absent();
    }
    let asked: Vec<String> = std::env::args().collect();
    let is_asked = |name: &str| asked.iter().any(|arg| arg == name);
    let is_all = !BENCHES.iter().any(|(name, _)| is_asked(name));
    for (name, bench) in BENCHES {
        if is_all || is_asked(name) {
            bench(mode)?;
        }
    }
    Ok(())
}

fn absent() -> io::Result<()> {
    let message = "nginx, wrk and h2load are needed: bash .ci/packages bench";
    if std::env::var_os("REQUIRE_ALL").is_some() {
        return Err(io::Error::other(message));
    }
    record::publish(Mode::OnePass, "edge", &format!("skipped: {message}"))
}
