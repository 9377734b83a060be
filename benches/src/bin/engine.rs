//! `engine --rules CONF --seconds N REQ...`: how long the engine takes for each request file, in processor time.
//!
//! Prints `REQ: X us/req blocked=B`. CONF is a SecLang file that includes the rest; a REQ file is the method line,
//! the URI line, header lines, a blank line, the body.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_benches::inspect::{compile, cpu_seconds, inspect};
use portcullis_benches::request_file::RequestFile;
use seclang::Program;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests between two looks at the clock.
const BATCH: u32 = 16;

#[derive(Debug, clap::Parser)]
#[command(about = "Times the engine on request files")]
struct Arguments {
    /// The SecLang file that includes the rest.
    #[arg(long, value_name = "CONF")]
    rules: PathBuf,
    /// How long each request file is repeated.
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    seconds: f64,
    /// The request files.
    #[arg(value_name = "REQ", required = true)]
    requests: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&<Arguments as clap::Parser>::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a command talks to its terminal")]
fn fail(error: &io::Error) -> ExitCode {
    eprintln!("engine: {error}");
    ExitCode::FAILURE
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let program = compile(&arguments.rules)?;
    for path in &arguments.requests {
        let request = RequestFile::read(path)?;
        time(&program, path, &request, arguments.seconds)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command talks to its terminal")]
fn time(
    program: &Arc<Program>,
    path: &Path,
    request: &RequestFile,
    seconds: f64,
) -> io::Result<()> {
    let mut transaction = program.start();
    let blocked = inspect(&mut transaction, request);
    let begin = cpu_seconds()?;
    let mut count = 0;
    let mut spent = 0.0;
    while spent < seconds {
        for _ in 0..BATCH {
            transaction.reset();
            inspect(&mut transaction, request);
        }
        count += BATCH;
        spent = cpu_seconds()? - begin;
    }
    let micros = spent * 1e6 / f64::from(count);
    println!("{}: {micros:.2} us/req blocked={}", path.display(), u8::from(blocked));
    Ok(())
}
