//! Webhooks: where a tenant wants to hear of what happens to its seats and licenses.

use crate::clock::Timestamp;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// The events that a webhook may ask for.
pub(crate) const EVENTS: [&str; 6] = [
    "license.seat.acquired",
    "license.seat.released",
    "license.seat.timeout",
    "license.seats.exhausted",
    "license.expiring",
    "license.expired",
];
/// What a test of a webhook sends.
pub(crate) const TEST_EVENT: &str = "webhook.test";
/// The most webhooks of one tenant.
pub(crate) const WEBHOOKS_MAX: i64 = 10;
/// The most deliveries that wait for one webhook; beyond that it is disabled and they are dropped.
pub(crate) const WAITING_MAX: i64 = 100_000;
/// How long before its end a license's term is told to be ending.
pub(crate) const EXPIRING: Duration = Duration::from_secs(7 * 86_400);

/// The events of one webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Events(Option<Vec<&'static str>>);

/// A name that is no event's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it must be one or more of {}", EVENTS.join(", "))]
pub(crate) struct NoEvent;

impl Events {
    /// Every event, those of later versions too.
    pub(crate) const ALL: Self = Self(None);

    /// Reads the names; `*` alone is every event.
    pub(crate) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, NoEvent> {
        let mut known = Vec::new();
        let mut all = false;
        for name in names {
            all |= name == "*";
            match EVENTS.iter().find(|event| **event == name) {
                Some(event) if !known.contains(event) => known.push(*event),
                Some(_) => {}
                None if name == "*" => {}
                None => return Err(NoEvent),
            }
        }
        match (all, known.is_empty()) {
            (true, true) => Ok(Self::ALL),
            (false, false) => Ok(Self(Some(known))),
            (true, false) | (false, true) => Err(NoEvent),
        }
    }

    /// Reads a column; names that this version does not know are left out.
    pub(crate) fn from_column(column: &str) -> Self {
        if column == "*" {
            return Self::ALL;
        }
        let known = |name: &str| EVENTS.iter().find(|event| **event == name).copied();
        Self(Some(column.split_ascii_whitespace().filter_map(known).collect()))
    }

    /// Writes the column, which the database matches by ` name `.
    pub(crate) fn to_column(&self) -> String {
        self.0.as_ref().map_or_else(|| "*".to_owned(), |names| format!(" {} ", names.join(" ")))
    }

    /// Returns the names as clients read them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.clone().unwrap_or_else(|| vec!["*"])
    }
}

/// A webhook.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) events: Events,
    pub(crate) is_active: bool,
    /// Why it is disabled.
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) failed_at: Option<Timestamp>,
    pub(crate) failure: Option<String>,
    pub(crate) former_until: Timestamp,
    pub(crate) waiting: u32,
}

/// A webhook that is to be made; `secret` is sealed.
#[derive(Clone, Debug)]
pub(crate) struct NewWebhook {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) events: Events,
    pub(crate) secret: Vec<u8>,
}

/// What is changed of a webhook; what is `None` stays.
#[derive(Clone, Default, Debug)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Events>,
    pub(crate) active: Option<bool>,
}

/// Why a webhook was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotMade {
    /// There is no such tenant.
    NoTenant,
    /// The tenant has as many as it may.
    TooMany,
}

/// One message on its way to one webhook.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) webhook: Uuid,
    pub(crate) url: String,
    pub(crate) event: String,
    pub(crate) at: Timestamp,
    pub(crate) data: String,
    /// How often it was tried, this time included.
    pub(crate) attempts: i64,
    /// Sealed: the secret, and the former one while it signs too.
    pub(crate) secrets: Vec<Vec<u8>>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

/// What became of a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// It was taken.
    Delivered,
    /// It was not, and is tried again after a time.
    Retry(Duration, String),
    /// It was not, and is not tried again.
    GivenUp(String),
    /// The receiver is gone for good.
    Gone,
}

/// How long after a failed attempt the next one follows, before up to a tenth is added. The first is made at once.
const DELAYS_SECS: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Returns how long to wait after so many attempts; `None` when there is no other. `spread` is between 0 and 255.
pub(crate) fn delay_after(attempts: i64, spread: u8) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
    let secs = DELAYS_SECS.get(index)?;
    Some(Duration::from_millis(secs * 1000 + secs * 100 * u64::from(spread) / 255))
}

#[cfg(test)]
mod tests {
    use super::{Events, NoEvent, delay_after};
    use std::time::Duration;

    #[test]
    fn events_are_all_or_known_ones() {
        let read = |names: &[&str]| Events::parse(names.iter().copied());
        assert_eq!(read(&["*"]), Ok(Events::ALL));
        assert_eq!(read(&[]), Err(NoEvent));
        assert_eq!(read(&["license.sold"]), Err(NoEvent));
        assert_eq!(read(&["*", "license.expired"]), Err(NoEvent));
        let two = read(&["license.expired", "license.expiring", "license.expired"]).unwrap();
        assert_eq!(two.to_column(), " license.expired license.expiring ");
        assert_eq!(Events::from_column(&two.to_column()), two);
        assert_eq!(Events::from_column("*").names(), ["*"]);
    }

    #[test]
    fn ten_attempts_are_made_over_three_days() {
        assert_eq!(delay_after(1, 0), Some(Duration::from_secs(5)));
        assert_eq!(delay_after(2, 255), Some(Duration::from_secs(330)));
        assert_eq!(delay_after(9, 0), Some(Duration::from_secs(86_400)));
        assert_eq!(delay_after(10, 0), None);
        assert_eq!(delay_after(0, 0), None);
    }
}
