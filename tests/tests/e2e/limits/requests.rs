//! Requests in work: one under each cap, at it, and one over.

use portcullis_tests::{Client, Edge, Manner, Origin, within};

use super::GET;

const CAP: usize = 4;

fn from(address: &str) -> Manner {
    Manner { from: address.parse().unwrap(), ..Manner::default() }
}

/// Sends so many requests that the origin leaves unanswered, from 127.0.0.1, and waits until they are in work.
async fn hang(edge: &Edge, requests: usize) -> Vec<Client> {
    let mut hanging = Vec::new();
    for _ in 0..requests {
        let mut client = edge.client().await;
        client.send(GET).await;
        hanging.push(client);
    }
    let line = format!("http_server_requests_in_flight {requests}\n");
    within("the requests", edge.counts(&line)).await;
    let line = format!("edge_backend_requests_in_flight{{backend=\"origin\"}} {requests}\n");
    within("their places", edge.counts(&line)).await;
    hanging
}

/// Asks for what no route serves: an answer of the edge's own, or a refusal for want of room.
async fn asked(edge: &Edge, manner: &Manner) -> (u16, Option<String>) {
    let request = "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n";
    let answer = edge.client_as(manner).await.ask(request).await;
    (answer.status, answer.header("retry-after").map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_work_are_capped() {
    for (what, hanging, status) in
        [("one under", CAP - 2, 404), ("at it", CAP - 1, 404), ("one over", CAP, 503)]
    {
        let origin = Origin::answering(b"").await;
        let edge =
            Edge::builder(&origin).top(&format!("limits: {{ requests: {CAP} }}")).start().await;
        let held = hang(&edge, hanging).await;
        let again = (status == 503).then(|| "1".to_owned());
        assert_eq!(asked(&edge, &from("127.0.0.2")).await, (status, again), "{what}");
        drop(held);
        within("the room", edge.counts("http_server_requests_in_flight 0\n")).await;
        within("the room", async {
            while asked(&edge, &from("127.0.0.2")).await.0 != 404 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_work_of_a_client_are_capped() {
    for (what, hanging, status) in
        [("one under", CAP - 2, 404), ("at it", CAP - 1, 404), ("one over", CAP, 429)]
    {
        let origin = Origin::answering(b"").await;
        let top = format!("limits: {{ requests_per_client: {CAP} }}");
        let edge = Edge::builder(&origin).top(&top).start().await;
        let held = hang(&edge, hanging).await;
        assert_eq!(asked(&edge, &from("127.0.0.2")).await.0, 404, "{what}: another client");
        let again = (status == 429).then(|| "1".to_owned());
        assert_eq!(asked(&edge, &from("127.0.0.1")).await, (status, again), "{what}");
        drop(held);
    }
}
