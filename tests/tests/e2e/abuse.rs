//! What a second client notices while a first one abuses HTTP/2. Not for CI: it takes a minute and its figures want a
//! quiet machine. `cargo test --release -p portcullis-tests --test e2e abuse -- --ignored --nocapture`

use std::time::Duration;

use portcullis_tests::{Client, Edge, Manner, Origin};
use tokio::time::Instant;

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SPAN: Duration = Duration::from_secs(3);
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `https://edge.test/` with this method's index, as HPACK.
fn head(method: u8) -> Vec<u8> {
    let mut block = vec![method, 0x87, 0x84, 0x41, 9];
    block.extend(b"edge.test");
    block
}

fn streams(count: u32, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| each(2 * n + 1)).collect()
}

/// The name of each attack, and what a connection sends.
fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    const GET: u8 = 0x82;
    const POST: u8 = 0x83;
    let request = |stream| frame(1, END_STREAM | END_HEADERS, stream, &head(GET));
    let mut bomb = head(GET);
    bomb.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 8000]);
    let endless = |stream| frame(1, END_STREAM, stream, &head(GET));
    let upload = |stream| frame(1, END_HEADERS, stream, &head(POST));
    vec![
        ("rapid reset", streams(500, |s| [request(s), frame(3, 0, s, &[0, 0, 0, 8])].concat())),
        ("MadeYouReset", streams(500, |s| [upload(s), frame(8, 0, s, &[0; 4])].concat())),
        ("CONTINUATION", [endless(1), frame(9, 0, 1, b"").repeat(10_000)].concat()),
        ("HPACK bomb", frame(1, END_STREAM | END_HEADERS, 1, &bomb)),
        ("SETTINGS", frame(4, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(10_000)),
        ("PING", frame(6, 0, 0, &[0; 8]).repeat(10_000)),
        ("empty DATA", [upload(1), frame(0, 0, 1, b"").repeat(10_000)].concat()),
        ("streams that never end", streams(100, upload)),
    ]
}

async fn attack(edge: &Edge, bytes: &[u8]) {
    let until = Instant::now() + SPAN;
    while Instant::now() < until {
        let Ok(mut client) = edge.try_h2_bytes().await else { continue };
        client.send(PREFACE).await;
        client.send(bytes).await;
        let ends = tokio::time::timeout(Duration::from_millis(200), client.closed()).await;
        drop(ends);
    }
}

/// The median and the 99th percentile of one request after the other, for the span.
async fn latencies(client: &mut Client) -> (Duration, Duration) {
    let until = Instant::now() + SPAN;
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        assert_eq!(client.ask(GET).await.status, 200);
        times.push(begun.elapsed());
    }
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; figures for a quiet machine"]
async fn a_second_client_goes_on_while_the_first_abuses_http_2() {
    let origin = Origin::start().await;
    let top = "limits: { flood_ban: 1s, connection_rate: 1000000 }";
    let edge = Edge::builder(&origin).top(top).start().await;
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    let mut second = edge.client_as(&elsewhere).await;
    let quiet = latencies(&mut second).await;
    println!("quiet: median {:?}, p99 {:?}", quiet.0, quiet.1);
    for (name, bytes) in attacks() {
        let before = resident_kib();
        let one = || attack(&edge, &bytes);
        let (seen, ..) = tokio::join!(latencies(&mut second), one(), one(), one(), one());
        edge.advance(Duration::from_secs(1));
        let grown = resident_kib().saturating_sub(before);
        let ratio = seen.0.as_secs_f64() / quiet.0.as_secs_f64();
        println!("{name}: median {:?} ({ratio:.2}), p99 {:?}, grown {grown} KiB", seen.0, seen.1);
        assert!(grown < 256 * 1024, "{name} took {grown} KiB");
    }
    assert_eq!(edge.get("/").await.status, 200);
}
