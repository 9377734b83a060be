//! Where the logs go.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Url;
use crate::secret::SecretRef;

/// Where the logs go, and what a line looks like. An event is one JSON object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// One line per request.
    pub requests: LogTarget,
    /// One line per security event.
    pub events: LogTarget,
    /// How a request's line is written.
    pub format: LogFormat,
    /// How an event's line is written.
    pub events_format: EventFormat,
    /// Bytes of the events' file, after which a new one begins.
    pub events_file_max: u64,
    /// Files of events that are kept; the oldest is removed.
    pub events_files_max: u32,
    /// Parameters, headers and cookies whose values no log gives, in lower case.
    pub redact: Vec<String>,
    /// How long each class is kept.
    pub keep: Keep,
    /// Who else gets events, by name.
    pub sinks: BTreeMap<String, EventSink>,
    /// Requests that are kept whole and encrypted, where they are.
    pub capture: Option<Capture>,
}

/// How long each class of what is recorded is kept; what has no time is kept by size and number alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// The files of the event log.
    pub security: Option<Duration>,
    /// The files of the request log that were put aside.
    pub access: Option<Duration>,
    /// What was put aside for who investigates an incident.
    pub evidence: Option<Duration>,
}

/// In whose fields an event is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventFormat {
    /// Ours, as `docs/incidents.md` says them.
    Json,
    /// The Elastic Common Schema's.
    Ecs,
    /// The Open Cybersecurity Schema Framework's.
    Ocsf,
    /// The Common Event Format: no JSON, one line of text.
    Cef,
}

/// Somebody else who gets events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventSink {
    /// How.
    pub way: SinkWay,
    /// How a line is written.
    pub format: EventFormat,
}

/// How a sink is spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkWay {
    /// Syslog (RFC 5424).
    Syslog(Syslog),
    /// Lines in the body of a POST.
    Http {
        /// Where they are sent.
        url: Url,
        /// The whole value of `Authorization`.
        authorization: Option<SecretRef>,
    },
}

/// A server of syslog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syslog {
    /// Where and how.
    pub to: SyslogWay,
    /// The facility's code.
    pub facility: u8,
}

/// How syslog is carried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogWay {
    /// One datagram each (RFC 5426).
    Udp {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A stream with counted octets (RFC 6587).
    Tcp {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The same over TLS (RFC 5425).
    Tls {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
    },
    /// One datagram each to a Unix socket.
    Unix(PathBuf),
}

/// Which requests are kept whole, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    /// The operator's public key (X25519, RFC 7748): the process itself cannot read what it has captured.
    pub key: CaptureKey,
    /// The directory of the files.
    pub directory: PathBuf,
    /// One request in so many, besides every refused one; `None` keeps refused ones only.
    pub sample_one_in: Option<NonZeroU32>,
    /// Bytes of a body that is kept; a larger one is left out, and the rest of its request kept.
    pub body_max: u64,
    /// Bytes of a file, after which a new one begins.
    pub file_max: u64,
    /// Files that are kept; the oldest is removed.
    pub files_max: u32,
}

/// A public key of X25519, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CaptureKey(pub [u8; 32]);

impl CaptureKey {
    /// Reads the 44 characters of base64; `None` where they are none, or not of 32 bytes.
    #[must_use]
    pub fn parse(written: &str) -> Option<Self> {
        STANDARD.decode(written).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for CaptureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl Log {
    /// What is left out where the configuration does not say: what credentials are usually called.
    #[must_use]
    pub fn usual_redaction() -> Vec<String> {
        let names = [
            "access_token",
            "api_key",
            "apikey",
            "authorization",
            "client_secret",
            "id_token",
            "license_key",
            "password",
            "refresh_token",
            "secret",
            "session",
            "token",
        ];
        names.map(str::to_owned).to_vec()
    }
}

/// How a request's line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// In the fields of Google's load balancer log.
    CloudLogging,
    /// As one flat JSON object.
    Json,
    /// In the Combined Log Format of Apache and nginx.
    Combined,
}

/// One destination of lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to and opened anew on SIGUSR1.
    File(PathBuf),
    /// Nowhere.
    Off,
}
