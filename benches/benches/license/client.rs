//! A client as cheap as can be: bytes out, bytes in, one connection.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use license_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The edge's signing key.
pub(crate) struct Edge {
    pair: Ed25519KeyPair,
    x: String,
    kid: String,
    header: String,
}

/// A seat that is held.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) tenant: String,
    pub(crate) session: String,
}

impl Edge {
    pub(crate) fn new() -> Self {
        let pair = Ed25519KeyPair::generate().expect("randomness");
        let x = B64.encode(pair.public_key().as_ref());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = B64.encode(digest(&SHA256, canonical.as_bytes()));
        let header = B64.encode(json!({"alg": "EdDSA", "typ": "edge+jwt", "kid": kid}).to_string());
        Self { pair, x, kid, header }
    }

    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid}]})
            .to_string()
    }

    fn assertion(&self, tenant: &str, method: &str, target: &str, body: &str) -> String {
        let now = SystemClock::new().now().as_secs();
        let hash = B64.encode(digest(&SHA256, body.as_bytes()));
        let claims = format!(
            r#"{{"iss":"portcullis","aud":"license-core","sub":"anna","roles":["member"],"tenant":"{tenant}","iat":{now},"exp":{},"jti":"b","htm":"{method}","htu":"{target}","bh":"{hash}"}}"#,
            now + 60
        );
        let signed = format!("{}.{}", self.header, B64.encode(claims));
        let signature = B64.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// One connection that asks one thing after the other.
pub(crate) struct Asker {
    edge: Arc<Edge>,
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Asker {
    pub(crate) async fn connect(edge: Arc<Edge>, socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.expect("the service listens");
        Self { edge, stream, buffer: vec![0; 64 * 1024] }
    }

    pub(crate) async fn acquire(&mut self, tenant: &str, key: &str, machine: &str) -> Seat {
        let body = format!(r#"{{"license_key":"{key}","hardware_id":"{machine}"}}"#);
        let answer = self.ask(tenant, "POST", "/api/v1/license/acquire", &body, "201").await;
        let body: Value = serde_json::from_slice(&answer).expect("JSON");
        let session = body["session_id"].as_str().expect("a session").to_owned();
        Seat { tenant: tenant.to_owned(), session }
    }

    pub(crate) async fn heartbeat(&mut self, seat: &Seat) {
        let target = format!("/api/v1/license/sessions/{}/heartbeat", seat.session);
        self.ask(&seat.tenant, "PATCH", &target, "", "200").await;
    }

    async fn ask(
        &mut self,
        tenant: &str,
        method: &str,
        target: &str,
        body: &str,
        expected: &str,
    ) -> Vec<u8> {
        let assertion = self.edge.assertion(tenant, method, target, body);
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: license\r\nx-edge-assertion: {assertion}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.expect("the service reads");
        let mut filled = 0;
        loop {
            let read =
                self.stream.read(&mut self.buffer[filled..]).await.expect("the service answers");
            assert!(read > 0, "the service closed the connection");
            filled += read;
            let text = &self.buffer[..filled];
            let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let lines = std::str::from_utf8(&text[..head]).expect("a head is text");
            let length: usize = lines
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            if filled >= head + 4 + length {
                let body = text[head + 4..head + 4 + length].to_vec();
                assert!(
                    lines.starts_with(&format!("HTTP/1.1 {expected}")),
                    "{lines}\n{}",
                    body.escape_ascii()
                );
                return body;
            }
        }
    }
}
