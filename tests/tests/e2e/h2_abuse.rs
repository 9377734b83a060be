//! HTTP/2 spoken in bytes: heads that do not end, floods, and streams that the codec gives up on.

use std::time::Duration;

use portcullis_tests::{Client, Edge, Manner, Origin, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// HEADERS on a stream with this block; bit 2 of the flags ends the block.
fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([1, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(block);
    frame
}

/// `GET https://edge.test/` as HPACK without a table of names.
fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 9];
    block.extend(b"edge.test");
    block
}

async fn begun(edge: &Edge) -> Client {
    let mut client = edge.h2_bytes().await;
    client.send(PREFACE).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_block_that_does_not_end_is_cut_at_its_deadline_first_or_later() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { head_timeout: 300ms }").start().await;
    for (cut, is_later) in [(1, false), (2, true)] {
        let mut client = begun(&edge).await;
        let open = if is_later {
            client.send(headers(1, 5, &get())).await;
            3
        } else {
            1
        };
        client.send(headers(open, 1, &get())).await;
        client.closed().await;
        let counted = format!("edge_connections_cut_total{{cause=\"head\"}} {cut}");
        within("the count", edge.counts(&counted)).await;
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_ends_the_connection_and_bans_its_address_for_a_while() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { flood_ban: 10s }").start().await;
    let mut some = begun(&edge).await;
    some.send(PING.repeat(900)).await;
    some.send(headers(1, 5, &get())).await;
    within("the request", edge.counts("http_requests_total{code=\"200\"} 1")).await;
    let mut many = begun(&edge).await;
    many.send(PING.repeat(5000)).await;
    many.closed().await;
    within("the count", edge.counts("edge_connections_cut_total{cause=\"h2_flood\"} 1")).await;
    assert!(edge.handshake(&Manner::default(), TLS13).await.is_err());
    edge.advance(Duration::from_secs(10));
    assert_eq!(edge.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_the_codec_gives_up_on_is_counted_and_logged() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    // Two `:method`s; then an index that no table has.
    for (block, detail) in [
        (&[0x82, 0x82, 0x87, 0x84][..], "stream 1 ended: PROTOCOL_ERROR"),
        (&[0xff, 0xff, 0x7f], "the connection ended: PROTOCOL_ERROR"),
    ] {
        let mut client = begun(&edge).await;
        client.send(headers(1, 5, block)).await;
        within("a line", async {
            while !edge.request_log().iter().any(|line| {
                line["detail"] == detail
                    && line["reason"] == "malformed_request"
                    && line["httpRequest"]["protocol"] == "HTTP/2"
            }) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert!(edge.metrics().contains("edge_refusals_total{reason=\"malformed_request\"} 2"));
    origin.saw_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_ban_their_address_when_they_come_again() {
    let origin = Origin::start().await;
    let top = "limits: { connection_rate: 250, flood_ban: 10s }";
    let edge = Edge::builder(&origin).top(top).start().await;
    let taken_back = |n: u32| {
        let stream = 2 * n + 1;
        [headers(stream, 5, &get()), vec![0, 0, 4, 3, 0, 0, 0, 0, stream as u8, 0, 0, 0, 8]]
            .concat()
    };
    let burst: Vec<u8> = (0..30).flat_map(taken_back).collect();
    // The third one ends what a second may have: a connection that ends so counts as a hundred.
    for _ in 0..3 {
        let mut client = begun(&edge).await;
        client.send(&burst).await;
        client.closed().await;
    }
    let counted = "edge_refusals_total{reason=\"malformed_request\"} 3";
    within("the count", edge.counts(counted)).await;
    assert!(edge.handshake(&Manner::default(), TLS13).await.is_err());
    let elsewhere = Manner { from: "127.0.0.2".parse().unwrap(), ..Manner::default() };
    assert!(edge.handshake(&elsewhere, TLS13).await.is_ok());
    edge.advance(Duration::from_secs(10));
    assert_eq!(edge.get("/").await.status, 200);
}
