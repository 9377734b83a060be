//! The verdict on an answer: the rules for answers, before the client hears anything.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use portcullis_config::model::OnMatch;
use portcullis_policy::waf::{AnswerFinding, AnswerHead, AnswerRefusal};
use portcullis_policy::{Header, RequestHead};

use super::Gate;
use super::forward::Forward;
use super::inflate::{Cap, Coding, inflate};
use super::refusal::Refusal;
use super::work::Work;
use crate::reason::Reason;

/// Inflated bytes for each byte of a compressed answer: the origin is no attacker, but it may hand on what one stored.
const RATIO: u32 = 1000;

/// Judges the head of an answer that Pingora sends on by itself, where the route's rules look at no more.
pub(super) async fn judge_head(
    gate: &Gate,
    session: &Session,
    work: &mut Work,
    head: &ResponseHeader,
) -> pingora::Result<()> {
    let Some(forward) = work.forward.clone() else { return Ok(()) };
    if forward.entry.route.inspection().is_none() || head.status.is_informational() {
        return Ok(());
    }
    let Err(refusal) = judge(gate, session, work, &forward, head, b"").await else { return Ok(()) };
    forward.fail(refusal);
    let why = "the answer was refused";
    Err(Error::explain(ErrorType::Custom("AnswerDenied"), why).into_down())
}

/// Judges an answer by the route's rules; `body` is what is held of its body.
pub(super) async fn judge(
    gate: &Gate,
    session: &Session,
    work: &mut Work,
    forward: &Forward,
    head: &ResponseHeader,
    body: &[u8],
) -> Result<(), Refusal> {
    let Some(inspection) = forward.entry.route.inspection() else { return Ok(()) };
    let Some(rules) = work.snapshot.answer_rules.get(&inspection.ruleset).cloned() else {
        return Err(Refusal::because(Reason::Internal, "the route's rule set is not there"));
    };
    let memory = gate.shared.state.memory(gate.shared.clock.now());
    let max = inspection.body.unwrap_or(0);
    let coding = Coding::of(&head.headers);
    let size = usize::try_from(max).unwrap_or(usize::MAX);
    let judging = || {
        let inflated;
        let start = body.get(..size).unwrap_or(body);
        let plain = if coding == Coding::Identity || max == 0 {
            start
        } else {
            inflated = inflate(coding, body, Cap { bytes: max, ratio: RATIO });
            match &inflated {
                Ok(inflated) => inflated.bytes.as_ref(),
                Err(_) => return Err(()),
            }
        };
        Ok(find(session, work, forward, head, plain, |request, answer, body| {
            rules.judge(request, answer, body, &memory)
        }))
    };
    let found = gate.heavy.run(body.len(), judging).await;
    let found = found.map_err(|()| {
        Refusal::because(Reason::AnswerDenied, "the answer is compressed and cannot be looked into")
    })?;
    let refusal = found.refusal.as_ref().map(|refusal| detail(&found.matched, refusal));
    work.answer_rules = found.matched;
    let Some(detail) = refusal else { return Ok(()) };
    gate.shared.metrics.answers_matched.with_label_values(&[forward.entry.host.as_str()]).inc();
    match inspection.on_match {
        OnMatch::Deny => Err(Refusal::because(Reason::AnswerDenied, detail)),
        OnMatch::Log => {
            work.remark = Some(detail.into());
            Ok(())
        }
    }
}

fn detail(matched: &[u32], refusal: &AnswerRefusal) -> String {
    let matched: Vec<_> = matched.iter().map(ToString::to_string).collect();
    format!("the answer matched rules {}: {}", matched.join(", "), refusal.message)
}

fn find(
    session: &Session,
    work: &Work,
    forward: &Forward,
    head: &ResponseHeader,
    body: &[u8],
    judge: impl FnOnce(&RequestHead<'_>, &AnswerHead<'_>, &[u8]) -> AnswerFinding,
) -> AnswerFinding {
    let asked = session.req_header();
    let (request_fields, answer_fields) =
        (fields(&asked.headers, true), fields(&head.headers, false));
    let target = &forward.target;
    let (address, connection) = (forward.client.address, &work.connection);
    let request = RequestHead {
        id: &work.id,
        client_ip: address,
        region_code: work.snapshot.region_code(address),
        asn: work.snapshot.asn(address),
        sni: connection.sni.as_deref().map(str::as_bytes),
        ja3: &connection.fingerprints.ja3,
        ja4: &connection.fingerprints.ja4,
        certificate: connection.certificate.as_deref(),
        scheme: connection.scheme(),
        host: &target.host,
        method: asked.method.as_str().as_bytes(),
        path: &target.path,
        query: &target.query,
        uri: &target.uri,
        version: b"HTTP/1.1",
        headers: &request_fields,
        bypass_limits: work.load_test.is_some(),
    };
    let status = head.status.as_u16();
    let answer = AnswerHead { status, version: b"HTTP/1.1", headers: &answer_fields };
    judge(&request, &answer, body)
}

/// The headers as the rules see them: an inflated answer is not called compressed.
fn fields(headers: &HeaderMap, is_request: bool) -> Vec<Header<'_>> {
    headers
        .iter()
        .filter(|(name, _)| is_request || **name != CONTENT_ENCODING)
        .map(|(name, value)| Header { name: name.as_str().as_bytes(), value: value.as_bytes() })
        .collect()
}
