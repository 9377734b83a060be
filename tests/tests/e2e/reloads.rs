//! Reloads under load: no failed request, and none that saw two generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_tests::{Edge, Origin, within};

const RELOADS: u32 = 50;

/// A policy whose two rules stamp one header each with the same mark: a request that mixed two policies would show it.
fn policy(mark: u32) -> String {
    format!(
        r#"
name: tested
rules:
  - priority: 10
    action: deny(403)
    match: {{ expr: {{ expression: "request.path == '/only-in-{mark}'" }} }}
  - priority: 2147483647
    action: allow
    match: {{ versionedExpr: SRC_IPS_V1, config: {{ srcIpRanges: ["*"] }} }}
    headerAction:
      requestHeadersToAdds: [{{ headerName: x-mark, headerValue: "{mark}" }}]
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_of_good_and_bad_files_fail_no_request() {
    let origin = Origin::start().await;
    let edge = Arc::new(Edge::builder(&origin).policy(&policy(1)).start().await);
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|at| tokio::spawn(ask_until(Arc::clone(&edge), Arc::clone(&stop), at % 2 == 0)))
        .collect();
    let mut published = 1;
    for n in 1..=RELOADS {
        if n % 2 == 0 {
            assert!(
                edge.publish_policy("name: tested\nrules: [{ priority: 1, action: perhaps }]")
                    .is_err()
            );
        } else {
            published += 1;
            edge.publish_policy(&policy(published)).unwrap();
        }
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut asked = 0;
    for task in load {
        asked += task.await.unwrap();
    }
    assert_eq!(edge.shared().snapshot.load().generation, u64::from(published));
    assert!(asked >= u64::from(RELOADS), "only {asked} requests met {RELOADS} reloads");
    // A request is logged once it is over, which its client may know before the log does.
    let logged = async {
        while (edge.request_log().len() as u64) < asked {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the last line of the log", logged).await;
    every_request_saw_one_generation(&edge, &origin, asked);
}

/// Asks on one connection until told to stop; every answer has to be good.
async fn ask_until(edge: Arc<Edge>, stop: Arc<AtomicBool>, is_h2: bool) -> u64 {
    let mut asked = 0;
    if is_h2 {
        let mut client = edge.h2().await;
        while !stop.load(Ordering::Relaxed) || asked < 20 {
            assert_eq!(client.ask("GET", "/", &[], b"").await.status, 200);
            asked += 1;
        }
    } else {
        let mut client = edge.client().await;
        while !stop.load(Ordering::Relaxed) || asked < 20 {
            assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n").await.status, 200);
            asked += 1;
        }
    }
    asked
}

/// Generation n published mark n: the log's generation and the origin's mark of each request agree.
fn every_request_saw_one_generation(edge: &Edge, origin: &Origin, asked: u64) {
    let log = edge.request_log();
    assert_eq!(log.len() as u64, asked);
    let generations: std::collections::HashMap<String, String> = log
        .iter()
        .map(|line| {
            (line["requestId"].as_str().unwrap().to_owned(), line["generation"].to_string())
        })
        .collect();
    let seen = origin.seen();
    assert_eq!(seen.len() as u64, asked);
    for request in seen {
        let (id, mark) = (request.headers("x-request-id").remove(0), request.headers("x-mark"));
        assert_eq!(generations.get(&id), mark.first(), "request {id}");
    }
}
