//! Deadlines: what comes in time is served, what does not is cut, and not before the deadline. The time that a client
//! takes is well under the limit, so that a loaded machine does not take the rest of it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use portcullis_tests::{Client, Edge, Origin, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::GET;

/// How long a client pauses that comes in time.
const PAUSE: Duration = Duration::from_millis(300);
/// Every limit of this page.
const LIMIT: Duration = Duration::from_secs(3);

async fn edge(limit: &str) -> (Origin, Edge) {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top(&format!("limits: {{ {limit} }}")).start().await;
    (origin, edge)
}

/// Waits for the edge to close the connection, and says after how long.
async fn closed(client: &mut Client, since: Instant) -> Duration {
    assert!(client.closed().await.is_empty(), "too late: it is closed without a word");
    since.elapsed()
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_hello_comes_within_its_time() {
    let (_origin, edge) = edge("client_hello_timeout: 3s").await;
    let hello = edge.client_hello();
    let mut prompt = edge.tcp().await;
    prompt.write_all(&hello[..100]).await.unwrap();
    tokio::time::sleep(PAUSE).await;
    prompt.write_all(&hello[100..]).await.unwrap();
    let record = within("the server's hello", prompt.read_u8()).await.unwrap();
    assert_eq!(record, 22, "in time");
    let begun = Instant::now();
    let mut slow = edge.tcp().await;
    slow.write_all(&hello[..100]).await.unwrap();
    let read = within("the close", slow.read_u8()).await;
    assert!(read.is_err() && begun.elapsed() >= LIMIT, "too late: {:?}", begun.elapsed());
    let counted = "edge_connections_refused_total{cause=\"client_hello_timeout\"} 1";
    within("the count", edge.counts(counted)).await;
}

/// Says hello, waits, shakes hands and asks; returns the first bytes of the answer.
fn shake_hands_slowly(edge: &Edge) -> tokio::task::JoinHandle<std::io::Result<[u8; 12]>> {
    let config = edge.authority().client(&["http/1.1"], rustls::DEFAULT_VERSIONS);
    let address = edge.address();
    tokio::task::spawn_blocking(move || {
        let name = "edge.test".try_into().expect("a server name");
        let mut client = rustls::ClientConnection::new(config, name).expect("a client");
        let mut socket = std::net::TcpStream::connect(address)?;
        client.write_tls(&mut socket)?;
        std::thread::sleep(PAUSE);
        while client.is_handshaking() {
            client.complete_io(&mut socket)?;
        }
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        stream.write_all(GET.as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_is_over_within_its_time() {
    let (_origin, edge) = edge("handshake_timeout: 3s").await;
    let answer = within("the answer", shake_hands_slowly(&edge)).await.unwrap();
    assert_eq!(&answer.unwrap(), b"HTTP/1.1 200", "in time");
    let begun = Instant::now();
    let mut slow = edge.tcp().await;
    slow.write_all(&edge.client_hello()).await.unwrap();
    within("the close", async {
        let mut rest = Vec::new();
        while slow.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    assert!(begun.elapsed() >= LIMIT, "too late: {:?}", begun.elapsed());
    let counted = "edge_connections_refused_total{cause=\"handshake_timeout\"} 1";
    within("the count", edge.counts(counted)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_idle_for_its_time() {
    let (_origin, edge) = edge("idle_timeout: 3s").await;
    let mut client = edge.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    tokio::time::sleep(PAUSE).await;
    let begun = Instant::now();
    assert_eq!(client.ask(GET).await.status, 200, "in time");
    let after = closed(&mut client, begun).await;
    assert!(after >= LIMIT, "too late: {after:?}");
    within("the count", edge.counts("edge_connections_cut_total{cause=\"idle\"} 1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_comes_within_its_time() {
    let (origin, edge) = edge("head_timeout: 3s").await;
    let (start, end) = GET.split_at(20);
    let mut client = edge.client().await;
    client.send(start).await;
    tokio::time::sleep(PAUSE).await;
    assert_eq!(client.ask(end).await.status, 200, "in time");
    let begun = Instant::now();
    client.send(start).await;
    let after = closed(&mut client, begun).await;
    assert!(after >= LIMIT, "too late: {after:?}");
    within("the count", edge.counts("edge_connections_cut_total{cause=\"head\"} 1")).await;
    assert_eq!(origin.seen().len(), 1);
}

/// Sends a body of 2 bytes, the second one late, and returns the status.
async fn two_bytes(edge: &Edge) -> u16 {
    let mut client = edge.client().await;
    client.send(post(2) + "x").await;
    tokio::time::sleep(PAUSE).await;
    client.ask("x").await.status
}

/// Sends these bytes of a body and no more; returns the status, and after how long it came.
async fn part_of_a_body(edge: &Edge, bytes: usize) -> (u16, Duration) {
    let mut client = edge.client().await;
    let begun = Instant::now();
    client.send(post(bytes + 1) + &"x".repeat(bytes)).await;
    let status = client.answer().await.status;
    (status, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_comes_within_its_time() {
    let (origin, edge) = edge("body_timeout: 3s, min_rate_grace: 1m").await;
    assert_eq!(two_bytes(&edge).await, 200, "in time");
    let (status, after) = part_of_a_body(&edge, 1).await;
    assert_eq!(status, 408, "too late");
    assert!(after >= LIMIT, "too late: {after:?}");
    within("the count", edge.counts("edge_refusals_total{reason=\"body_timeout\"} 1")).await;
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_slow_for_its_grace() {
    let (origin, edge) = edge("min_rate: 1KiB, min_rate_grace: 3s").await;
    assert_eq!(two_bytes(&edge).await, 200, "in time");
    let (status, after) = part_of_a_body(&edge, 1).await;
    assert_eq!(status, 408, "too late");
    assert!(after >= LIMIT, "too late: {after:?}");
    within("the count", edge.counts("edge_refusals_total{reason=\"body_timeout\"} 1")).await;
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_keeps_to_the_least_rate() {
    let (origin, edge) = edge("min_rate: 1KiB, min_rate_grace: 100ms").await;
    // What came at once has earned the time for the rest: three seconds.
    let mut fast = edge.client().await;
    fast.send(post(3 * 1024 + 1) + &"x".repeat(3 * 1024)).await;
    tokio::time::sleep(PAUSE).await;
    assert_eq!(fast.ask("x").await.status, 200, "in time");
    let (status, after) = part_of_a_body(&edge, 3 * 1024).await;
    assert_eq!(status, 408, "too late");
    assert!(after >= LIMIT, "too late: {after:?}");
    within("the count", edge.counts("edge_refusals_total{reason=\"body_timeout\"} 1")).await;
    assert_eq!(origin.seen().len(), 1);
}
