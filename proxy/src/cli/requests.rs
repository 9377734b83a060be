//! Where `replay` and `tune` take requests from: a log, or a capture with its key.

use std::path::PathBuf;

use clap::Args;

use super::Failed;
use crate::capture::PrivateKey;
use crate::replay::{Source, open, open_capture};

#[derive(Args, Debug)]
pub(super) struct Requests {
    /// The requests: our request log, a Cloud Logging export (JSON lines or a JSON array), or a HAR file.
    #[arg(long, value_name = "LOG|HAR", required_unless_present = "capture")]
    pub(super) from: Option<PathBuf>,
    /// The requests: a file that `log.capture` has written. They are whole, so that bodies are judged too.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "from")]
    capture: Option<PathBuf>,
    /// The private half of the key that the capture is encrypted to.
    #[arg(long, value_name = "FILE", requires = "capture")]
    key: Option<PathBuf>,
}

impl Requests {
    pub(super) fn open(&self) -> Result<Source, Failed> {
        if let Some(log) = &self.from {
            let help = "our own log is what `log.requests` writes; `gcloud logging read --format json` writes Google's";
            return open(log).map_err(|error| Failed::because(&error, Some(help.to_owned())));
        }
        let missing =
            || Failed::Said("error: neither `--from` nor `--capture` and `--key`".to_owned());
        let (capture, key) = self.capture.as_ref().zip(self.key.as_ref()).ok_or_else(missing)?;
        let key = PrivateKey::read(key).map_err(|error| Failed::because(&error, None))?;
        open_capture(capture, key).map_err(|error| {
            let help = "each file of a capture is opened by the one private key whose public half was `log.capture.key`";
            Failed::because(&error, Some(help.to_owned()))
        })
    }
}
