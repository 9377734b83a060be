//! What goes on every day, shown to the scenarios of the incident desk: who is seen from where, and which license keys are
//! used by which devices. A key and a device are kept as digests under a key that this process drew.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use portcullis_config::model::{AccountField, LicenseCall};
use portcullis_incident::{Category, Event};

use super::decide::Admitted;
use super::work::Work;
use crate::events::everyday;
use crate::lockdown::route_name;
use crate::log::RequestRecord;
use crate::router::RouteEntry;
use crate::shared::Shared;
use crate::sign_in::account;

/// What a license call names.
#[derive(Debug)]
pub(super) struct Named {
    license_key: String,
    device: Option<String>,
}

/// Notes what a call names, on a route that says where it stands. One that names no key is no call.
pub(super) fn note(work: &mut Work, entry: &RouteEntry, admitted: &Admitted) {
    let Some(call) = entry.route.license_call() else { return };
    let Some(held) = &admitted.held else { return };
    let body = held.inflated.as_ref().map_or(&held.bytes[..], |inflated| &inflated.bytes[..]);
    work.license_call = named(call, body);
}

fn named(call: &LicenseCall, body: &[u8]) -> Option<Named> {
    // A key that is there twice, or longer than any, is no key.
    let digest = |places: &[AccountField]| account(places, body).ok().map(|text| digest(&text));
    let license_key = digest(&call.license_key)?;
    Some(Named { license_key, device: digest(&call.device) })
}

fn digest(text: &str) -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:016x}", KEY.hash_one(text))
}

/// Shows what a finished request is worth showing. Nothing is learnt from a load test.
pub(super) fn show(shared: &Shared, work: &Work, record: &RequestRecord) {
    if record.load_test.is_some() {
        return;
    }
    if let Some(entry) = &work.entry {
        entry.traffic.fetch_add(1, Ordering::Relaxed);
    }
    let event = |category| Event {
        route: route(work),
        place: work.snapshot.place(record.client.address),
        ..everyday(record, category)
    };
    if let Some(named) = &work.license_call {
        let mut call = event(Category::LicenseCall);
        call.actor.license_key = Some(named.license_key.clone());
        call.actor.device = named.device.clone();
        shared.events.show(call);
    }
    if let (Some(identity), None) = (&work.identity, record.refusal) {
        let token = identity.token_id.as_deref();
        let session = || {
            let mut session = event(Category::Session);
            session.actor.token_id = identity.token_id.clone();
            session
        };
        let address = record.client.address;
        shared.events.show_session(address, &identity.subject, token, session, record.time);
    }
}

fn route(work: &Work) -> String {
    let name = |entry: &std::sync::Arc<RouteEntry>| route_name(&entry.host, &entry.route.path);
    work.entry.as_ref().map(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> LicenseCall {
        let json = |name: &str| vec![AccountField::Json(vec![name.to_owned()])];
        LicenseCall { license_key: json("license_key"), device: json("hardware_id") }
    }

    #[test]
    fn a_call_names_digests_and_never_the_key() {
        let body = br#"{"license_key": "ABCD-1234", "hardware_id": "laptop"}"#;
        let first = named(&call(), body).unwrap();
        let second = named(&call(), body).unwrap();
        assert_eq!((&first.license_key, &first.device), (&second.license_key, &second.device));
        assert!(!format!("{first:?}").to_lowercase().contains("abcd"));
        let other = named(&call(), br#"{"license_key": "ABCD-1235"}"#).unwrap();
        assert_ne!(other.license_key, first.license_key);
        assert_eq!(other.device, None);
    }

    #[test]
    fn what_names_no_key_or_two_is_no_call() {
        for body in ["", "{}", "[]", "nonsense", r#"{"license_key": "a", "license_key": "b"}"#] {
            assert!(named(&call(), body.as_bytes()).is_none(), "{body}");
        }
    }
}
