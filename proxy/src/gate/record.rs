//! One line and one count per request, when it is over.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use pingora::proxy::Session;
use portcullis_config::Timestamp;

use super::capture;
use super::everyday;
use super::refusal::Refusal;
use super::sign_in;
use super::verdict::{self, Hidden};
use super::work::Work;
use crate::edge::{Connection, Fingerprints};
use crate::events::{Refused, is_noted, of_request};
use crate::log::{ClientRecord, IdentityRecord, Redaction, RequestRecord};
use crate::recent::Decision;
use crate::shared::Shared;

/// Logs and counts a finished request.
pub(super) fn finish(shared: &Shared, session: &mut Session, work: &mut Work) {
    let snapshot = std::sync::Arc::clone(&work.snapshot);
    let redaction = Redaction(&snapshot.config.log.redact);
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let latency = shared.clock.monotonic().saturating_sub(work.begun_monotonic);
    let refusal = work.refusal.take();
    count(shared, work, refusal.as_ref(), status, latency);
    sign_in::end(shared, work, refusal.is_some(), status);
    if let Some(verdict) = &work.verdict {
        verdict::count(shared, work, verdict);
    }
    let identity = work.identity.as_ref().map(|identity| IdentityRecord {
        provider: identity.provider.clone(),
        subject: identity.subject.clone(),
        tenant: identity.tenant.clone(),
    });
    let uri = redaction.uri(&work.asked.uri);
    let hidden = Hidden { redaction, in_uri: uri != work.asked.uri };
    let reason = refusal.as_ref().map(|refusal| refusal.reason);
    let refused = verdict::refused(work, hidden, is_noted(reason, status));
    let backend = work.entry.as_ref().and_then(|entry| entry.backend.as_ref());
    let server_asked = work.forward.as_ref().and_then(|forward| forward.attempts.server());
    let record = RequestRecord {
        format: snapshot.config.log.format,
        time: work.begun,
        request_id: work.id.clone(),
        generation: work.snapshot.generation,
        server: Some(work.connection.server),
        client: ClientRecord {
            asn: work.snapshot.asn(work.client.address),
            ..client(work.client.address, &work.connection, verdict::region(work))
        },
        method: work.asked.method.clone(),
        scheme: work.connection.scheme().as_str(),
        host: work.asked.host.clone(),
        uri,
        protocol: work.asked.protocol,
        user_agent: work.asked.user_agent.take(),
        referer: work.asked.referer.take().map(|referer| redaction.uri(&referer)),
        request_bytes: session.body_bytes_read() as u64,
        status,
        response_bytes: session.body_bytes_sent() as u64,
        latency,
        refusal: reason,
        detail: refusal
            .and_then(|refusal| refusal.detail)
            .or_else(|| work.remark.take())
            .map(Into::into),
        route: work.entry.as_ref().map(|entry| entry.route.path.clone()),
        backend: backend.map(|(id, _)| id.to_string()),
        server_asked,
        load_test: work.load_test.clone(),
        identity,
        objects: std::mem::take(&mut work.objects),
        attempted_tenant: refused.breach.as_ref().and_then(|one| one.attempted_tenant.clone()),
        enforced: work.verdict.as_deref().map(|one| verdict::enforced(one, hidden)),
        previews: work
            .verdict
            .as_deref()
            .map(|one| verdict::previews(one, hidden))
            .unwrap_or_default(),
        rule_errors: work.verdict.as_ref().map(|one| one.errors.clone()).unwrap_or_default(),
        user_ip: work
            .verdict
            .as_ref()
            .and_then(|one| one.user_ip.as_ref())
            .map(|given| (given.source.to_string(), given.address)),
        answer_rules: std::mem::take(&mut work.answer_rules),
        inspected_body_bytes: work
            .verdict
            .as_ref()
            .map_or(0, |verdict| verdict.inspected_body_bytes as u64),
        tls: work.connection.tls_version,
    };
    if let Some(capture) = &shared.capture {
        capture::offer(capture, session, work, &record);
    }
    everyday::show(shared, work, &record);
    keep(shared, record, &refused);
}

/// A load test has counts of its own: alarms and baselines are made of the others.
fn count(shared: &Shared, work: &Work, refusal: Option<&Refusal>, status: u16, latency: Duration) {
    let reason = refusal.map(|refusal| refusal.reason);
    if work.load_test.is_some() {
        return shared.metrics.load_tested(status, reason);
    }
    shared.metrics.answered(work.entry.as_deref(), status, latency);
    if let Some(reason) = reason {
        shared.metrics.refused(reason);
    }
}

/// What is known of what never became a request.
pub(super) struct Seen<'a> {
    /// The status that went out; 0 for none.
    pub(super) status: u16,
    pub(super) protocol: &'static str,
    /// The first line as it came, or its start.
    pub(super) line: &'a [u8],
}

/// Logs and counts what never became a request.
pub(super) fn malformed(
    shared: &Shared,
    connection: &Connection,
    id: &str,
    now: Timestamp,
    refusal: &Refusal,
    seen: &Seen<'_>,
) {
    let mut words = seen.line.splitn(3, |byte| *byte == b' ').map(Bytes::copy_from_slice);
    shared.metrics.refused(refusal.reason);
    let snapshot = shared.snapshot.load();
    keep(
        shared,
        RequestRecord {
            format: snapshot.config.log.format,
            time: now,
            request_id: id.to_owned(),
            generation: snapshot.generation,
            server: Some(connection.server),
            client: client(connection.peer.ip(), connection, String::new()),
            method: words.next().unwrap_or_default(),
            scheme: connection.scheme().as_str(),
            host: Bytes::new(),
            uri: words.next().unwrap_or_default(),
            protocol: seen.protocol,
            user_agent: None,
            referer: None,
            request_bytes: 0,
            status: seen.status,
            response_bytes: 0,
            latency: Duration::ZERO,
            refusal: Some(refusal.reason),
            detail: refusal.detail.clone().map(Into::into),
            route: None,
            backend: None,
            server_asked: None,
            load_test: None,
            identity: None,
            objects: Vec::new(),
            attempted_tenant: None,
            enforced: None,
            previews: Vec::new(),
            rule_errors: Vec::new(),
            user_ip: None,
            answer_rules: Vec::new(),
            inspected_body_bytes: 0,
            tls: connection.tls_version,
        },
        &Refused::default(),
    );
}

/// To the log, to the incident desk, and to those who ask why.
fn keep(shared: &Shared, record: RequestRecord, refused: &Refused) {
    // Nobody is to be told of a load test, and no detector is to learn from it: the request log has it, with its mark.
    if record.load_test.is_none() {
        of_request(&record, refused).into_iter().for_each(|event| shared.events.raise(event));
    }
    if let Some(decision) = Decision::of(&record) {
        shared.recent.keep(decision);
    }
    shared.requests.record(record);
}

fn client(address: IpAddr, connection: &Connection, region_code: String) -> ClientRecord {
    let Fingerprints { ja3, ja4 } = connection.fingerprints.clone();
    let certificate = connection.certificate.clone();
    ClientRecord { address, peer: connection.peer, region_code, asn: 0, ja3, ja4, certificate }
}
