//! Finding the running process.

use std::future::Future;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{DATA_DIR, Failed};
use crate::admin::{Client, ClientError};
use crate::origin::Origin;

/// Which process is meant.
#[derive(Args, Debug)]
pub(super) struct Target {
    /// The admin socket; `PORTCULLIS_SOCKET` names it as well.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration of the process, which names the socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Target {
    /// Makes a client of the process that is meant: by its socket, its configuration, or the embedded default.
    pub(super) fn client(&self) -> Result<Client, Failed> {
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket));
        }
        let named = std::env::var_os("PORTCULLIS_SOCKET").filter(|_| self.config.is_none());
        if let Some(socket) = named {
            return Ok(Client::new(Path::new(&socket)));
        }
        let origin = match &self.config {
            Some(config) => Origin::File(config.clone()),
            None => Origin::Embedded { data_dir: DATA_DIR.into() },
        };
        match origin.load() {
            Ok(loaded) => Ok(Client::new(&loaded.config.admin.socket)),
            Err(report) => Err(Failed::Said(format!(
                "error: {origin} names no socket, because it cannot be used:\n{report}\n  help: name the socket with `--socket`"
            ))),
        }
    }
}

/// Runs one exchange with the process.
pub(super) fn ask<T>(exchange: impl Future<Output = Result<T, ClientError>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::because(&error, None))?;
    runtime.block_on(exchange).map_err(|error| match &error {
        ClientError::Refused(failure) => {
            let mut text = failure.problems.join("\n");
            text.push_str("error: ");
            text.push_str(&failure.error);
            Failed::Said(text)
        }
        ClientError::Connect { .. } | ClientError::Protocol(_) => Failed::because(&error, None),
    })
}
