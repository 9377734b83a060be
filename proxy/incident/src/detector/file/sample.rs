//! The events of a scenario's tests.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::yaml::Node;

use super::EVENTS_MAX;
use super::reader::{Reader, get};
use crate::event::{Event, Rule, Taken};
use crate::travel::Place;

const EVENT_KEYS: &[&str] = &[
    "category",
    "source",
    "subject",
    "account",
    "path",
    "method",
    "status",
    "country",
    "route",
    "rule",
    "token",
    "fingerprint",
    "license_key",
    "device",
    "asn",
    "place",
    "count",
    "repeat",
    "every",
    "after",
];

impl Reader<'_> {
    /// One line of events: `repeat` of them, in whose texts `{n}` counts.
    pub(super) fn events(&mut self, node: &Node) -> Option<Vec<(Duration, Event)>> {
        let entries = self.fields(node, "an event", EVENT_KEYS)?;
        let category = self.needed(entries, "category", node).and_then(|node| self.category(node));
        let repeat = match get(entries, "repeat") {
            Some(node) => self.number(node, 1, EVENTS_MAX),
            None => Some(1),
        };
        let span = |reader: &mut Self, key: &str| match get(entries, key) {
            Some(node) => reader.span(node),
            None => Some(Duration::ZERO),
        };
        let (every, after) = (span(self, "every"), span(self, "after"));
        let text = |reader: &mut Self, key: &str| match get(entries, key) {
            Some(node) => reader.text(node).map(Some),
            None => Some(None),
        };
        let source = text(self, "source")?.unwrap_or_else(|| "192.0.2.1".to_owned());
        let (subject, account) = (text(self, "subject")?, text(self, "account")?);
        let (path, route) = (text(self, "path")?, text(self, "route")?);
        let (method, country, rule) =
            (text(self, "method")?, text(self, "country")?, text(self, "rule")?);
        let (token, fingerprint) = (text(self, "token")?, text(self, "fingerprint")?);
        let (license_key, device) = (text(self, "license_key")?, text(self, "device")?);
        let number = |reader: &mut Self, key: &str, least: u64, usual: u64, most: u64| match get(
            entries, key,
        ) {
            Some(node) => reader.number(node, least, most),
            None => Some(usual),
        };
        let count = number(self, "count", 0, 1, 1_000_000_000);
        let asn = number(self, "asn", 0, 0, u64::from(u32::MAX));
        let place = match get(entries, "place") {
            Some(node) => self.place(node).map(Some),
            None => Some(None),
        };
        let status = match get(entries, "status") {
            Some(node) => self.number(node, 100, 599),
            None => Some(403),
        };
        let (category, repeat, status) = (category?, repeat?, status?);
        let (every, after) = (every?, after?);
        let (count, asn, place) = (count?, asn?, place?);
        let mut events = Vec::new();
        for n in 0..repeat {
            let with = |text: &str| text.replace("{n}", &n.to_string());
            let Ok(address) = with(&source).parse::<IpAddr>() else {
                let place = get(entries, "source").unwrap_or(node).place();
                self.report("wrong-value", place, format!("`{}` is no address", with(&source)));
                return None;
            };
            let mut event = Event::new("test", category, Some(address), Timestamp::from_millis(0));
            event.actor.subject = subject.as_deref().map(with);
            event.actor.account = account.as_deref().map(with);
            event.actor.country = country.as_deref().map(with);
            event.path = path.as_deref().map(with).unwrap_or_default();
            event.route = route.as_deref().map(with).unwrap_or_default();
            event.method = method.as_deref().map(with).unwrap_or_default();
            event.rule = rule.as_deref().map(|id| Rule { id: with(id), ..Rule::default() });
            event.status = u16::try_from(status).unwrap_or_default();
            event.actor.token_id = token.as_deref().map(with);
            event.actor.fingerprint = fingerprint.as_deref().map(with);
            event.actor.license_key = license_key.as_deref().map(with);
            event.actor.device = device.as_deref().map(with);
            event.actor.asn = u32::try_from(asn).ok().filter(|asn| *asn != 0);
            event.place = place;
            event.count = count;
            event.taken = Taken::Blocked;
            events.push((if n == 0 { after } else { every }, event));
        }
        Some(events)
    }

    /// Reads latitude, longitude and the radius, in kilometres, of what is meant.
    fn place(&mut self, node: &Node) -> Option<Place> {
        let numbers = self.all(node, Self::decimal)?;
        let place = match numbers.as_slice() {
            [latitude, longitude, accuracy_km]
                if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && *accuracy_km >= 0.0 =>
            {
                Some(Place {
                    latitude: *latitude,
                    longitude: *longitude,
                    accuracy_km: *accuracy_km,
                })
            }
            _ => None, // any other numbers
        };
        if place.is_none() {
            let message = "a place is `[latitude, longitude, kilometres]`".to_owned();
            self.report("wrong-value", node.place(), message);
        }
        place
    }
}
