//! The one way out: everything that the edge itself fetches goes through this guard.
//!
//! HTTPS only unless the host is listed; public addresses only unless the network is listed, and what is judged is the
//! address that is then connected to, so that a name that resolves to something else in between gains nothing. Redirects
//! are answers, not instructions. An answer has to say where it ends, and is bounded in size and time.

mod address;
mod client;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, CONNECTION, HOST};
use http_body_util::Full;
use portcullis_config::model::{self, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::client::TlsStream;

pub use address::is_public;

/// The guard, as one configuration has it.
#[derive(Debug)]
pub struct Egress {
    rules: model::Egress,
    /// What is trusted in place of the system's authorities.
    authorities: Option<Vec<CertificateDer<'static>>>,
    /// Made when something is fetched for the first time: most configurations fetch nothing.
    tls: OnceLock<Arc<ClientConfig>>,
}

/// What is to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// From where.
    pub url: &'a Url,
    /// What the last answer was tagged with.
    pub etag: Option<&'a str>,
    /// The largest body that is read.
    pub bytes_max: usize,
    /// How long everything may take, from looking the name up to the last byte.
    pub time_max: Duration,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fetched {
    /// What the tag names still holds.
    NotModified,
    /// A whole body.
    Body {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its tag, for the next request.
        etag: Option<String>,
    },
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// What is to be asked is no URL.
    #[error("`{0}` cannot be asked: the URL {1}")]
    NoUrl(String, String),
    /// The URL is plain HTTP and its host is not listed.
    #[error("`{0}` may not be asked over plain HTTP; list it in `egress.plain_http`")]
    PlainHttp(String),
    /// Every address of the host is one that may not be connected to.
    #[error(
        "`{host}` leads to {address}, which is not public; list its network in `egress.networks`"
    )]
    Forbidden {
        /// The host.
        host: String,
        /// Its first address.
        address: std::net::IpAddr,
    },
    /// The name does not resolve.
    #[error("`{0}` has no address")]
    Unresolved(String),
    /// Nobody answers there.
    #[error("no connection to `{host}`: {source}")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate is not trusted, or TLS goes wrong otherwise.
    #[error("no TLS with `{host}`: {source}")]
    Tls {
        /// The host.
        host: String,
        /// What TLS said.
        #[source]
        source: io::Error,
    },
    /// There are no authorities to trust.
    #[error(
        "no certificate authority is known: install `ca-certificates`, or name some in `egress.ca`"
    )]
    NoAuthorities,
    /// The answer sends elsewhere.
    #[error("it answered with a redirect ({0}), and none is followed: name the final URL")]
    Redirect(u16),
    /// The answer is no 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The body is larger than what is read.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer breaks off or is no HTTP, does not say where it ends, or is compressed without being asked.
    #[error("its answer is broken: {0}")]
    Broken(String),
    /// It took too long.
    #[error("it did not answer within {0:?}")]
    TimedOut(Duration),
}

impl EgressError {
    /// Every label of [`Self::label`].
    pub const LABELS: [&str; 12] = [
        "no_url",
        "plain_http",
        "forbidden_address",
        "unresolved",
        "connect",
        "tls",
        "no_authorities",
        "redirect",
        "status",
        "too_large",
        "broken",
        "timed_out",
    ];

    /// Returns the metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoUrl(..) => "no_url",
            Self::PlainHttp(_) => "plain_http",
            Self::Forbidden { .. } => "forbidden_address",
            Self::Unresolved(_) => "unresolved",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::NoAuthorities => "no_authorities",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
            Self::TooLarge(_) => "too_large",
            Self::Broken(_) => "broken",
            Self::TimedOut(_) => "timed_out",
        }
    }
}

impl Egress {
    /// Makes the guard. `authorities` are trusted in place of the system's.
    #[must_use]
    pub const fn new(
        rules: model::Egress,
        authorities: Option<Vec<CertificateDer<'static>>>,
    ) -> Self {
        Self { rules, authorities, tls: OnceLock::new() }
    }

    /// Makes the guard of a configuration that is not compiled yet; `None` if the authorities that it names cannot be
    /// read, which the compilation will say.
    #[must_use]
    pub fn of(rules: &model::Egress) -> Option<Self> {
        let trusted = match &rules.ca {
            Some(path) => Some(authorities(&std::fs::read(path).ok()?)?),
            None => None,
        };
        Some(Self::new(rules.clone(), trusted))
    }

    /// Fetches one body with `GET`.
    ///
    /// # Errors
    /// When the guard refuses, the other end does, or a limit is crossed.
    pub async fn fetch(&self, request: Request<'_>) -> Result<Fetched, EgressError> {
        let fetched = tokio::time::timeout(request.time_max, self.exchange(request));
        fetched.await.unwrap_or(Err(EgressError::TimedOut(request.time_max)))
    }

    /// Asks what `request` says, and returns the whole answer, whatever its status; a redirect is an error. The request's
    /// URI is the whole URL; `Host` and what belongs to the connection are set here.
    ///
    /// # Errors
    /// When the guard refuses, the other end does not answer, or a limit is crossed.
    pub async fn ask(
        &self,
        request: http::Request<Full<Bytes>>,
        bytes_max: usize,
        time_max: Duration,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let asked = tokio::time::timeout(time_max, self.converse(request, bytes_max));
        asked.await.unwrap_or(Err(EgressError::TimedOut(time_max)))
    }

    async fn converse(
        &self,
        mut request: http::Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let written = request.uri().to_string();
        let no_url =
            |why: &dyn std::fmt::Display| EgressError::NoUrl(written.clone(), why.to_string());
        let url = Url::parse(&written).map_err(|why| no_url(&why))?;
        *request.uri_mut() = url.target().parse().map_err(|why| no_url(&why))?;
        let host = HeaderValue::try_from(client::host(&url)).map_err(|why| no_url(&why))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        client::converse(self.open(&url).await?, request, bytes_max).await
    }

    /// Connects to a server that speaks something else than HTTP. TLS is the caller's.
    ///
    /// # Errors
    /// When the guard refuses, or nobody answers.
    pub async fn tcp_to(&self, host: &str, port: u16) -> Result<TcpStream, EgressError> {
        self.connect(&server(host, port)?).await
    }

    /// The same, and speaks TLS from the first byte on.
    ///
    /// # Errors
    /// When the guard refuses, nobody answers, or its certificate is not trusted.
    pub async fn tls_to(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, EgressError> {
        let stream = self.tcp_to(host, port).await?;
        client::handshake(stream, host, self.tls()?).await
    }

    /// Makes a socket that sends datagrams to the first address of a host that may be sent to.
    ///
    /// # Errors
    /// When the guard refuses, or the system does.
    pub async fn udp_to(&self, host: &str, port: u16) -> Result<UdpSocket, EgressError> {
        let unresolved = || EgressError::Unresolved(host.to_owned());
        let addresses = self.addresses(&server(host, port)?).await?;
        let reachable = *addresses.first().ok_or_else(unresolved)?;
        let failed = |source| EgressError::Connect { host: host.to_owned(), source };
        let here = if reachable.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(here).await.map_err(failed)?;
        socket.connect(reachable).await.map_err(failed)?;
        Ok(socket)
    }

    /// Returns the authorities that the other end's certificate is held against, without those that are unusable.
    #[must_use]
    pub fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let all = self.authorities.clone().unwrap_or_else(system_authorities);
        let is_usable =
            |one: &CertificateDer<'static>| RootCertStore::empty().add(one.clone()).is_ok();
        all.into_iter().filter(is_usable).collect()
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Fetched, EgressError> {
        client::exchange(self.open(request.url).await?, request).await
    }

    /// Opens a connection on which a URL may be asked for.
    async fn open(&self, url: &Url) -> Result<Box<dyn Wire>, EgressError> {
        let host = url.host();
        if url.is_https() {
            let stream = self.connect(url).await?;
            return Ok(Box::new(client::handshake(stream, host, self.tls()?).await?));
        }
        if self.rules.plain_http.iter().any(|listed| listed == host) {
            return Ok(Box::new(self.connect(url).await?));
        }
        Err(EgressError::PlainHttp(host.to_owned()))
    }

    /// Connects to the first address of the host that may be connected to and answers.
    async fn connect(&self, url: &Url) -> Result<TcpStream, EgressError> {
        let host = url.host();
        let addresses = self.addresses(url).await?;
        let mut failed = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(source) => failed = Some(source),
            }
        }
        let source = failed.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(EgressError::Connect { host: host.to_owned(), source })
    }

    /// The addresses of a host that may be reached: at least one.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, EgressError> {
        let host = url.host();
        let found = tokio::net::lookup_host((host, url.port())).await;
        let mut addresses: Vec<SocketAddr> =
            found.map_err(|_| EgressError::Unresolved(host.to_owned()))?.collect();
        let Some(first) = addresses.first().copied() else {
            return Err(EgressError::Unresolved(host.to_owned()));
        };
        addresses.retain(|address| self.may_reach(*address));
        if addresses.is_empty() {
            return Err(EgressError::Forbidden { host: host.to_owned(), address: first.ip() });
        }
        Ok(addresses)
    }

    fn may_reach(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        is_public(ip) || self.rules.networks.iter().any(|listed| listed.contains(&ip))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, EgressError> {
        if let Some(tls) = self.tls.get() {
            return Ok(Arc::clone(tls));
        }
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(authorities) => roots.add_parsable_certificates(authorities.iter().cloned()),
            None => roots.add_parsable_certificates(system_authorities()),
        };
        if roots.is_empty() {
            return Err(EgressError::NoAuthorities);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

/// Writes a server as a URL, which is what the guard judges.
fn server(host: &str, port: u16) -> Result<Url, EgressError> {
    let written = match host.contains(':') {
        true => format!("https://[{host}]:{port}/"),
        false => format!("https://{host}:{port}/"),
    };
    Url::parse(&written).map_err(|why| EgressError::NoUrl(written, why.to_owned()))
}

/// A connection with TLS or without.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Reads certificate authorities in PEM; `None` if there is none, or something that is none.
#[must_use]
pub fn authorities(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

fn system_authorities() -> Vec<CertificateDer<'static>> {
    match rustls_native_certs::load_native_certs() {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "the system's certificate authorities cannot be read");
            Vec::new()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
