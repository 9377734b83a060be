//! Bodies: one under each cap, at it, and one over.

use portcullis_tests::{Edge, Origin, within};

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: edge.test\r\nContent-Length: {length}\r\n\r\n")
}

fn post(length: usize) -> Vec<u8> {
    [head(length).into_bytes(), vec![b'x'; length]].concat()
}

fn chunked(length: usize) -> Vec<u8> {
    let start = format!(
        "POST / HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
    );
    [start.into_bytes(), vec![b'x'; length], b"\r\n0\r\n\r\n".to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_taken_up_to_its_bytes() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { body: 1000B }").start().await;
    for (what, length, status) in
        [("one under", 999, 200), ("at it", 1000, 200), ("one over", 1001, 413)]
    {
        let body = vec![b'x'; length];
        let statuses = [
            edge.client().await.ask(post(length)).await.status,
            edge.client().await.ask(chunked(length)).await.status,
            edge.h2().await.ask("POST", "/", &[], &body).await.status,
        ];
        assert_eq!(statuses, [status; 3], "{what}");
    }
    assert!(origin.seen().iter().all(|seen| seen.body.len() <= 1000));
    assert_eq!(origin.seen().len(), 6);
    within("the count", edge.counts("edge_refusals_total{reason=\"body_too_large\"} 3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_together_are_held_up_to_the_budget() {
    const BUDGET: usize = 1 << 20;
    const HELD: usize = 600_000;
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { body_buffer: 1MiB }").start().await;
    // One body is held: its last byte does not come.
    let mut first = edge.client().await;
    first.send([head(HELD + 1).into_bytes(), vec![b'x'; HELD]].concat()).await;
    within("the body", edge.counts(&format!("edge_body_bytes_held {HELD}"))).await;
    let rest = BUDGET - HELD;
    for (what, length, status) in
        [("one under", rest - 1, 200), ("at it", rest, 200), ("one over", rest + 1, 503)]
    {
        let answer = edge.client().await.ask(post(length)).await;
        assert_eq!(answer.status, status, "{what}");
        within("its share", edge.counts(&format!("edge_body_bytes_held {HELD}\n"))).await;
    }
    let refused = "edge_refusals_total{reason=\"overloaded\"} 1";
    within("the count", edge.counts(refused)).await;
    assert_eq!(first.ask("x").await.status, 200);
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_body_is_dropped_up_to_its_bytes_and_the_connection_kept() {
    const MOST: usize = 262_144;
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).top("limits: { body: 0B }").start().await;
    for (what, length, is_kept) in
        [("one under", MOST - 1, true), ("at it", MOST, true), ("one over", MOST + 1, false)]
    {
        let mut client = edge.client().await;
        assert_eq!(client.ask(post(length)).await.status, 413, "{what}");
        client.send(super::GET).await;
        let next = client.maybe_answer().await.map(|answer| answer.status);
        assert_eq!(next, is_kept.then_some(200), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_browsers_are_taken_up_to_their_bytes() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).host("csp_reports: /reports").start().await;
    for (what, length, status) in
        [("one under", 16_383, 202), ("at it", 16_384, 202), ("one over", 16_385, 413)]
    {
        let head = format!(
            "POST /reports HTTP/1.1\r\nHost: edge.test\r\nContent-Type: application/csp-report\r\nContent-Length: {length}\r\n\r\n"
        );
        let request = [head.into_bytes(), vec![b' '; length]].concat();
        let answer = edge.client().await.ask(request).await;
        assert_eq!(answer.status, status, "{what}");
    }
    origin.saw_nothing();
}
