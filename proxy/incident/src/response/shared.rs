//! Which sources several subjects share: offices, carriers, VPNs. Learnt from valid sessions, bounded, forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_config::Timestamp;

use crate::source;

/// How long a valid session speaks for its source.
const RECENT: Duration = Duration::from_secs(3600);
/// More than this many subjects need not be told apart.
const SUBJECTS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct SharedSources {
    sources: HashMap<IpNet, Vec<(String, Timestamp)>>,
    sources_max: usize,
}

impl SharedSources {
    pub(super) fn new(sources_max: usize) -> Self {
        Self { sources: HashMap::new(), sources_max: sources_max.max(1) }
    }

    pub(super) fn note(&mut self, address: IpAddr, subject: &str, now: Timestamp) {
        let net = source::of_client(address);
        if self.sources.len() >= self.sources_max && !self.sources.contains_key(&net) {
            self.make_room();
        }
        let subjects = self.sources.entry(net).or_default();
        subjects.retain(|(known, seen)| known != subject && now.since(*seen) < RECENT);
        if subjects.len() >= SUBJECTS_MAX {
            subjects.remove(0);
        }
        subjects.push((subject.to_owned(), now));
    }

    /// Returns how many subjects had valid sessions from a source recently, at most four.
    pub(super) fn subjects(&self, net: &IpNet, now: Timestamp) -> usize {
        let recent = |seen: &&(String, Timestamp)| now.since(seen.1) < RECENT;
        self.sources.get(net).map_or(0, |subjects| subjects.iter().filter(recent).count())
    }

    /// Of a few, the source that was longest idle goes.
    fn make_room(&mut self) {
        let last = |subjects: &Vec<(String, Timestamp)>| subjects.last().map(|(_, seen)| *seen);
        let oldest = self.sources.iter().take(16).min_by_key(|(_, subjects)| last(subjects));
        if let Some(net) = oldest.map(|(net, _)| *net) {
            self.sources.remove(&net);
        }
    }
}
