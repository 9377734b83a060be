//! HTTP/2: one under each cap, at it, and one over.

use portcullis_tests::{Edge, End, Field, H2Raw, Origin, block, frame, within};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn fields(method: &str) -> Vec<Field> {
    [(":method", method), (":scheme", "https"), (":authority", "edge.test"), (":path", "/")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
}

/// A request on each of these streams whose body does not end.
fn uploads(streams: impl Iterator<Item = u32>) -> Vec<u8> {
    let block = block(&fields("POST"));
    streams.flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &block)).collect()
}

async fn is_answered(client: &mut H2Raw, stream: u32) -> bool {
    client.request(stream, &fields("GET"), &[], &[]).await;
    matches!(client.end_of(stream).await, End::Answered(200, _))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_connection_are_capped() {
    const MOST: u32 = 100;
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    let mut client = edge.h2_raw().await;
    client.send(&uploads(0..MOST + 1)).await;
    let (under, at, over) = (2 * (MOST - 2) + 1, 2 * (MOST - 1) + 1, 2 * MOST + 1);
    assert_eq!(client.end_of(over).await, End::Reset, "one over");
    for (what, stream) in [("one under", under), ("at it", at)] {
        client.send(&frame(DATA, END_STREAM, stream, b"")).await;
        assert!(matches!(client.end_of(stream).await, End::Answered(200, _)), "{what}");
    }
    assert!(is_answered(&mut client, over + 2).await, "there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_were_reset_before_they_were_taken_are_capped() {
    const MOST: u32 = 20;
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).start().await;
    for (what, number, stands) in
        [("one under", MOST - 1, true), ("at it", MOST, true), ("one over", MOST + 1, false)]
    {
        let mut client = edge.h2_raw().await;
        assert!(is_answered(&mut client, 1).await, "{what}");
        let block = block(&fields("GET"));
        let taken_back = |n: u32| {
            let stream = 2 * n + 3;
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
            [request, frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
        };
        // One write is one TLS record: all of it is read before a stream is taken.
        let burst: Vec<u8> = (0..number).flat_map(taken_back).collect();
        client.send(&burst).await;
        assert_eq!(is_answered(&mut client, 2 * MOST + 9).await, stands, "{what}");
    }
    let counted = "edge_refusals_total{reason=\"malformed_request\"} 1";
    within("the count", edge.counts(counted)).await;
}
