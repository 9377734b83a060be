//! The HTTP client to Cloud KMS and to the metadata server: one host, HTTP/1.1, no redirects, an answer of at most
//! 64 KiB, everything within a few seconds. Connections are kept.

use crate::settings::{Endpoint, Secret};
use crate::signing::port::PortError;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The largest answer that is read; the longest of the API is a list of versions.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one exchange takes at most, the connection included; shorter than a signature's deadline.
const EXCHANGE_MAX: Duration = Duration::from_secs(4);
/// Connections that are kept open between exchanges.
const IDLE_MAX: usize = 16;

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A client of one host.
pub(super) struct Client {
    endpoint: Endpoint,
    roots: Option<PathBuf>,
    tls: OnceLock<Arc<ClientConfig>>,
    idle: Mutex<Vec<Sender>>,
}

type Sender = SendRequest<Full<Bytes>>;

impl Client {
    /// Takes the host, and the file of the certificates that are trusted instead of the system's.
    pub(super) const fn new(endpoint: Endpoint, roots: Option<PathBuf>) -> Self {
        Self { endpoint, roots, tls: OnceLock::new(), idle: Mutex::new(Vec::new()) }
    }

    /// Sends a request with a bearer token.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        token: &Secret,
        body: Option<String>,
    ) -> Result<Answer, PortError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| PortError::Refused("the access token is no header's text".to_owned()))?;
        bearer.set_sensitive(true);
        self.exchange(method, target, &[(AUTHORIZATION, bearer)], body).await
    }

    /// Sends a request with these headers.
    pub(super) async fn exchange(
        &self,
        method: Method,
        target: &str,
        headers: &[(http::HeaderName, HeaderValue)],
        body: Option<String>,
    ) -> Result<Answer, PortError> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.endpoint.authority())
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| PortError::Refused(error.to_string()))?;
        timeout(EXCHANGE_MAX, self.answered(request)).await.unwrap_or_else(|_| {
            Err(PortError::Down(format!("{} does not answer in time", self.endpoint.authority())))
        })
    }

    async fn answered(&self, request: Request<Full<Bytes>>) -> Result<Answer, PortError> {
        let kept = self.kept();
        let (mut sender, request) = match kept {
            None => (self.connect().await?, request),
            // The host may have closed a kept connection: what was not sent goes over a new one.
            Some(mut sender) => match sender.try_send_request(request).await {
                Ok(response) => return self.read(sender, response).await,
                Err(mut error) => match error.take_message() {
                    Some(request) => (self.connect().await?, request),
                    None => return Err(broken(&error.into_error())),
                },
            },
        };
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        self.read(sender, response).await
    }

    async fn read(
        &self,
        sender: Sender,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Answer, PortError> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            PortError::Down(format!("the answer breaks off or is too long: {error}"))
        })?;
        let mut idle = self.lock();
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() })
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.lock();
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Sender, PortError> {
        let authority = self.endpoint.authority();
        let down = |error: &dyn std::fmt::Display| PortError::Down(format!("{authority}: {error}"));
        let stream = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await;
        let stream = stream.map_err(|error| down(&error))?;
        stream.set_nodelay(true).map_err(|error| down(&error))?;
        if !self.endpoint.is_tls {
            return begin(TokioIo::new(stream)).await;
        }
        let name = ServerName::try_from(self.endpoint.host.clone())
            .map_err(|error| PortError::Refused(error.to_string()))?;
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector.connect(name, stream).await.map_err(|error| down(&error))?;
        begin(TokioIo::new(stream)).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, PortError> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let mut roots = RootCertStore::empty();
        match &self.roots {
            None => {
                let system = rustls_native_certs::load_native_certs()
                    .map_err(|error| PortError::Refused(format!("the system's roots: {error}")))?;
                roots.add_parsable_certificates(system);
            }
            Some(path) => {
                let refused = |error: &dyn std::fmt::Display| {
                    PortError::Refused(format!("`{}`: {error}", path.display()))
                };
                let read = CertificateDer::pem_file_iter(path).map_err(|error| refused(&error))?;
                for certificate in read {
                    let certificate = certificate.map_err(|error| refused(&error))?;
                    roots.add(certificate).map_err(|error| refused(&error))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(PortError::Refused("no certificate authority is trusted".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| PortError::Refused(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }
}

async fn begin<S>(stream: S) -> Result<Sender, PortError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(stream).await.map_err(|error| broken(&error))?;
    // It ends with the sender, or with the host.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the signer ended");
        }
    });
    Ok(sender)
}

fn broken(error: &hyper::Error) -> PortError {
    PortError::Down(format!("the connection broke: {error}"))
}
