//! The command line's side of the socket.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::message::Failure;

/// The largest answer that is read: a hundred thousand bans are below it.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Talks to one running process.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a command got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no portcullis answers on `{}` ({source}): start one, or name its configuration with `--config` or its socket with `--socket`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The process refused, and says why.
    #[error("{}", .0.error)]
    Refused(Failure),
    /// The other end broke off or speaks something else.
    #[error("the admin socket gave no valid answer: {0}")]
    Protocol(String),
}

impl Client {
    /// Makes a client of the process that listens on `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks `GET path`.
    ///
    /// # Errors
    /// When nobody listens, or the answer is a refusal.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Asks `DELETE path`.
    ///
    /// # Errors
    /// When nobody listens, or the answer is a refusal.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::DELETE, path, Bytes::new()).await
    }

    /// Asks `POST path` with `message` as JSON.
    ///
    /// # Errors
    /// When nobody listens, or the answer is a refusal.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        message: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(message).map_err(|error| protocol(&error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Connect { path: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| protocol(&error))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| protocol(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| protocol(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| protocol(&error))?.to_bytes();
        connection.abort();
        read(status, &body)
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, ClientError> {
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|error| protocol(&error));
    }
    match serde_json::from_slice(body) {
        Ok(failure) => Err(ClientError::Refused(failure)),
        Err(_) => Err(ClientError::Protocol(format!("status {status}"))),
    }
}

fn protocol(error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Protocol(error.to_string())
}
