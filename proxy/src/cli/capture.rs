//! `capture key`: the key that captured requests are encrypted to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Done, Failed, say};
use crate::capture::{KeyError, KeyPair};

#[derive(Subcommand, Debug)]
pub(super) enum Capture {
    /// Make a key: the private half goes into a new file, the public half is printed for `log.capture.key`.
    Key(Key),
}

#[derive(Args, Debug)]
pub(super) struct Key {
    /// The file of the private half, made with mode 0600; one that is there is not replaced.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(capture: &Capture) -> Done {
    let Capture::Key(key) = capture;
    let failed = |error: KeyError| Failed::because(&error, None);
    let pair = KeyPair::generate().map_err(failed)?;
    pair.write(&key.file).map_err(failed)?;
    say(&format!("{}\n", pair.public))?;
    Ok(ExitCode::SUCCESS)
}
