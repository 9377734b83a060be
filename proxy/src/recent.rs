//! The last decisions against requests, for whoever asks why.
//!
//! Kept are requests that the edge answered itself, and those that a preview rule would have refused; a request that
//! simply passed has nothing to explain. The ring is cut in shards by client: who floods pushes out the neighbours of one
//! shard, and no two requests wait for each other unless they share it.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_config::Timestamp;

use crate::log::{PolicyRecord, RequestRecord};
use crate::reason::Reason;

const SHARDS: usize = 16;
/// Bytes of a target that are kept; the log has all of it.
const TARGET_BYTES_MAX: usize = 1024;
/// Bytes of any other text that are kept.
const TEXT_BYTES_MAX: usize = 256;
/// Preview rules of one decision that are kept.
const PREVIEWS_MAX: usize = 8;

/// One decision.
#[derive(Clone, Debug)]
pub struct Decision {
    /// When the request's head was read.
    pub time: Timestamp,
    /// The id that the client was told.
    pub request_id: String,
    /// The generation of the configuration that decided.
    pub generation: u64,
    /// Who asked.
    pub client: IpAddr,
    /// The country; empty if unknown.
    pub region_code: String,
    /// The token's tenant.
    pub tenant: Option<String>,
    /// The token's subject.
    pub subject: Option<String>,
    /// The method.
    pub method: Bytes,
    /// The host.
    pub host: Bytes,
    /// Path and query, cut.
    pub target: Bytes,
    /// The status that the client got.
    pub status: u16,
    /// Why the edge answered itself; `None` if only a preview rule matched.
    pub reason: Option<Reason>,
    /// What the client was not told.
    pub detail: Option<String>,
    /// The route's path.
    pub route: Option<String>,
    /// The rule that decided.
    pub enforced: Option<PolicyRecord>,
    /// Preview rules that matched.
    pub previews: Vec<PolicyRecord>,
    /// Whether a body was inspected: it is not kept.
    pub had_body: bool,
}

/// Whom or what is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// One request, or every one of a token's subject or tenant with this name.
    Name(String),
    /// Every request of a client.
    Client(IpAddr),
}

impl Decision {
    /// Returns what is to be remembered of a request; `None` where there is nothing to explain.
    #[must_use]
    pub fn of(record: &RequestRecord) -> Option<Self> {
        let matched = |preview: &&PolicyRecord| !preview.not_evaluated;
        let previews: Vec<PolicyRecord> =
            record.previews.iter().filter(matched).take(PREVIEWS_MAX).cloned().collect();
        if record.refusal.is_none() && previews.is_empty() {
            return None;
        }
        let identity = record.identity.as_ref();
        Some(Self {
            time: record.time,
            request_id: record.request_id.clone(),
            generation: record.generation,
            client: record.client.address,
            region_code: record.client.region_code.clone(),
            tenant: identity.and_then(|identity| identity.tenant.as_deref()).map(cut),
            subject: identity.map(|identity| cut(&identity.subject)),
            method: cut_bytes(&record.method, TEXT_BYTES_MAX),
            host: cut_bytes(&record.host, TEXT_BYTES_MAX),
            target: cut_bytes(&record.uri, TARGET_BYTES_MAX),
            status: record.status,
            reason: record.refusal,
            detail: record.detail.as_deref().map(cut),
            route: record.route.clone(),
            enforced: record.enforced.clone(),
            previews,
            had_body: record.request_bytes > 0,
        })
    }

    fn is_about(&self, about: &About) -> bool {
        match about {
            About::Client(address) => self.client == *address,
            About::Name(name) => {
                self.request_id == *name
                    || self.tenant.as_deref() == Some(name)
                    || self.subject.as_deref() == Some(name)
            }
        }
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

/// Copies, so that a short piece does not hold a long buffer.
fn cut_bytes(bytes: &Bytes, most: usize) -> Bytes {
    Bytes::copy_from_slice(bytes.get(..most).unwrap_or(bytes))
}

impl std::str::FromStr for About {
    type Err = std::convert::Infallible;

    /// An address is a client; `tenant:NAME` and `user:NAME` are names, as anything else is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Client(address.to_canonical()));
        }
        let name = text.strip_prefix("tenant:").or_else(|| text.strip_prefix("user:"));
        Ok(Self::Name(name.unwrap_or(text).to_owned()))
    }
}

/// The ring.
#[derive(Debug)]
pub struct Recent {
    shards: Vec<Shard>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard {
    most: usize,
    decisions: Mutex<VecDeque<Decision>>,
}

impl Recent {
    /// Makes a ring of `most` decisions; 0 keeps none.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let number = most.min(SHARDS);
        let share = |at: usize| most / number + usize::from(at < most % number);
        let shard = |at| Shard { most: share(at), decisions: Mutex::default() };
        Self { shards: (0..number).map(shard).collect(), hasher: RandomState::new() }
    }

    /// Remembers a decision; the oldest of its shard is forgotten at the cap.
    pub fn keep(&self, decision: Decision) {
        let Some(shard) = self.shard(decision.client) else { return };
        let mut decisions = shard.lock();
        if decisions.len() >= shard.most {
            decisions.pop_front();
        }
        decisions.push_back(decision);
    }

    /// Returns the last decisions about somebody or something, the newest first.
    #[must_use]
    pub fn find(&self, about: &About, most: usize) -> Vec<Decision> {
        let mut found: Vec<Decision> = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            found.extend(shard.iter().rev().filter(|one| one.is_about(about)).take(most).cloned());
        }
        found.sort_by_key(|decision| std::cmp::Reverse(decision.time));
        found.truncate(most);
        found
    }

    /// Returns how many decisions are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// IPv6 by its /64: one client has at least that much.
    fn shard(&self, client: IpAddr) -> Option<&Shard> {
        let hash = match client.to_canonical() {
            IpAddr::V4(v4) => self.hasher.hash_one(v4),
            IpAddr::V6(v6) => self.hasher.hash_one(v6.segments().get(..4)),
        };
        let shards = self.shards.len() as u64;
        usize::try_from(hash % shards.max(1)).ok().and_then(|index| self.shards.get(index))
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Decision>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(id: &str, client: &str, secs: u64) -> Decision {
        Decision {
            time: Timestamp::from_secs(secs),
            request_id: id.to_owned(),
            generation: 1,
            client: client.parse().unwrap(),
            region_code: String::new(),
            tenant: Some("acme".to_owned()),
            subject: None,
            method: Bytes::from_static(b"GET"),
            host: Bytes::new(),
            target: Bytes::from_static(b"/"),
            status: 403,
            reason: Some(Reason::DeniedByPolicy),
            detail: None,
            route: None,
            enforced: None,
            previews: Vec::new(),
            had_body: false,
        }
    }

    #[test]
    fn decisions_are_found_by_request_address_and_tenant_the_newest_first() {
        let recent = Recent::new(1000);
        for (id, client, secs) in
            [("a", "192.0.2.1", 1), ("b", "192.0.2.1", 2), ("c", "2001:db8::1", 3)]
        {
            recent.keep(decision(id, client, secs));
        }
        let ids = |about: &str| {
            let about = about.parse().unwrap();
            recent.find(&about, 10).into_iter().map(|one| one.request_id).collect::<Vec<_>>()
        };
        assert_eq!(ids("b"), ["b"]);
        assert_eq!(ids("192.0.2.1"), ["b", "a"]);
        assert_eq!(ids("tenant:acme"), ["c", "b", "a"]);
        assert_eq!(ids("::ffff:192.0.2.1"), ["b", "a"]);
        assert!(ids("other").is_empty());
    }

    #[test]
    fn one_flooding_client_fills_one_shard_and_no_more() {
        let recent = Recent::new(160);
        for number in 0..1000 {
            recent.keep(decision(&number.to_string(), "192.0.2.1", number));
        }
        assert_eq!(recent.len(), 10);
        let none = Recent::new(0);
        none.keep(decision("a", "192.0.2.1", 1));
        assert!(none.is_empty());
    }

    #[test]
    fn decisions_are_kept_up_to_the_cap() {
        let of_one = |number: u64| (0..number).map(|n| decision(&n.to_string(), "192.0.2.1", n));
        for (what, number, oldest) in
            [("one under", 9, "0"), ("at it", 10, "0"), ("one over", 11, "1")]
        {
            let recent = Recent::new(160);
            of_one(number).for_each(|one| recent.keep(one));
            let kept = recent.find(&About::Client("192.0.2.1".parse().unwrap()), 100);
            assert_eq!(kept.last().unwrap().request_id, oldest, "{what}");
            assert_eq!(kept.len() as u64, number.min(10), "{what}");
        }
        for most in [0, 1, 2, 15, 16, 17, 160] {
            let recent = Recent::new(most);
            for n in 0..5000_u32 {
                recent.keep(decision("a", &IpAddr::from(n.to_be_bytes()).to_string(), 1));
            }
            assert_eq!(recent.len(), most);
        }
    }
}
