//! A ban as a value: whom it names, until when, why, and who placed it.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use portcullis_config::Timestamp;

use crate::address_set::IpSet;
use crate::limit::{KeyPart, Limit, LimitKey};

/// One ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// Whom it refuses.
    pub key: BanKey,
    /// When it ends; `None` for never.
    pub until: Option<Timestamp>,
    /// When it was placed.
    pub since: Timestamp,
    /// Why, for the operator; at most [`Ban::REASON_BYTES_MAX`] bytes are kept.
    pub reason: String,
    /// Who placed it.
    pub origin: BanOrigin,
    /// The definition of the rule that placed it, where one did.
    pub definition: Option<u64>,
    /// The generation of the configuration that was served when it was placed; 0 where nobody knows any more.
    pub generation: u64,
}

/// Who placed a ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BanOrigin {
    /// A rate rule whose limit the key crossed.
    Rule,
    /// An operator, by name.
    Operator(String),
    /// The incident engine, by the incident's id.
    Incident(String),
}

/// Whom a ban refuses. Written and read as `192.0.2.1`, `192.0.2.0/24`, `user:NAME`, `tenant:NAME`, `fingerprint:JA4`
/// or `rule:NAME=KEY`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum BanKey {
    /// Every client whose address is in the network.
    Network(IpNet),
    /// A token's subject.
    Subject(Box<str>),
    /// A tenant.
    Tenant(Box<str>),
    /// A TLS fingerprint.
    Fingerprint(Box<str>),
    /// What one rate rule counts under this key; other rules are not concerned.
    Rule {
        /// The rule's name. It survives a change of the rule's definition.
        rule: Box<str>,
        /// The counted key.
        key: LimitKey,
    },
}

/// A text names nobody who can be banned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no address, no network, and not `user:`, `tenant:`, `fingerprint:` or `rule:NAME=KEY`"
)]
pub struct BadBanKey(pub String);

impl Ban {
    /// How much of a reason is kept.
    pub const REASON_BYTES_MAX: usize = 512;

    pub(super) fn by_rule(
        limit: &Limit,
        key: &LimitKey,
        until: Timestamp,
        generation: u64,
        now: Timestamp,
    ) -> Self {
        let threshold =
            limit.ban().and_then(|b| b.threshold()).unwrap_or_else(|| limit.threshold());
        let (count, secs) = (threshold.count(), threshold.interval().as_secs());
        Self {
            key: BanKey::Rule { rule: limit.id().name().into(), key: key.clone() },
            until: Some(until),
            since: now,
            reason: format!("more than {count} requests in {secs} s"),
            origin: BanOrigin::Rule,
            definition: Some(limit.id().definition()),
            generation,
        }
    }

    /// Says whether it still holds at `now`. A ban until a moment does not hold at that moment.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Says whether it may make room for another one: only what a rule placed.
    pub(super) fn may_be_evicted(&self) -> bool {
        self.origin == BanOrigin::Rule && self.until.is_some()
    }
}

impl BanKey {
    /// Makes the key of one address, IPv6 by its /64.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { 32 } else { 64 };
        Self::network(IpNet::new(address, prefix).expect("32 and 64 fit their families"))
    }

    /// Makes the key of a network; host bits are cleared.
    #[must_use]
    pub fn network(net: IpNet) -> Self {
        Self::Network(net.trunc())
    }

    /// Says whether everybody whom it names is in the set: its network, or one of the networks of a rule's key.
    #[must_use]
    pub fn is_within(&self, set: &IpSet) -> bool {
        match self {
            Self::Network(net) => set.covers(net),
            Self::Rule { key, .. } => key.parts().iter().any(|part| match part {
                KeyPart::Network(net) => set.covers(net),
                KeyPart::All | KeyPart::Text(_) => false,
            }),
            Self::Subject(_) | Self::Tenant(_) | Self::Fingerprint(_) => false,
        }
    }

    /// Says whether it names this address: by its network, or as part of a rule's key.
    #[must_use]
    pub fn names_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Network(net) => net.contains(&address.to_canonical()),
            Self::Rule { key, .. } => key.names_address(address),
            Self::Subject(_) | Self::Tenant(_) | Self::Fingerprint(_) => false,
        }
    }
}

impl std::fmt::Display for BanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Self::Network(net) => write!(f, "{net}"),
            Self::Subject(name) => write!(f, "user:{name}"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Fingerprint(name) => write!(f, "fingerprint:{name}"),
            Self::Rule { rule, key } => write!(f, "rule:{rule}={key}"),
        }
    }
}

impl FromStr for BanKey {
    type Err = BadBanKey;

    fn from_str(text: &str) -> Result<Self, BadBanKey> {
        let bad = || BadBanKey(text.chars().take(200).collect());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::address(address));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::network(net));
        }
        let (kind, name) = text.split_once(':').filter(|(_, n)| !n.is_empty()).ok_or_else(bad)?;
        match kind {
            "user" => Ok(Self::Subject(name.into())),
            "tenant" => Ok(Self::Tenant(name.into())),
            "fingerprint" => Ok(Self::Fingerprint(name.into())),
            "rule" => {
                let (rule, key) = name.split_once('=').ok_or_else(bad)?;
                let key = key.parse().map_err(|_| bad())?;
                Ok(Self::Rule { rule: rule.into(), key })
            }
            _ => Err(bad()),
        }
    }
}

/// Which bans to lift.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BanSelector {
    /// The ban on exactly this key.
    Key(BanKey),
    /// Every ban that names this address, a rule's and a network's too.
    Address(IpAddr),
    /// Every ban that this rule placed.
    Rule(String),
}

impl BanSelector {
    /// Says whether it selects a ban on `key`.
    #[must_use]
    pub fn selects(&self, key: &BanKey) -> bool {
        match self {
            Self::Key(wanted) => wanted == key,
            Self::Address(address) => key.names_address(*address),
            Self::Rule(name) => match key {
                BanKey::Rule { rule, .. } => **rule == **name,
                BanKey::Network(_)
                | BanKey::Subject(_)
                | BanKey::Tenant(_)
                | BanKey::Fingerprint(_) => false,
            },
        }
    }
}

/// Reads an operator's word: an address selects every ban that names it, anything else one key.
impl FromStr for BanSelector {
    type Err = BadBanKey;

    fn from_str(text: &str) -> Result<Self, BadBanKey> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text.parse().map(Self::Key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "192.0.2.1",
            "192.0.2.0/24",
            "2001:db8::/64",
            "user:alice@example.com",
            "user:a:b",
            "tenant:acme",
            "fingerprint:t13d1516h2_8daaf6152771_e5627efa2ab1",
            "rule:license-api/1000=192.0.2.1",
            "rule:license-api/1000=2001:db8::/64,\"k=v\\xff\"",
            "rule:p/1=all",
        ] {
            assert_eq!(text.parse::<BanKey>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_words_are_refused() {
        for text in
            ["", "nobody", "user:", "host:a", "rule:a", "rule:a=", "192.0.2.1/40", "192.0.2"]
        {
            assert!(text.parse::<BanKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_is_banned_with_its_network_and_host_bits_are_cleared() {
        assert_eq!("2001:db8::5".parse::<BanKey>().unwrap().to_string(), "2001:db8::/64");
        assert_eq!("192.0.2.77/24".parse::<BanKey>().unwrap().to_string(), "192.0.2.0/24");
        assert_eq!("::ffff:192.0.2.1".parse::<BanKey>().unwrap().to_string(), "192.0.2.1");
    }

    #[test]
    fn an_address_selects_whatever_names_it() {
        let selector: BanSelector = "192.0.2.1".parse().unwrap();
        for (key, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.0/24", true),
            ("192.0.2.2", false),
            ("rule:a/1=192.0.2.1", true),
            ("rule:a/1=\"x\",192.0.2.1", true),
            ("rule:a/1=192.0.2.3", false),
            ("user:192.0.2.1", false),
        ] {
            assert_eq!(selector.selects(&key.parse().unwrap()), expected, "{key}");
        }
        let one: BanSelector = "192.0.2.0/24".parse().unwrap();
        assert!(one.selects(&"192.0.2.0/24".parse().unwrap()));
        assert!(!one.selects(&"192.0.2.1".parse().unwrap()));
    }
}
