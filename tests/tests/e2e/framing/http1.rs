//! Running an HTTP/1 case: alone, and with a request right behind it.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Edge, Recorder, Relay};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::case::{AFTER, Case, Finding, judge_origin};

/// How long the relay's client waits for an answer that may never come.
const RELAY_PATIENCE: Duration = Duration::from_secs(1);
/// The edge always answers or closes.
const EDGE_PATIENCE: Duration = Duration::from_secs(15);

const AFTER_REQUEST: &str = "GET /after HTTP/1.1\r\nHost: edge.test\r\n\r\n";

/// Sends the case through the edge.
pub(super) async fn through_the_edge(
    edge: &Edge,
    origin: &Recorder,
    case: &Case,
    plan: &str,
) -> Vec<Finding> {
    let may_begin = case.breaks_off && !plan.is_empty();
    let mut findings = Vec::new();
    for behind in [&b""[..], AFTER_REQUEST.as_bytes()] {
        if case.alone && !behind.is_empty() {
            continue;
        }
        let mut client = edge.client().await;
        client.send([&case.bytes(), behind].concat()).await;
        findings.extend(first_answer(&mut client, case, may_begin, EDGE_PATIENCE).await);
        findings.extend(next_answer(&mut client, case, !behind.is_empty(), EDGE_PATIENCE).await);
        findings.extend(next_answer(&mut edge.client().await, case, false, EDGE_PATIENCE).await);
        findings.extend(origins_view(origin, case, may_begin));
    }
    findings
}

/// Sends every case through a relay and to an origin of its own.
pub(super) async fn through_a_relay(cases: Vec<Case>) -> Vec<Finding> {
    let mut runs = JoinSet::new();
    for case in cases {
        runs.spawn(async move {
            let origin = Recorder::start().await;
            let relay = Relay::start(origin.address()).await;
            let mut client = relay.client().await;
            client.send(case.bytes()).await;
            let mut findings = Vec::new();
            findings.extend(first_answer(&mut client, &case, false, RELAY_PATIENCE).await);
            findings.extend(next_answer(&mut client, &case, false, RELAY_PATIENCE).await);
            findings.extend(origins_view(&origin, &case, true));
            findings
        });
    }
    runs.join_all().await.concat()
}

async fn first_answer(
    client: &mut Client,
    case: &Case,
    may_begin: bool,
    patience: Duration,
) -> Option<Finding> {
    let answer = timeout(patience, client.maybe_answer()).await;
    let seen = |what: String| Some(Finding::Seen { case: case.name.clone(), what });
    match (&answer, &case.origin) {
        (Err(_), _) => seen("no answer".to_owned()),
        (Ok(None), _) if may_begin => None,
        (Ok(None), _) => seen("a close".to_owned()),
        (Ok(Some(answer)), _) if may_begin && answer.status >= 400 => None,
        (Ok(Some(answer)), _) if answer.status != case.sees => seen(answer.status.to_string()),
        (Ok(Some(answer)), Some(line)) if !is_of(answer, line) => {
            Some(desynchronised(case, answer))
        }
        (Ok(Some(_)), _) => None,
    }
}

/// Asks once more, unless it has been asked already; the answer is the request's own, or the connection is over.
async fn next_answer(
    client: &mut Client,
    case: &Case,
    is_asked: bool,
    patience: Duration,
) -> Option<Finding> {
    if !is_asked {
        client.send(AFTER_REQUEST).await;
    }
    match timeout(patience, client.maybe_answer()).await {
        Ok(Some(answer)) if !is_of(&answer, AFTER) => Some(desynchronised(case, &answer)),
        Ok(_) => None,
        Err(_) => Some(Finding::Seen { case: case.name.clone(), what: "no next answer".into() }),
    }
}

fn is_of(answer: &Answer, line: &str) -> bool {
    answer.status == 200 && answer.body.strip_suffix(b"\n") == Some(line.as_bytes())
}

fn desynchronised(case: &Case, answer: &Answer) -> Finding {
    let what = format!("{} {}", answer.status, answer.body.escape_ascii());
    Finding::Desynchronised { case: case.name.clone(), what }
}

fn origins_view(origin: &Recorder, case: &Case, may_begin: bool) -> Vec<Finding> {
    let (recorded, bytes) = origin.take();
    let expected =
        case.origin.as_deref().map(|line| (line, case.body.as_bytes(), case.has.as_deref()));
    let mut findings = judge_origin(&case.name, expected, &recorded);
    let whole: usize = recorded.iter().map(|request| request.raw.len()).sum();
    if bytes > whole && !may_begin {
        let why = format!("{} bytes of no request", bytes - whole);
        findings.push(Finding::Ambiguous { case: case.name.clone(), why });
    }
    findings
}
