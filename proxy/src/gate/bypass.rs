//! The header of load tests: taken off before anything else looks, and what it lifts.
//!
//! Whether it is valid is known before the route is; a place as one of the client's requests in work is given back where it
//! turns out that the route is not among those it is for.

use std::sync::Arc;

use http::HeaderName;
use pingora::http::RequestHeader;

use super::Gate;
use super::work::Work;
use crate::bypass::{Claim, HEADER};
use crate::router::RouteEntry;

const NAME: HeaderName = HeaderName::from_static(HEADER);

/// Takes the header off, and returns what it claims if it is valid. Two of them are none.
pub(super) fn claim(gate: &Gate, head: &mut RequestHeader, work: &Work) -> Option<Claim> {
    if !head.headers.contains_key(&NAME) {
        return None;
    }
    let values: Vec<_> = head.headers.get_all(&NAME).iter().cloned().collect();
    head.remove_header(&NAME);
    let Some(bypass) = &work.snapshot.bypass else {
        count(gate, "off");
        return None;
    };
    let claim = match values.as_slice() {
        [only] => bypass.claim(only.as_bytes(), work.client.address, work.begun),
        _ => None, // none or several
    };
    if claim.is_none() {
        count(gate, "invalid");
    }
    claim
}

/// Returns the word for the log, if the claim holds on the route.
pub(super) fn grant(gate: &Gate, claim: Claim, entry: &RouteEntry) -> Option<Arc<str>> {
    let granted = claim.on(entry);
    count(gate, if granted.is_some() { "lifted" } else { "elsewhere" });
    granted
}

fn count(gate: &Gate, outcome: &str) {
    gate.shared.metrics.load_test_bypasses.with_label_values(&[outcome]).inc();
}
