//! Where clients connect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{HostName, Url};
use crate::secret::SecretRef;

/// One listening address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// What is spoken there.
    pub kind: ListenerKind,
    /// Connections that the system holds until they are accepted.
    pub backlog: u32,
    /// Whether other processes of the same user may listen on the same address.
    pub reuse_port: bool,
    /// After how much silence the system asks whether the other end is still there.
    pub tcp_keepalive: Duration,
    /// Networks whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
}

/// What a listener speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenerKind {
    /// TLS with HTTP/2 and HTTP/1.1.
    Tls(Tls),
    /// HTTP/1.1 without TLS, for a balancer in front that ends TLS.
    Plain,
    /// Plain HTTP that answers nothing but a redirect of the same host and target to `https`.
    RedirectToHttps {
        /// The status of the answer: 308.
        status: u16,
    },
}

/// TLS of one listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// The protocol versions that are offered.
    pub versions: TlsVersions,
    /// Certificates, chosen by the name the client asks for; the first serves a client that names none. Never empty.
    pub certificates: Vec<ListenerCertificate>,
}

/// The protocol versions of a listener. Older ones are not offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersions {
    /// TLS 1.3 only.
    Tls13,
    /// TLS 1.2 and 1.3.
    Tls12And13,
}

/// What tickets for the resumption of TLS sessions are sealed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionTickets {
    /// The secrets that keys are derived from; none means that the process draws keys of its own.
    pub keys: Option<SecretRef>,
    /// How long one key seals.
    pub rotate: Duration,
    /// How long a ticket opens after the interval of its key; at most 24 times `rotate`.
    pub lifetime: Duration,
}

/// A certificate that a listener shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenerCertificate {
    /// From files.
    Files {
        /// The certificate with its key.
        pair: CertificateRef,
        /// The file with the OCSP response that is stapled to it, in DER.
        ocsp: Option<PathBuf>,
    },
    /// Ordered by this process.
    Acme(Acme),
}

/// A certificate that is ordered and renewed by ACME (RFC 8555).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acme {
    /// What it is for: DNS names without patterns. Never empty.
    pub names: Vec<HostName>,
    /// The directory of the authority that issues it.
    pub directory: Url,
    /// Mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// How the names are proved to be ours.
    pub challenge: AcmeChallenge,
}

/// How an ACME server is shown that a name is ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcmeChallenge {
    /// By an answer on port 80 (RFC 8555, section 8.3).
    Http01,
    /// By a certificate in a handshake on port 443 (RFC 8737).
    TlsAlpn01,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateRef {
    /// The file with the certificate chain in PEM, leaf first.
    pub cert: PathBuf,
    /// The private key in PEM.
    pub key: SecretRef,
}
