//! The PROXY protocol: a balancer tells whose connection it passes on, and nobody else is believed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use portcullis_tests::{Origin, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::process::{Portcullis, ask, run, serve, text};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n";
/// From 198.51.100.8:4711 to 198.51.100.1:443, with a TLV.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10\xc6\x33\x64\x08\xc6\x33\x64\x01\x12\x67\x01\xbb\x04\x00\x01\x00";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// Starts the binary with a TLS and a plain listener; 127.0.0.0/30 are the balancers.
fn start(home: &Path, origin: &Origin) -> Portcullis {
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let balancers = "proxy_protocol: [127.0.0.0/30]";
    let text = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock, metrics: '{metrics}' }}\n\
         listeners:\n  - {{ address: '127.0.0.1:0', {balancers}, tls: {{ certificates: [{{ cert: file:tls.crt, key: file:tls.key }}] }} }}\n  \
         - {{ address: '127.0.0.1:0', {balancers}, plain: true }}\n\
         log: {{ requests: 'file:requests.jsonl', events: off }}\n\
         limits: {{ client_hello_timeout: 1s, connections_per_address: 1 }}\n\
         backends: {{ origin: {{ servers: ['{}'] }} }}\n\
         hosts: {{ edge.test: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        origin.address()
    );
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    serve(home)
}

/// The address of the second listener, the plain one, as the process tells it.
fn plain_address(home: &Path) -> SocketAddr {
    let shown = run(home, &["status", "--json", "--socket", "admin.sock"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    status["listeners"][1].as_str().unwrap().parse().unwrap()
}

async fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    within("connecting", socket.connect(to)).await.unwrap()
}

/// Sends the parts, each by itself, and returns what comes back until the close.
async fn said(to: SocketAddr, from: &str, parts: &[&[u8]]) -> String {
    let mut stream = connect(to, from).await;
    stream.set_nodelay(true).unwrap();
    for part in parts {
        // Who is closed at once does not take the rest.
        drop(stream.write_all(part).await);
    }
    let mut answer = Vec::new();
    // A close with bytes unread is a reset.
    let reading = async { while matches!(stream.read_buf(&mut answer).await, Ok(1..)) {} };
    within("the close", reading).await;
    String::from_utf8(answer).expect("an answer is text")
}

/// Whom the origin was told of since it was asked last.
fn forwarded_for(origin: &Origin) -> Vec<String> {
    let seen = origin.seen();
    origin.forget();
    seen.iter().flat_map(|seen| seen.headers("X-Forwarded-For")).collect()
}

fn metrics(home: &Path) -> String {
    let config = std::fs::read_to_string(home.join("portcullis.yaml")).unwrap();
    let address = config.split("metrics: '").nth(1).unwrap().split('\'').next().unwrap();
    let output = Command::new("curl").args(["-s", &format!("http://{address}/metrics")]).output();
    text(&output.unwrap().stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_balancer_tells_whose_connection_it_is_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let edge = start(home, &origin);
    let plain = plain_address(home);

    // Each client has an address of its own, since one connection of each is allowed at a time.
    let v1: &[u8] = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n";
    let whole = [b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", GET].concat();
    for (from, parts, told) in [
        ("127.0.0.1", &[v1, GET][..], "198.51.100.7"),
        ("127.0.0.1", &[&whole], "2001:db8::7"),
        ("127.0.0.1", &[&V2[..5], &V2[5..20], &V2[20..], GET], "198.51.100.8"),
        ("127.0.0.2", &[b"PROXY UNKNOWN\r\n", GET], "127.0.0.2"),
        ("127.0.0.3", &[LOCAL, GET], "127.0.0.3"),
        ("127.0.0.9", &[GET], "127.0.0.9"),
    ] {
        let answer = said(plain, from, parts).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{told}: {answer}");
        assert_eq!(forwarded_for(&origin), [told]);
    }
    let curl = ["--haproxy-protocol", "--interface", "127.0.0.1"];
    assert_eq!(ask(home, &edge, "/", &curl).0, "200");
    assert_eq!(forwarded_for(&origin), ["127.0.0.1"]);

    let tls: SocketAddr = edge.address.parse().unwrap();
    for to in [plain, tls] {
        assert_eq!(said(to, "127.0.0.1", &[GET]).await, "", "a balancer sends a header");
        assert_eq!(said(to, "127.0.0.1", &[b"PROXY TCP4 x\r\n"]).await, "");
        assert_eq!(said(to, "127.0.0.1", &[&v1[..20]]).await, "", "the deadline is over");
    }
    assert_eq!(said(tls, "127.0.0.10", &[v1]).await, "", "no TLS");
    assert!(said(plain, "127.0.0.10", &[v1, GET]).await.starts_with("HTTP/1.1 400"));
    assert!(forwarded_for(&origin).is_empty());
    let counted = metrics(home);
    for count in ["no_proxy_header\"} 4", "proxy_header_timeout\"} 2", "not_tls\"} 1"] {
        let line = format!("edge_connections_refused_total{{cause=\"{count}");
        assert!(counted.contains(&line), "{line}\n{counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_a_balancer_is_counted_and_not_the_balancer() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let _edge = start(home, &origin);
    let plain = plain_address(home);
    let keep: &[u8] = b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n";
    let mut held = connect(plain, "127.0.0.1").await;
    held.write_all(&[V2, keep].concat()).await.unwrap();
    let mut first = [0; 12];
    within("an answer", held.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(said(plain, "127.0.0.1", &[V2, GET]).await, "", "the client holds one");
    let other: &[u8] = b"PROXY TCP4 198.51.100.9 198.51.100.1 4711 443\r\n";
    assert!(said(plain, "127.0.0.1", &[other, GET]).await.starts_with("HTTP/1.1 200"));
    assert_eq!(forwarded_for(&origin), ["198.51.100.8", "198.51.100.9"]);
    let counted = metrics(home);
    assert!(
        counted.contains("edge_connections_refused_total{cause=\"connections_per_address\"} 1"),
        "{counted}"
    );
}
