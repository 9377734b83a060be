//! Requests that stay open: WebSockets and calls of gRPC.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Edge, H2Origin, Origin, within};

const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: edge.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// A small frame of a client, masked with zeroes so that it reads as itself.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

async fn socket(edge: &Edge) -> Client {
    let mut client = edge.client().await;
    let answer = client.ask(UPGRADE).await;
    assert_eq!(answer.status, 101, "{}", answer.body.escape_ascii());
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_passes_where_the_backend_says_so_and_nowhere_else() {
    let origin = Origin::echoing().await;
    let edge = Edge::builder(&origin).backend("websocket: { timeout: 24h }").start().await;
    let mut client = socket(&edge).await;
    for payload in ["hello", "", "again"] {
        let sent = frame(0x81, payload.as_bytes());
        client.send(&sent).await;
        assert_eq!(client.bytes(sent.len()).await, sent);
    }
    let metrics = edge.metrics();
    assert!(metrics.contains("edge_stream_messages_total{protocol=\"websocket\"} 3"), "{metrics}");
    assert!(metrics.contains("edge_stream_messages_total{protocol=\"grpc\"} 0"), "{metrics}");
    let seen = origin.only();
    assert_eq!(seen.headers("upgrade"), ["websocket"]);
    assert!(seen.headers("sec-websocket-extensions").is_empty(), "frames must be what they seem");
    drop(client);
    within("the line of the log", async {
        while edge.request_log().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let plain = Edge::builder(&origin).start().await;
    let answer = plain.client().await.ask(UPGRADE).await;
    assert_eq!((answer.status, answer.error().as_str()), (501, "not_implemented"));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_for_an_upgrade_is_judged_like_any_other() {
    let origin = Origin::echoing().await;
    let policy = "name: tested\nrules:\n  - priority: 10\n    action: deny(403)\n    match: { expr: { expression: \
                  \"request.headers['x-bad'] == 'yes'\" } }\n  - priority: 2147483647\n    action: allow\n    \
                  match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }\n";
    let edge = Edge::builder(&origin).policy(policy).backend("websocket: {}").start().await;
    let with = |header: &str| {
        UPGRADE.replace("Upgrade: websocket", &format!("{header}\r\nUpgrade: websocket"))
    };
    for (request, status) in [
        (with("X-Bad: yes"), 403),
        (with("Content-Length: 5"), 400),
        (UPGRADE.replace("Version: 13", "Version: 8"), 400),
        (UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
        (UPGRADE.replace("GET", "POST"), 400),
    ] {
        let answer = edge.client().await.ask(&request).await;
        assert_eq!(answer.status, status, "{request}");
    }
    origin.saw_nothing();
    socket(&edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_above_their_limits_end_a_websocket() {
    for (frames, reason) in [
        (vec![frame(0x01, &[b'x'; 100]); 11], "message_too_large"),
        (vec![frame(0x89, b"ping"); 6], "too_many_messages"),
        (vec![b"\x81\x01x".to_vec()], "malformed_body"),
    ] {
        // The first of the fragments begins the message, the others go on with it.
        let sent: Vec<u8> = frames
            .iter()
            .enumerate()
            .flat_map(|(at, one)| {
                let mut one = one.clone();
                if at > 0 && one[0] == 0x01 {
                    one[0] = 0x00;
                }
                one
            })
            .collect();
        let origin = Origin::echoing().await;
        let rate = if reason == "too_many_messages" { 5 } else { 100 };
        let keys = format!("websocket: {{ message: 1KiB, messages_per_second: {rate} }}");
        let edge = Edge::builder(&origin).backend(&keys).start().await;
        let mut client = socket(&edge).await;
        client.send(&sent).await;
        client.closed().await;
        within("the line of the log", async {
            while edge.request_log().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let metrics = edge.metrics();
        let line = format!("edge_refusals_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_outlives_the_backends_timeout_and_ends_at_its_own() {
    let origin = Origin::echoing().await;
    let keys = "timeout: 1s, websocket: { timeout: 1h }";
    let edge = Edge::builder(&origin).backend(keys).start().await;
    let mut client = socket(&edge).await;
    let sent = frame(0x81, b"hello");
    edge.advance(Duration::from_secs(3599));
    client.send(&sent).await;
    assert_eq!(client.bytes(sent.len()).await, sent);
    edge.advance(Duration::from_secs(1));
    client.send(&sent).await;
    client.closed().await;
}

/// A message of gRPC.
fn message(payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend_from_slice(payload);
    message
}

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];

async fn call(edge: &Edge, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    edge.h2().await.ask("POST", "/pkg.Service/Method", headers, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_grpc_passes_with_its_trailers() {
    let (origin, unused) = (H2Origin::start(None).await, Origin::start().await);
    let edge = Edge::builder(&unused)
        .server(&origin.address().to_string())
        .backend("protocol: http2, grpc: { message: 64KiB, messages_per_second: 10 }")
        .start()
        .await;
    let body = [message(b"one"), message(&[b'x'; 60_000])].concat();
    let answer = call(&edge, GRPC, &body).await;
    assert_eq!((answer.status, answer.body == body), (200, true));
    assert_eq!(answer.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    let metrics = edge.metrics();
    assert!(metrics.contains("edge_stream_messages_total{protocol=\"grpc\"} 2"), "{metrics}");
    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers.get("te").unwrap(), "trailers");
    assert_eq!(seen[0].headers.get("content-type").unwrap(), "application/grpc");

    for headers in [&[("content-type", "application/json")][..], &[]] {
        let answer = call(&edge, headers, &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (415, "not_grpc"));
    }
    let h1 = "POST /pkg.Service/Method HTTP/1.1\r\nHost: edge.test\r\nContent-Type: application/grpc\r\n\
              Content-Length: 5\r\n\r\n\0\0\0\0\0";
    assert_eq!(edge.client().await.ask(h1).await.status, 415);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_grpc_above_its_limits_ends_the_call() {
    let (origin, unused) = (H2Origin::start(None).await, Origin::start().await);
    let edge = Edge::builder(&unused)
        .server(&origin.address().to_string())
        .backend("protocol: http2, grpc: { message: 1KiB, messages_per_second: 3 }")
        .start()
        .await;
    assert_eq!(call(&edge, GRPC, &message(&[b'x'; 1024])).await.status, 200);
    let metrics = |reason: &str| {
        edge.metrics().contains(&format!("edge_refusals_total{{reason=\"{reason}\"}} 1"))
    };
    for (body, reason) in [
        (message(&[b'x'; 1025]), "message_too_large"),
        ([message(b""), message(b""), message(b""), message(b"")].concat(), "too_many_messages"),
    ] {
        let mut client = edge.h2().await;
        let ended = client.try_ask("POST", "/pkg.Service/Method", GRPC, &body).await;
        // The head may have come already; the rest never does.
        assert!(ended.is_err() || ended.is_ok_and(|answer| answer.status >= 400), "{reason}");
        within("the count", async {
            while !metrics(reason) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(origin.seen().len(), 1);
}
