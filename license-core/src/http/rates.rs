//! How often one user asks, for services that no edge counts for: exact windows, and the headers that tell of them.
//!
//! The edge's policies are where rates belong; these are a second line, per process, off unless the settings say so.

use super::Api;
use super::gate::Member;
use crate::reason::{Reason, Refusal};
use crate::settings::{Rate, Rates};
use axum::http::{HeaderMap, HeaderValue};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The most users whose requests are counted at once; beyond that, those who asked longest ago are forgotten.
pub(crate) const USERS_MAX: usize = 20_000;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Counted {
    Acquire,
    Heartbeat,
}

/// The counts of this process.
#[derive(Debug)]
pub(crate) struct Counts {
    rates: Rates,
    users: Mutex<HashMap<(Counted, String, String), VecDeque<Duration>>>,
}

/// How a user stands after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stand {
    rate: Rate,
    remaining: u32,
    /// When one more is free than now, in whole seconds.
    reset_secs: u64,
    admitted: bool,
}

impl Counts {
    /// Counts by these rates.
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, users: Mutex::default() }
    }

    const fn rate(&self, what: Counted) -> Option<Rate> {
        match what {
            Counted::Acquire => self.rates.acquire,
            Counted::Heartbeat => self.rates.heartbeat,
        }
    }

    /// Counts a request at `uptime`; `None` where this is not counted.
    fn count(&self, what: Counted, tenant: &str, subject: &str, uptime: Duration) -> Option<Stand> {
        let rate = self.rate(what)?;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (what, tenant.to_owned(), subject.to_owned());
        if users.len() >= USERS_MAX && !users.contains_key(&key) {
            self.make_room(&mut users, uptime);
        }
        let asked = users.entry(key).or_default();
        while asked.front().is_some_and(|first| uptime.saturating_sub(*first) >= rate.window) {
            asked.pop_front();
        }
        let limit = usize::try_from(rate.requests).unwrap_or(usize::MAX);
        let admitted = asked.len() < limit;
        if admitted {
            asked.push_back(uptime);
        }
        let first = asked.front().copied().unwrap_or(uptime);
        let left = rate.window.saturating_sub(uptime.saturating_sub(first));
        Some(Stand {
            rate,
            remaining: u32::try_from(limit.saturating_sub(asked.len())).unwrap_or(0),
            reset_secs: u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX),
            admitted,
        })
    }

    /// Forgets who has nothing in a window; where that is nobody, the tenth that asked longest ago.
    fn make_room(
        &self,
        users: &mut HashMap<(Counted, String, String), VecDeque<Duration>>,
        uptime: Duration,
    ) {
        users.retain(|(what, ..), asked| {
            let window = self.rate(*what).map_or(Duration::ZERO, |rate| rate.window);
            asked.back().is_some_and(|last| uptime.saturating_sub(*last) < window)
        });
        if users.len() < USERS_MAX {
            return;
        }
        let mut last: Vec<Duration> =
            users.values().filter_map(|asked| asked.back().copied()).collect();
        last.sort_unstable();
        let cut = last.get(USERS_MAX / 10).copied().unwrap_or(uptime);
        users.retain(|_, asked| asked.back().is_some_and(|last| *last > cut));
    }
}

impl Stand {
    /// Refuses what is too much.
    pub(super) fn refusal(self) -> Option<Refusal> {
        (!self.admitted).then(|| Refusal {
            retry_after_secs: Some(self.reset_secs.max(1)),
            ..Refusal::from(Reason::RateLimitExceeded)
        })
    }

    /// Tells the client: `RateLimit` and `RateLimit-Policy` as the IETF's draft writes them, and the older three.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let Self { rate, remaining, reset_secs, admitted: _ } = self;
        let (limit, window) = (rate.requests, rate.window.as_secs());
        let texts = [
            ("ratelimit-policy", format!("\"user\";q={limit};w={window}")),
            ("ratelimit", format!("\"user\";r={remaining};t={reset_secs}")),
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset_secs.to_string()),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Counts a request behind the gate, and says how its user stands where it is counted.
pub(super) fn count(api: &Api, method: &str, route: &str, member: &Member) -> Option<Stand> {
    let what = counted(method, route)?;
    let (tenant, subject) = (member.tenant.as_str(), member.subject.as_str());
    api.counts.count(what, tenant, subject, api.clock.uptime())
}

fn counted(method: &str, route: &str) -> Option<Counted> {
    let route = route.trim_end_matches('/');
    match method {
        "POST" if route.ends_with("/acquire") || route.ends_with("/reconnect") => {
            Some(Counted::Acquire)
        }
        "PATCH" if route.ends_with("/heartbeat") => Some(Counted::Heartbeat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Counts, USERS_MAX};
    use crate::settings::{Rate, Rates};
    use std::time::Duration;

    fn counts() -> Counts {
        let acquire = Some(Rate { requests: 3, window: Duration::from_secs(60) });
        Counts::new(Rates { acquire, heartbeat: None })
    }

    #[test]
    fn never_more_than_the_rate_within_any_window() {
        let counts = counts();
        let ask = |secs| {
            counts.count(Counted::Acquire, "acme", "anna", Duration::from_secs(secs)).unwrap()
        };
        assert_eq!((ask(0).remaining, ask(30).remaining), (2, 1));
        let third = ask(40);
        assert_eq!((third.admitted, third.remaining, third.reset_secs), (true, 0, 20));
        assert!(!ask(59).admitted, "one over");
        assert!(ask(60).admitted, "the first is a minute old");
        assert!(!ask(61).admitted);
        assert!(
            counts
                .count(Counted::Acquire, "acme", "ben", Duration::from_secs(61))
                .unwrap()
                .admitted
        );
        assert_eq!(counts.count(Counted::Heartbeat, "acme", "anna", Duration::ZERO), None);
    }

    #[test]
    fn the_users_that_are_counted_are_bounded() {
        let counts = counts();
        for user in 0..USERS_MAX + 100 {
            let at = Duration::from_millis(user as u64);
            counts.count(Counted::Acquire, "acme", &user.to_string(), at).unwrap();
            assert!(counts.users.lock().unwrap().len() <= USERS_MAX);
        }
    }
}
