//! The head of a request: one under each cap, at it, and one over, on HTTP/1 and HTTP/2.

use portcullis_tests::{Edge, Origin, within};

/// `Host: edge.test`, which HTTP/1 has and HTTP/2 has not.
const HOST_BYTES: usize = "Host".len() + "edge.test".len();

/// Asks by both protocols, with these fields besides `Host`, and returns the statuses.
async fn statuses(edge: &Edge, target: &str, h1: &[String], h2: &[String]) -> [u16; 2] {
    let head: String =
        h1.iter().enumerate().map(|(n, value)| format!("x{n:02}: {value}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n{head}\r\n");
    let names: Vec<String> = (0..h2.len()).map(|n| format!("x{n:02}")).collect();
    let fields: Vec<(&str, &str)> =
        names.iter().zip(h2).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    [
        edge.client().await.ask(request).await.status,
        edge.h2().await.ask("GET", target, &fields, b"").await.status,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_taken_up_to_its_bytes() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { target: 256B }").start().await;
    for (what, bytes, status) in
        [("one under", 255, 200), ("at it", 256, 200), ("one over", 257, 414)]
    {
        let target = format!("/{}", "a".repeat(bytes - 1));
        assert_eq!(statuses(&edge, &target, &[], &[]).await, [status; 2], "{what}");
    }
    assert_eq!(origin.seen().len(), 4);
    within("the count", edge.counts("edge_refusals_total{reason=\"uri_too_long\"} 2")).await;
}

/// Fields of these bytes, names and values together, in two lines.
fn fields(bytes: usize) -> [String; 2] {
    let values = bytes - 2 * "x00".len();
    ["v".repeat(values / 2), "v".repeat(values - values / 2)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_taken_up_to_their_bytes() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { header_bytes: 1KiB }").start().await;
    for (what, bytes, status) in
        [("one under", 1023, 200), ("at it", 1024, 200), ("one over", 1025, 431)]
    {
        let (h1, h2) = (fields(bytes - HOST_BYTES), fields(bytes));
        assert_eq!(statuses(&edge, "/", &h1, &h2).await, [status; 2], "{what}");
    }
    assert_eq!(origin.seen().len(), 4);
    within("the count", edge.counts("edge_refusals_total{reason=\"header_too_large\"} 2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_taken_up_to_their_number() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { headers: 8 }").start().await;
    let some = |number: usize| vec!["v".to_owned(); number];
    for (what, number, status) in [("one under", 7, 200), ("at it", 8, 200), ("one over", 9, 431)] {
        let (h1, h2) = (some(number - 1), some(number));
        assert_eq!(statuses(&edge, "/", &h1, &h2).await, [status; 2], "{what}");
    }
    assert_eq!(origin.seen().len(), 4);
    within("the count", edge.counts("edge_refusals_total{reason=\"header_too_large\"} 2")).await;
}
