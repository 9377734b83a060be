//! What a second client of the real binary notices while one processor does nothing but abuse HTTP/2: from one address, as
//! one attacker does, and from ever new ones, so that no ban helps. Not for CI: it takes four minutes and its figures want
//! a quiet machine.
//! `cargo test --release -p portcullis-tests --test e2e abuse -- --ignored --nocapture`

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_tests::{Authority, Client, Manner, Origin, connect, frame};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::process::{Portcullis, serve};
use super::slow::resident_kib;

const GET: &str = "GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SPAN: Duration = Duration::from_secs(4);
/// Connections that the attacker works on at one time.
const AT_ONCE: usize = 16;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `https://edge.test/` with this method's index, as HPACK.
fn head(method: u8) -> Vec<u8> {
    let mut block = vec![method, 0x87, 0x84, 0x41, 9];
    block.extend(b"edge.test");
    block
}

fn streams(count: u32, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| each(2 * n + 1)).collect()
}

/// What a connection of an attacker sends, and how long it then waits for its end.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    /// Connections at one time.
    at_once: usize,
    waits: Duration,
    /// Whether each connection comes from another address.
    has_addresses: bool,
}

impl Attack {
    const fn flood(name: &'static str, bytes: Vec<u8>) -> Self {
        let waits = Duration::from_millis(200);
        Self { name, bytes, at_once: AT_ONCE, waits, has_addresses: false }
    }
}

fn attacks() -> Vec<Attack> {
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
        Attack::flood("handshakes and nothing more", Vec::new()),
        Attack::flood(
            "rapid reset",
            streams(500, |s| [request(s), frame(3, 0, s, &[0, 0, 0, 8])].concat()),
        ),
        Attack::flood(
            "MadeYouReset",
            streams(500, |s| [upload(s), frame(8, 0, s, &[0; 4])].concat()),
        ),
        Attack::flood("CONTINUATION", [endless(1), frame(9, 0, 1, b"").repeat(10_000)].concat()),
        Attack::flood("HPACK", streams(50, |s| frame(1, END_STREAM | END_HEADERS, s, &bomb))),
        Attack::flood("SETTINGS", frame(4, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(10_000)),
        Attack::flood("PING", frame(6, 0, 0, &[0; 8]).repeat(10_000)),
        Attack::flood("empty DATA", [upload(1), frame(0, 0, 1, b"").repeat(10_000)].concat()),
        Attack {
            name: "10,000 streams that never end",
            bytes: streams(100, upload),
            at_once: 100,
            waits: SPAN,
            has_addresses: false,
        },
    ]
}

/// A processor's worth of attack, until it is told to stop.
struct Attacker {
    is_over: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Attacker {
    fn start(to: SocketAddr, config: Arc<ClientConfig>, attack: Attack) -> Self {
        let (is_over, connections) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&connections));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let strike = async {
                let attack = Arc::new(attack);
                let mut all = tokio::task::JoinSet::new();
                for _ in 0..attack.at_once {
                    let (over, count) = (Arc::clone(&over), Arc::clone(&count));
                    all.spawn(strikes(to, Arc::clone(&config), Arc::clone(&attack), over, count));
                }
                while all.join_next().await.is_some() {}
            };
            runtime.unwrap().block_on(strike);
        });
        Self { is_over, connections, thread }
    }

    /// Stops, and says how many connections struck.
    fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.connections.load(Ordering::Relaxed)
    }
}

/// Strikes again and again.
async fn strikes(
    to: SocketAddr,
    config: Arc<ClientConfig>,
    attack: Arc<Attack>,
    is_over: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) {
    static NEXT: AtomicU32 = AtomicU32::new(0x7f01_0001);
    while !is_over.load(Ordering::Relaxed) {
        let from = match attack.has_addresses {
            true => IpAddr::from(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()),
            false => Manner::default().from,
        };
        let manner = Manner { from, ..Manner::default() };
        let Ok(mut client) = connect(to, &manner, Arc::clone(&config)).await else { continue };
        // What the edge has let in.
        count.fetch_add(1, Ordering::Relaxed);
        if attack.bytes.is_empty() {
            continue;
        }
        client.send(PREFACE).await;
        client.send(&attack.bytes).await;
        drop(tokio::time::timeout(attack.waits, client.closed()).await);
    }
}

/// The median and the 99th percentile of one request after the other, for the span.
async fn latencies(client: &mut Client) -> (Duration, Duration, usize) {
    let until = Instant::now() + SPAN;
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        assert_eq!(client.ask(GET).await.status, 200);
        times.push(begun.elapsed());
    }
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100], times.len())
}

fn start(home: &Path, origin: &Origin, authority: &Authority) -> Portcullis {
    authority.write(&["edge.test"], &home.join("tls.crt"), &home.join("tls.key"));
    let text = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock }}\n\
         listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}]\n\
         log: {{ requests: off, events: off }}\nbackends: {{ origin: {{ servers: ['{}'] }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        origin.address()
    );
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    serve(home)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "four minutes; figures for a quiet machine"]
async fn a_second_client_goes_on_while_the_first_abuses_http_2() {
    portcullis::edge::install_provider();
    let authority = Authority::new();
    let origin = Origin::start().await;
    println!(
        "| attack | addresses | let in/s | median µs | beside quiet | p99 µs | beside quiet | grown KiB |"
    );
    for has_addresses in [false, true] {
        for attack in attacks() {
            let attack = Attack { has_addresses, ..attack };
            println!("{}", withstood(&origin, &authority, attack).await);
        }
    }
}

/// Starts an edge, attacks it, and returns what a second client and the system saw of it.
async fn withstood(origin: &Origin, authority: &Authority, attack: Attack) -> String {
    let directory = tempfile::tempdir().unwrap();
    let edge = start(directory.path(), origin, authority);
    let address: SocketAddr = edge.address.parse().unwrap();
    let config = |alpn| authority.client(&[alpn], rustls::DEFAULT_VERSIONS);
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    let mut second = connect(address, &elsewhere, config("http/1.1")).await.unwrap();
    latencies(&mut second).await;
    let quiet = latencies(&mut second).await;
    let before = resident_kib(edge.process.id());
    let (name, addresses) = (attack.name, if attack.has_addresses { "ever new" } else { "one" });
    let attacker = Attacker::start(address, config("h2"), attack);
    let seen = latencies(&mut second).await;
    let grown = resident_kib(edge.process.id()).saturating_sub(before);
    let connections = attacker.stop() / SPAN.as_secs();
    assert!(grown < 256 * 1024, "{name} took {grown} KiB");
    let ratio = |seen: Duration, quiet: Duration| seen.as_secs_f64() / quiet.as_secs_f64();
    format!(
        "| {name} | {addresses} | {connections} | {} | {:.2} | {} | {:.2} | {grown} |",
        seen.0.as_micros(),
        ratio(seen.0, quiet.0),
        seen.1.as_micros(),
        ratio(seen.1, quiet.1),
    )
}
