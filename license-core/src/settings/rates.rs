//! How often one user may ask.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::time::Duration;

/// So many requests within a time, written `10/1m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// Within which time; never more than `requests` in any window of this length.
    pub window: Duration,
}

/// How often one user of a tenant may ask of this process. What is `None` is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rates {
    /// Acquires and reconnects.
    pub acquire: Option<Rate>,
    /// Heartbeats.
    pub heartbeat: Option<Rate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    acquire: Option<Rate>,
    heartbeat: Option<Rate>,
}

const REQUESTS_MAX: u32 = 600;
const WINDOW_MAX: Duration = Duration::from_secs(3600);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = || {
            let (requests, window) = text.split_once('/')?;
            let window = window.parse::<super::Span>().ok()?.duration();
            let rate = Self { requests: requests.parse().ok()?, window };
            let fits = (1..=REQUESTS_MAX).contains(&rate.requests)
                && !rate.window.is_zero()
                && rate.window <= WINDOW_MAX;
            fits.then_some(rate)
        };
        read().ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a rate such as `10/1m`: 1 to 600 requests in at most 1h"
            ))
        })
    }
}

impl From<Source> for Rates {
    fn from(source: Source) -> Self {
        Self { acquire: source.acquire, heartbeat: source.heartbeat }
    }
}
