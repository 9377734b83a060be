//! The framing corpus: requests that two readers may read differently, each sent through the edge on every kind of
//! route. After each one, what the client saw and what the origin saw is compared with the case, and a further request
//! has to be answered as its own. The same cases through a byte relay have to show that they bite.

#[path = "framing/case.rs"]
mod case;
#[path = "framing/http1.rs"]
mod http1;
#[path = "framing/http2.rs"]
mod http2;

use portcullis_tests::{Edge, Recorder};

use self::case::{Case, Finding, Http2Case};

/// How the route deals with bodies. Only the first holds them before the origin hears anything.
const PLANS: [&str; 3] = ["", ", body: skip", ", body: stream"];

async fn edge(origin: &Recorder, plan: &str) -> Edge {
    let route = format!("{{ path: /, backend: origin, identity: none{plan} }}");
    Edge::before(origin.address())
        .routes(&[&route])
        .top("limits: { body_timeout: 300ms, connection_rate: 1000000 }")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_is_read_in_one_way_and_nothing_is_smuggled_desynchronised_or_ambiguous() {
    let cases = Case::all(include_str!("../../corpus/framing/http1.yaml"));
    assert!(cases.len() >= 320, "{} cases", cases.len());
    let (mut ran, mut findings) = (0, Vec::new());
    for plan in PLANS {
        let origin = Recorder::start().await;
        let edge = edge(&origin, plan).await;
        for case in cases.iter().filter(|case| plan.is_empty() || !case.held) {
            let mut found = http1::through_the_edge(&edge, &origin, case, plan).await;
            if !found.is_empty() {
                // What a case before has left on its way may come late. Alone, a case answers for itself.
                let origin = Recorder::start().await;
                let edge = self::edge(&origin, plan).await;
                found = http1::through_the_edge(&edge, &origin, case, plan).await;
            }
            findings.extend(found);
            ran += 1;
        }
    }
    assert_eq!(findings, Vec::<Finding>::new(), "{} findings", findings.len());
    assert!(ran >= 960, "{ran} ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_1_corpus_bites_a_byte_relay() {
    let cases = Case::all(include_str!("../../corpus/framing/http1.yaml"));
    let findings = http1::through_a_relay(cases).await;
    case::assert_bites(&findings, [200, 40, 60]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_read_in_one_way_and_nothing_is_smuggled_desynchronised_or_ambiguous() {
    let cases = Http2Case::all(include_str!("../../corpus/framing/http2.yaml"));
    assert!(cases.len() >= 130, "{} cases", cases.len());
    let (mut ran, mut findings) = (0, Vec::new());
    for plan in PLANS {
        let origin = Recorder::start().await;
        let edge = edge(&origin, plan).await;
        for case in cases.iter().filter(|case| plan.is_empty() || !case.held) {
            let mut found = http2::through_the_edge(&edge, &origin, case, plan).await;
            if !found.is_empty() {
                // What a case before has left on its way may come late. Alone, a case answers for itself.
                let origin = Recorder::start().await;
                let edge = self::edge(&origin, plan).await;
                found = http2::through_the_edge(&edge, &origin, case, plan).await;
            }
            findings.extend(found);
            ran += 1;
        }
    }
    assert_eq!(findings, Vec::<Finding>::new(), "{} findings", findings.len());
    assert!(ran >= 390, "{ran} ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_2_corpus_bites_a_gateway_that_writes_fields_out_as_they_come() {
    let cases = Http2Case::all(include_str!("../../corpus/framing/http2.yaml"));
    let cases = cases.iter().filter_map(http2::written_out).collect();
    let findings = http1::through_a_relay(cases).await;
    case::assert_bites(&findings, [40, 5, 20]);
}
