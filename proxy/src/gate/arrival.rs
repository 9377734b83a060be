//! The way of a request to its route: a place among those in work, sanity, and what is answered before any route is.

use std::sync::Arc;

use pingora::proxy::Session;
use portcullis_policy::Scheme;

use super::in_work::NoRoom;
use super::refusal::Refusal;
use super::sanity::Target;
use super::work::Work;
use super::{Gate, bypass, certificate, redirect, routing, sanity};
use crate::edge::Manner;
use crate::reason::Reason;
use crate::router::RouteEntry;

/// A request that has a route.
pub(super) struct Arrival {
    pub(super) entry: Arc<RouteEntry>,
    pub(super) target: Target,
    pub(super) scheme: Scheme,
}

/// Where a request has come to.
pub(super) enum Arrived {
    AtRoute(Arrival),
    /// At the proof of a name that an authority asks for, which no route stands before.
    ForProof(String),
}

/// Finds the request's route. `Err` is what the client is told.
pub(super) fn arrive(
    gate: &Gate,
    session: &mut Session,
    work: &mut Work,
) -> Result<Arrived, Refusal> {
    let snapshot = Arc::clone(&work.snapshot);
    let claim = bypass::claim(gate, session.req_header_mut(), work);
    let is_claimed = claim.is_some();
    take_place(gate, work, is_claimed)?;
    sanity::join_cookies(session.req_header_mut())?;
    let scheme = work.connection.scheme();
    let target = sanity::check(session.req_header(), &snapshot.config.limits, scheme.as_str())?;
    if scheme == Scheme::Http
        && let Some(proof) = gate.shared.proofs.http(&target.path)
    {
        return Ok(Arrived::ForProof(proof));
    }
    if let Manner::RedirectToHttps { status, port } = work.connection.manner {
        return Err(redirect::to_https(&snapshot, &target, status, port));
    }
    let entry = routing::find(&snapshot, &work.connection, &target, gate.shared.clock.now())?;
    work.entry = Some(Arc::clone(&entry));
    work.load_test = claim.and_then(|claim| bypass::grant(gate, claim, &entry));
    if is_claimed && work.load_test.is_none() {
        work.place = None;
        take_place(gate, work, false)?;
    }
    certificate::strip(session.req_header_mut(), work);
    let target = target.with_path_form(entry.route.path_form)?;
    Ok(Arrived::AtRoute(Arrival { entry, target, scheme }))
}

/// Counts the request as one in work, and as one of its client's unless a load test lifts that. Before everything else: what
/// is refused here costs the least.
fn take_place(gate: &Gate, work: &mut Work, is_lifted: bool) -> Result<(), Refusal> {
    let config = &work.snapshot.config;
    let client = work.client.address;
    let is_hop = config.trusted_hops.iter().any(|net| net.contains(&client));
    let refused =
        |reason, detail| Refusal { retry_after_secs: Some(1), ..Refusal::because(reason, detail) };
    let place = gate.in_work.enter(client, is_hop || is_lifted, &config.limits).map_err(
        |full| match full {
            NoRoom::All => {
                refused(Reason::Overloaded, "more requests in work than `limits.requests`")
            }
            NoRoom::Client => refused(
                Reason::RateLimited,
                "more requests of the client in work than `limits.requests_per_client`",
            ),
        },
    )?;
    work.place = Some(place);
    Ok(())
}
