//! What is spoken to a backend's servers.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::CertificateRef;

/// What a backend's servers speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS by prior knowledge.
    Http2,
}

/// TLS to a backend's servers. Their certificates are always verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamTls {
    /// The name that the certificate must be for; none means each server's own host.
    pub name: Option<String>,
    /// Whose certificates are believed; none means those that the system believes.
    pub ca: Option<PathBuf>,
    /// What the edge shows.
    pub certificate: Option<CertificateRef>,
}

/// Upgrades to WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebSocket {
    /// How long a connection may last.
    pub timeout: Duration,
    /// What the client may send.
    pub messages: Messages,
}

/// That requests are gRPC: HTTP/2 on both sides, bodies pass as they come, trailers too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grpc {
    /// How long a call may last.
    pub timeout: Duration,
    /// What the client may send.
    pub messages: Messages,
}

/// Limits on the messages of one client's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Messages {
    /// Bytes of one message.
    pub bytes_max: u64,
    /// Messages in a second; a second's worth may come at once.
    pub per_second: u32,
}
