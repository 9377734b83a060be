//! A client of the service, for programs that take seats: typed calls over a connection that the caller brings (a Unix
//! socket, TCP, TLS to the edge), with the caller's credential.
//!
//! ```no_run
//! # async fn seat() -> Result<(), Box<dyn std::error::Error>> {
//! use license_core::client::{Acquire, Bearer, Client, ClientError};
//! let stream = tokio::net::UnixStream::connect("/run/license-core/license.sock").await?;
//! let mut client = Client::over(stream, "license", Bearer::new("token")?).await?;
//! match client.acquire(&Acquire::of("LIC-…", "machine-1")).await {
//!     Ok(lease) => println!("leased until {}, heartbeat in {} s", lease.expires_at, lease.heartbeat_interval),
//!     Err(ClientError::Refused(refusal)) if !refusal.conclusive => println!("ask again: {refusal}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, InvalidHeaderValue, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

/// Far more than any answer has.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a request is let in by.
pub trait Credential {
    /// Returns the header that vouches for a request.
    fn header(&self, method: &Method, target: &str, body: &[u8]) -> (HeaderName, HeaderValue);
}

/// A bearer token, as the edge takes it.
#[derive(Clone)]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// Takes a token.
    ///
    /// # Errors
    /// When it is no text of a header.
    pub fn new(token: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl Credential for Bearer {
    fn header(&self, _: &Method, _: &str, _: &[u8]) -> (HeaderName, HeaderValue) {
        (AUTHORIZATION, self.0.clone())
    }
}

/// Why there is no answer to act on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refuses. A client may stop working only on a conclusive refusal.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection broke: what became of the request is not known.
    #[error("the connection broke")]
    Connection(#[from] hyper::Error),
    /// The answer is not one of this service.
    #[error("the answer is not one of the license service's")]
    Foreign,
    /// The request cannot be written: its host, path or credential is no text of a header.
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
}

/// A refusal, as the service and the edge write it.
#[derive(Clone, Debug, Deserialize)]
pub struct Refusal {
    /// The status; it stands in no body.
    #[serde(skip)]
    pub status: u16,
    /// The code: `no_seats_available`, `session_expired`, …
    pub error: String,
    /// What it means, for people.
    pub message: String,
    /// By which the logs know the request.
    pub request_id: String,
    /// Whether the same request may be answered otherwise later.
    pub retryable: bool,
    /// Whether it is the service's verdict on the license.
    pub conclusive: bool,
    /// What else there is to say.
    pub details: Map<String, Value>,
    /// After how many seconds to ask again, where the service says it.
    #[serde(skip)]
    pub retry_after_secs: Option<u64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.message, self.status, self.error)
    }
}

/// Who wants a seat where.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Acquire {
    /// The license's key.
    pub license_key: String,
    /// What the machine is known by.
    pub hardware_id: String,
    /// The user's mail address, for people who look at holders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// A few short texts about the client.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The session whose seat is to be taken when no other is free, where the policy lets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take_over: Option<Uuid>,
    /// The receipt of a lease that is not over, after the service was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl Acquire {
    /// Wants a seat of a license for a machine, and says no more.
    #[must_use]
    pub fn of(license_key: &str, hardware_id: &str) -> Self {
        Self {
            license_key: license_key.to_owned(),
            hardware_id: hardware_id.to_owned(),
            ..Self::default()
        }
    }
}

/// A seat that is leased.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Lease {
    /// The session that holds it.
    pub session_id: Uuid,
    /// The license.
    pub license_id: Uuid,
    /// Of two leases of one license, the greater was granted later.
    pub lease_epoch: i64,
    /// When the lease ends without a heartbeat, in RFC 3339.
    pub expires_at: String,
    /// In how many seconds to heartbeat.
    pub heartbeat_interval: u64,
    /// What proves the lease where no service is; absent while nothing signs.
    pub receipt: Option<String>,
    /// How many seats are leased; of acquires and reconnects.
    pub seats_used: Option<u32>,
    /// How many there are; of acquires and reconnects.
    pub seats_total: Option<u32>,
}

/// A seat that is offline.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Borrowed {
    /// What `signing::verify_offline` verifies.
    pub borrow_token: String,
    /// Until when, in RFC 3339.
    pub borrowed_until: String,
    /// Of two tokens of one license, the greater was given later.
    pub sequence: i64,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// One connection to a service; it carries one request at a time.
#[derive(Debug)]
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Speaks HTTP/1.1 over a stream. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, ClientError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, or says why it broke to whoever asks next.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request and returns the answer, whatever it says.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is longer than any of the service's.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        self.0.ready().await?;
        let (parts, body) = self.0.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(broken) => ClientError::Connection(*broken),
            Err(_too_long) => ClientError::Foreign,
        })?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

/// A client of the service.
#[derive(Debug)]
pub struct Client<C> {
    connection: Connection,
    host: String,
    credential: C,
}

impl<C: Credential> Client<C> {
    /// Speaks to a service over a stream; `host` is what it is asked by (`Host`).
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
        credential: C,
    ) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::over(stream).await?, host: host.to_owned(), credential })
    }

    /// Acquires a seat, or gets back the one that the caller holds on this machine.
    ///
    /// # Errors
    /// When there is none, or no answer.
    pub async fn acquire(&mut self, wanted: &Acquire) -> Result<Lease, ClientError> {
        self.ask(Method::POST, "/api/v1/license/acquire", Some(&json!(wanted))).await
    }

    /// Extends the lease of a live session.
    ///
    /// # Errors
    /// When the session ended (410: acquire anew), or there is no answer.
    pub async fn heartbeat(&mut self, session: Uuid) -> Result<Lease, ClientError> {
        self.ask(Method::PATCH, &format!("{}/heartbeat", path(session)), None).await
    }

    /// Gives a seat back.
    ///
    /// # Errors
    /// When the session is not the caller's, or there is no answer.
    pub async fn release(&mut self, session: Uuid) -> Result<(), ClientError> {
        self.answered(Method::DELETE, &path(session), None).await.map(drop)
    }

    /// Comes back after an absence: the old session where it lives, a new one where its lease ran out.
    ///
    /// # Errors
    /// When it was released or taken back, no seat is free, or there is no answer.
    pub async fn reconnect(&mut self, session: Uuid, hardware: &str) -> Result<Lease, ClientError> {
        let body = json!({"old_session_id": session, "hardware_id": hardware});
        self.ask(Method::POST, "/api/v1/license/reconnect", Some(&body)).await
    }

    /// Takes the seat of a live session offline.
    ///
    /// # Errors
    /// When that is not allowed or nothing signs, or there is no answer.
    pub async fn borrow(&mut self, session: Uuid, secs: u64) -> Result<Borrowed, ClientError> {
        let body = json!({ "duration_secs": secs });
        self.ask(Method::POST, &format!("{}/borrow", path(session)), Some(&body)).await
    }

    /// Brings a seat back from offline, and returns the receipt of it, which is absent while nothing signs.
    ///
    /// # Errors
    /// When the session is not the caller's, or there is no answer.
    pub async fn give_back(&mut self, session: Uuid) -> Result<Option<String>, ClientError> {
        #[derive(Deserialize)]
        struct Returned {
            return_receipt: Option<String>,
        }
        let target = format!("{}/return", path(session));
        let returned: Returned = self.ask(Method::POST, &target, None).await?;
        Ok(returned.return_receipt)
    }

    /// Asks anything of the service and reads its answer.
    ///
    /// # Errors
    /// When it refuses, or there is no answer of this form.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let answer = self.answered(method, target, body).await?;
        serde_json::from_slice(&answer.body).map_err(|_| ClientError::Foreign)
    }

    async fn answered(
        &mut self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ClientError> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (name, value) = self.credential.header(&method, target, &body);
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &self.host)
            .header(name, value);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let answer = self.connection.send(request.body(Full::new(body))?).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(refused(&answer)) }
    }
}

fn path(session: Uuid) -> String {
    format!("/api/v1/license/sessions/{session}")
}

fn refused(answer: &Answer) -> ClientError {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer.body) else {
        return ClientError::Foreign;
    };
    let secs = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    ClientError::Refused(Refusal {
        status: answer.status.as_u16(),
        retry_after_secs: secs.and_then(|secs| secs.parse().ok()),
        ..refusal
    })
}
