//! Files and built-in texts that policies are made of.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Url;

/// The geo databases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Geo {
    /// A country or city database in MaxMind's format, or the IPv4 half of one as text ranges.
    pub country: Option<PathBuf>,
    /// The IPv6 half, where the country database is two texts.
    pub country_ipv6: Option<PathBuf>,
    /// A database of networks' numbers in MaxMind's format.
    pub asn: Option<PathBuf>,
    /// Whether a policy that asks for what no database answers refuses to load; otherwise such rules are inactive.
    pub required: bool,
}

/// Where a list of addresses and networks comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListSource {
    /// A file: one address or network per line, or JSON.
    File(PathBuf),
    /// The same, fetched.
    Feed(Feed),
    /// Everything that is in one of these lists. There is no way round from a list to itself.
    Include(Vec<String>),
}

/// A list that is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// Where it is fetched from.
    pub url: Url,
    /// How often.
    pub refresh: Duration,
    /// How old the last good copy may become before it is stale.
    pub max_age: Duration,
    /// What a stale copy is worth.
    pub stale: Stale,
    /// Whether the configuration refuses to load before the first copy is there; otherwise the list is empty until then.
    pub required: bool,
}

/// What the last good copy of a feed is worth once it is too old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stale {
    /// It is used all the same.
    Keep,
    /// The list is empty until it is fetched again.
    Empty,
}

/// Whom no ban is placed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bans {
    /// Names of lists whose addresses are never banned.
    pub allow: Vec<String>,
}

/// Where the edge itself may connect to fetch something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Egress {
    /// Networks that are not public and may be connected to all the same.
    pub networks: Vec<IpNet>,
    /// Hosts that may be asked over plain HTTP.
    pub plain_http: Vec<String>,
    /// The authorities that are trusted in place of the system's, in PEM.
    pub ca: Option<PathBuf>,
}

/// A WAF rule set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleSetSource {
    /// The directory of an OWASP CRS, 3.3 or 4.
    Crs(PathBuf),
    /// A set that is part of the binary, by name.
    Builtin(String),
}

/// A security policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicySource {
    /// A file in Cloud Armor's format.
    File(PathBuf),
    /// A policy that is part of the binary, by name.
    Builtin(String),
}
