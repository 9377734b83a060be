//! Running an HTTP/2 case, and what a careless gateway would make of it.

use portcullis_tests::{Edge, End, H2Raw, Recorder};

use super::case::{AFTER, Case, Finding, Http2Case, judge_origin};

/// Sends the case through the edge, then a request on the same connection if it stands, then one on a fresh one.
pub(super) async fn through_the_edge(
    edge: &Edge,
    origin: &Recorder,
    case: &Http2Case,
    plan: &str,
) -> Vec<Finding> {
    let may_begin = case.breaks_off && !plan.is_empty();
    let mut client = edge.h2_raw().await;
    match case.frames() {
        Some(frames) => client.send(&frames).await,
        None => client.request(1, &case.fields(), &case.data(), &case.trailers()).await,
    }
    let end = client.end_of(1).await;
    let mut findings = Vec::new();
    let seen = match &end {
        End::Answered(status, _) => status.to_string(),
        End::Reset => "reset".to_owned(),
        End::Closed => "closed".to_owned(),
    };
    if seen != case.sees.text() && !(may_begin && seen != "200") {
        findings.push(Finding::Seen { case: case.name.clone(), what: seen });
    }
    if let (End::Answered(200, body), Some(line)) = (&end, &case.origin)
        && body.strip_suffix(b"\n") != Some(line.as_bytes())
    {
        findings.push(desynchronised(case, &end));
    }
    if end != End::Closed {
        findings.extend(after(&mut client, 3, case).await);
    }
    findings.extend(after(&mut edge.h2_raw().await, 1, case).await);
    findings.extend(origins_view(origin, case, may_begin));
    findings
}

async fn after(client: &mut H2Raw, id: u32, case: &Http2Case) -> Option<Finding> {
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let fields = [
        field(":method", "GET"),
        field(":scheme", "https"),
        field(":authority", "edge.test"),
        field(":path", "/after"),
    ];
    client.request(id, &fields, &[], &[]).await;
    let end = client.end_of(id).await;
    let is_own =
        matches!(&end, End::Answered(200, body) if body == format!("{AFTER}\n").as_bytes());
    (!is_own).then(|| desynchronised(case, &end))
}

fn desynchronised(case: &Http2Case, end: &End) -> Finding {
    Finding::Desynchronised { case: case.name.clone(), what: format!("{end:?}") }
}

fn origins_view(origin: &Recorder, case: &Http2Case, may_begin: bool) -> Vec<Finding> {
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

/// Writes a case out as a gateway would that copies fields as they come and frames a body by what they say.
pub(super) fn written_out(case: &Http2Case) -> Option<Case> {
    if case.frames().is_some() {
        return None;
    }
    let fields = case.fields();
    let value = |wanted: &str| {
        let mut found = fields.iter().filter(|(name, _)| name == wanted.as_bytes());
        found.next().map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut bytes = [value(":method"), value(":path")].join(&b' ');
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    if fields.iter().any(|(name, _)| name == b":authority") {
        bytes.extend([b"Host: ".to_vec(), value(":authority"), b"\r\n".to_vec()].concat());
    }
    let regular = fields.iter().filter(|(name, _)| !name.starts_with(b":"));
    let framing = |name: &[u8]| {
        name.eq_ignore_ascii_case(b"content-length")
            || name.eq_ignore_ascii_case(b"transfer-encoding")
    };
    let is_framed = fields.iter().any(|(name, _)| framing(name));
    for (name, value) in regular.chain(&case.trailers()) {
        bytes.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    let body = case.data().concat();
    if !is_framed && !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend(body);
    Some(Case::of_bytes(case, &bytes))
}
