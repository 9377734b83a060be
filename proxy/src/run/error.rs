//! Why the process does not start, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_config::{Report, Style};

use super::assertion::AssertionError;
use crate::admin::AdminError;
use crate::bans::StoreError;
use crate::capture::CaptureError;
use crate::dev::{DemoError, DevError};
use crate::incidents::IncidentStoreError;
use crate::log::LogError;
use crate::upgrade::UpgradeError;

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not load or compile; its problems are drawn with carets.
    #[error("the configuration cannot be used")]
    Config(Box<Report>),
    /// A directory cannot be made.
    #[error("the directory `{}` cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The development set-up cannot be made.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// The demonstration license cannot be made.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The assertion key cannot be had.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// A listener cannot be bound.
    #[error("cannot listen on `{address}`, {what}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// Which setting it is.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The TLS settings do not go together.
    #[error("the TLS settings of a listener cannot be used")]
    Tls(#[from] rustls::Error),
    /// A log does not open.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Requests cannot be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The admin socket cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The ban file cannot be used.
    #[error(transparent)]
    Bans(#[from] StoreError),
    /// The incident file cannot be used.
    #[error(transparent)]
    Incidents(#[from] IncidentStoreError),
    /// The audit file does not open.
    #[error("the audit file `{}` does not open for appending", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of revocations cannot be used; what was revoked is not to be accepted by that.
    #[error("the file of revocations `{}` cannot be used", path.display())]
    Revocations {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of API keys cannot be used.
    #[error("the file of API keys `{}` cannot be used", path.display())]
    ApiKeys {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of closed routes cannot be used; what was closed is not to be opened by that.
    #[error("the file of lockdowns `{}` cannot be used", path.display())]
    Lockdowns {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The embedded license service does not start.
    #[error("the embedded license service does not start")]
    License(#[from] license_core::StartError),
    /// The system gives no signal handler.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// The process before does not hand over.
    #[error(transparent)]
    Upgrade(UpgradeError),
    /// The system gives no thread.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

impl StartError {
    /// Returns the message with its causes, and the configuration's problems with their carets.
    #[must_use]
    pub fn in_full(&self) -> String {
        if let Self::Config(report) = self {
            return format!("{self}\n{}", report.render(Style::Plain));
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            let said = source.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = source.source();
        }
        text
    }

    /// Says what to do next, where that can be said beyond the message.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Listen { address, source, .. } => Some(listen_help(*address, source)),
            Self::Directory { source, .. } | Self::Audit { source, .. } => {
                (source.kind() == io::ErrorKind::PermissionDenied).then(|| {
                    "let the user that runs portcullis write there, or choose another `state_dir`"
                        .to_owned()
                })
            }
            Self::License(_) => Some(
                "see that `license.database` and `license.socket` are in a directory that this user can write"
                    .to_owned(),
            ),
            Self::Log(_) => Some("create the directory, or change `log` in the configuration".to_owned()),
            Self::Capture(CaptureError::Key(_)) => Some(
                "make a key with `portcullis capture key FILE`, and write the line that it prints".to_owned(),
            ),
            Self::Capture(CaptureError::Directory { .. }) => Some(
                "let the user that runs portcullis write there, or choose another `log.capture.directory`"
                    .to_owned(),
            ),
            Self::Bans(StoreError::Newer { .. }) => Some(
                "start the newer program, or move the file away: its bans are lost then".to_owned(),
            ),
            Self::Bans(_) => {
                Some("is another portcullis running with this `state_dir`?".to_owned())
            }
            Self::Incidents(_) => Some(
                "is another portcullis running with this `state_dir`? Without the file, incidents and what waits to be told are forgotten"
                    .to_owned(),
            ),
            Self::Revocations { .. } => Some(
                "restore it from a backup; without it, everything that was revoked by command is accepted again"
                    .to_owned(),
            ),
            Self::ApiKeys { .. } => Some(
                "restore it from a backup; without it, every key has to be issued again".to_owned(),
            ),
            Self::Lockdowns { .. } => Some(
                "a damaged file can be moved away: every route is open then".to_owned(),
            ),
            Self::Config(_)
            | Self::Dev(_)
            | Self::Demo(_)
            | Self::Assertion(_)
            | Self::Tls(_)
            | Self::Admin(_)
            | Self::Capture(CaptureError::Thread(_))
            | Self::Signals(_)
            | Self::Upgrade(_)
            | Self::Thread(_) => None,
        }
    }
}

fn listen_help(address: SocketAddr, source: &io::Error) -> String {
    let (port, kind) = (address.port(), source.kind());
    if kind == io::ErrorKind::AddrInUse {
        format!(
            "another program has the port: `ss -ltnp 'sport = :{port}'` says which; stop it, or choose another address"
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        format!(
            "port {port} needs a privilege: grant CAP_NET_BIND_SERVICE, or choose a port from 1024"
        )
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this machine does not have the address: `ip address` lists those it has".to_owned()
    } else {
        "choose another address".to_owned()
    }
}
