//! `tls ticket-key`: the secrets of session tickets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Done, Failed, say};
use crate::tickets::add_secret;

#[derive(Subcommand, Debug)]
pub(super) enum Tls {
    /// Put a new key at the head of the file of `session_tickets.keys`; make the file where there is none.
    TicketKey(TicketKey),
}

#[derive(Args, Debug)]
pub(super) struct TicketKey {
    /// The file, made with mode 0600. A running edge takes it as it is read; copy it to every node that shares it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many of the keys before stay, so that their tickets open still; 0 retires them all at once.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=7))]
    keep: u8,
}

pub(super) fn run(tls: &Tls) -> Done {
    let Tls::TicketKey(TicketKey { file, keep }) = tls;
    let count = add_secret(file, usize::from(*keep));
    let count = count.map_err(|error| Failed::because(&error, None))?;
    let keys = if count == 1 { "key" } else { "keys" };
    say(&format!("{}: {count} {keys}\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
