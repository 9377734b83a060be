//! Open connections and new ones: one under each cap, at it, and one over.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::{Edge, Manner, Origin, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::GET;

fn refused(cause: &str, times: u32) -> String {
    format!("edge_connections_refused_total{{cause=\"{cause}\"}} {times}")
}

/// Opens a connection and asks once; says whether it was let in.
async fn is_let_in(edge: &Edge, from: &str) -> Option<portcullis_tests::Client> {
    let manner = Manner { from: from.parse().unwrap(), ..Manner::default() };
    let mut client = edge.handshake(&manner, rustls::DEFAULT_VERSIONS).await.ok()?;
    client.send(GET).await;
    Some(client.maybe_answer().await?.status).filter(|status| *status == 200)?;
    Some(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_in_all_are_capped() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { connections: 2 }").start().await;
    let mut held = Vec::new();
    for (what, from, expected) in [
        ("one under", "127.0.0.1", true),
        ("at it", "127.0.0.2", true),
        ("one over", "127.0.0.3", false),
    ] {
        let client = is_let_in(&edge, from).await;
        assert_eq!(client.is_some(), expected, "{what}");
        held.extend(client);
    }
    assert!(edge.metrics().contains(&refused("connections", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_of_an_address_are_capped() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { connections_per_address: 2 }").start().await;
    let mut held = Vec::new();
    for (what, from, expected) in [
        ("one under", "127.0.0.1", true),
        ("at it", "127.0.0.1", true),
        ("one over", "127.0.0.1", false),
        ("another address", "127.0.0.2", true),
    ] {
        let client = is_let_in(&edge, from).await;
        assert_eq!(client.is_some(), expected, "{what}");
        held.extend(client);
    }
    assert!(edge.metrics().contains(&refused("connections_per_address", 1)));
}

/// Opens a plain connection that a balancer passes on for `client`, asks once, and says whether it was let in.
async fn is_passed_on(to: SocketAddr, client: &str) -> Option<TcpStream> {
    let mut stream = within("connecting", TcpStream::connect(to)).await.unwrap();
    let request = format!("PROXY TCP6 {client} 2001:db8::1 4711 80\r\n{GET}");
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = vec![0; 12];
    let read = within("an answer or the close", stream.read_exact(&mut answer)).await;
    (read.is_ok() && answer == b"HTTP/1.1 200").then_some(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_of_an_ipv6_network_are_capped() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin)
        .listener("{ address: '127.0.0.1:0', plain: true, proxy_protocol: [127.0.0.1/32] }")
        .top("limits: { connections_per_network: 2 }")
        .start()
        .await;
    let mut held = Vec::new();
    for (what, client, expected) in [
        ("one under", "2001:db8:0:1::7", true),
        ("at it", "2001:db8:0:1::8", true),
        ("one over", "2001:db8:0:1:ffff::9", false),
        ("another network", "2001:db8:0:2::7", true),
    ] {
        let stream = is_passed_on(edge.plain_address(), client).await;
        assert_eq!(stream.is_some(), expected, "{what}");
        held.extend(stream);
    }
    assert!(edge.metrics().contains(&refused("connections_per_network", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_of_an_address_keep_to_the_rate() {
    let origin = Origin::start().await;
    let top = "limits: { connection_rate: 3, flood_ban: 10s }";
    let edge = Edge::builder(&origin).top(top).start().await;
    for (what, from, expected) in [
        ("the first", "127.0.0.1", true),
        ("one under", "127.0.0.1", true),
        ("at it", "127.0.0.1", true),
        ("one over", "127.0.0.1", false),
        ("another address", "127.0.0.2", true),
    ] {
        assert_eq!(is_let_in(&edge, from).await.is_some(), expected, "{what}");
    }
    assert!(edge.metrics().contains(&refused("flood", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_ban_ends_when_it_says() {
    let origin = Origin::start().await;
    for (what, millis, expected) in
        [("one under", 9_999, false), ("at it", 10_000, true), ("one over", 10_001, true)]
    {
        let top = "limits: { connection_rate: 1, flood_ban: 10s }";
        let edge = Edge::builder(&origin).top(top).start().await;
        assert!(is_let_in(&edge, "127.0.0.1").await.is_some(), "{what}");
        assert!(is_let_in(&edge, "127.0.0.1").await.is_none(), "{what}");
        edge.advance(Duration::from_millis(millis));
        assert_eq!(is_let_in(&edge, "127.0.0.1").await.is_some(), expected, "{what}");
        let times = if expected { 1 } else { 2 };
        assert!(edge.metrics().contains(&refused("flood", times)), "{what}");
    }
}
