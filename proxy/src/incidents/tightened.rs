//! What responses hold in memory: whose requests are counted more strictly, and which rules in preview count as in force.
//! A request asks it with one load; nearly always nothing is held.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use portcullis_config::Timestamp;
use portcullis_config::model::Incidents;
use portcullis_incident::source;
use portcullis_policy::{Limit, LimitKey, LimitOutcome, State, Threshold};

/// What a response holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Held {
    /// A source does little.
    Source(IpNet),
    /// A subject does little.
    Subject(String),
    /// Each client without a known token does little on a route.
    Route(String),
    /// A rule in preview, `POLICY/PRIORITY`, is in force.
    Rule(String),
}

/// Everything that is held, by the number of its response.
#[derive(Debug, Default)]
pub struct Tightened {
    by_number: Mutex<BTreeMap<u64, (Held, Timestamp)>>,
    now_held: ArcSwap<Option<HashMap<Held, Timestamp>>>,
}

impl Tightened {
    /// Holds something until a moment.
    pub(crate) fn hold(&self, number: u64, held: Held, until: Timestamp) {
        let mut by_number = self.by_number.lock().unwrap_or_else(PoisonError::into_inner);
        by_number.insert(number, (held, until));
        self.publish(&by_number);
    }

    /// Lets it go.
    pub(crate) fn let_go(&self, number: u64) {
        let mut by_number = self.by_number.lock().unwrap_or_else(PoisonError::into_inner);
        if by_number.remove(&number).is_some() {
            self.publish(&by_number);
        }
    }

    fn publish(&self, by_number: &BTreeMap<u64, (Held, Timestamp)>) {
        let mut held: HashMap<Held, Timestamp> = HashMap::new();
        for (what, until) in by_number.values() {
            let longest = held.entry(what.clone()).or_insert(*until);
            *longest = (*longest).max(*until);
        }
        self.now_held.store(Arc::new(Some(held).filter(|held| !held.is_empty())));
    }

    fn holds(&self, what: &Held, now: Timestamp) -> bool {
        let held = self.now_held.load();
        let until = (**held).as_ref().and_then(|held| held.get(what));
        until.is_some_and(|until| now < *until)
    }

    fn is_empty(&self) -> bool {
        self.now_held.load().is_none()
    }

    /// Counts a request of a source that is limited. An error says when to come again.
    pub(crate) fn source(
        &self,
        address: IpAddr,
        state: &State,
        settings: &Incidents,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        if self.is_empty() {
            return Ok(());
        }
        let net = source::of_client(address);
        if !self.holds(&Held::Source(net), now) {
            return Ok(());
        }
        let mut key = LimitKey::new();
        key.push_address_by(net.addr(), net.prefix_len());
        count(state, "incident/source", settings.limited_to, &key, now)
    }

    /// Counts a request of a subject that is limited.
    pub(crate) fn subject(
        &self,
        subject: &str,
        state: &State,
        settings: &Incidents,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        if self.is_empty() || !self.holds(&Held::Subject(subject.to_owned()), now) {
            return Ok(());
        }
        let mut key = LimitKey::new();
        key.push_text(subject.as_bytes());
        count(state, "incident/subject", settings.limited_to, &key, now)
    }

    /// Counts a client's request to a route whose protection is raised. `is_known` is asked only there.
    pub(crate) fn route(
        &self,
        route: impl FnOnce() -> String,
        address: IpAddr,
        is_known: impl FnOnce() -> bool,
        state: &State,
        settings: &Incidents,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        if self.is_empty() || !self.holds(&Held::Route(route()), now) || is_known() {
            return Ok(());
        }
        let net = source::of_client(address);
        let mut key = LimitKey::new();
        key.push_address_by(net.addr(), net.prefix_len());
        count(state, "incident/route", settings.raised_to, &key, now)
    }

    /// Returns the rules in preview that count as in force; `None` where there are none.
    pub(crate) fn rules(&self, now: Timestamp) -> Option<HashSet<String>> {
        let held = self.now_held.load();
        let held = (**held).as_ref()?;
        let in_force = held.iter().filter(|(_, until)| now < **until);
        let rules = in_force.filter_map(|(what, _)| match what {
            Held::Rule(rule) => Some(rule.clone()),
            Held::Source(_) | Held::Subject(_) | Held::Route(_) => None,
        });
        Some(rules.collect()).filter(|rules: &HashSet<String>| !rules.is_empty())
    }
}

fn count(
    state: &State,
    name: &str,
    per_minute: u32,
    key: &LimitKey,
    now: Timestamp,
) -> Result<(), Timestamp> {
    // The configuration's range is the threshold's.
    let Ok(threshold) = Threshold::new(per_minute, Duration::from_secs(60)) else { return Ok(()) };
    let limit = Limit::new(name, name, threshold, None);
    match state.check(&limit, key, now) {
        LimitOutcome::Conforms { .. } => Ok(()),
        LimitOutcome::Exceeds { retry_at } => Err(retry_at),
        LimitOutcome::BanStarted { until } => Err(until),
        LimitOutcome::Banned { until } => Err(until.unwrap_or(now)),
    }
}
