//! An HTTP/2 client that sends bodies with or without a declared length.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::{Answer, within};

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct H2Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<()>,
    authority: String,
}

impl Drop for H2Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl H2Client {
    pub(crate) async fn new(stream: TlsStream<TcpStream>, authority: &str) -> Self {
        let (requests, connection) =
            within("the HTTP/2 preface", h2::client::handshake(stream)).await.expect("HTTP/2");
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { requests, connection, authority: authority.to_owned() }
    }

    /// Asks with a body whose length is not declared; an empty one is none at all.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let authority = self.authority.clone();
        self.ask_host(&authority, method, path, headers, body).await
    }

    /// The same, of another host.
    ///
    /// # Panics
    ///
    /// When the stream ends before the answer is whole.
    pub async fn ask_host(
        &mut self,
        authority: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let request = request(authority, method, path, headers);
        within("an HTTP/2 answer", self.exchange(request, body)).await.expect("a whole answer")
    }

    /// Asks, and returns the stream's error if the answer does not come whole.
    ///
    /// # Errors
    ///
    /// The stream was reset, or the connection ended.
    pub async fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, h2::Error> {
        let authority = self.authority.clone();
        let request = request(&authority, method, path, headers);
        within("an HTTP/2 answer or its end", self.exchange(request, body)).await
    }

    async fn exchange(&self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut sender) = requests.send_request(request, body.is_empty())?;
        let sending = async {
            let mut rest = body;
            while !rest.is_empty() {
                sender.reserve_capacity(rest.len().min(16 * 1024));
                let room = std::future::poll_fn(|cx| sender.poll_capacity(cx)).await;
                let Some(Ok(room)) = room else { return };
                let (now, later) = rest.split_at(room.min(rest.len()));
                if sender.send_data(Bytes::copy_from_slice(now), later.is_empty()).is_err() {
                    return;
                }
                rest = later;
            }
        };
        let reading = async {
            let (head, mut stream) = response.await?.into_parts();
            let text = |value: &http::HeaderValue| {
                value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
            };
            let mut answer = Answer {
                status: head.status.as_u16(),
                headers: head
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), text(value)))
                    .collect(),
                ..Answer::default()
            };
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                answer.body.extend_from_slice(&chunk);
                stream.flow_control().release_capacity(chunk.len())?;
            }
            if let Some(trailers) = stream.trailers().await? {
                let pair = |(name, value): (&http::HeaderName, _)| (name.to_string(), text(value));
                answer.trailers = trailers.iter().map(pair).collect();
            }
            Ok(answer)
        };
        // The answer may come before the body is sent, and then nobody reads the rest of it.
        tokio::pin!(sending);
        tokio::pin!(reading);
        tokio::select! {
            answer = &mut reading => answer,
            () = &mut sending => reading.await,
        }
    }
}

fn request(authority: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("https://{authority}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}
