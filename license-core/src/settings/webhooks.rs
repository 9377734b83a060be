//! Where webhooks may lead.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where webhooks may lead beside the public internet, and whom they trust.
#[derive(Clone, Default, Debug)]
pub struct Webhooks {
    /// Addresses and networks that may be connected to although they are private, link-local or special otherwise; to
    /// these alone plain HTTP is spoken too.
    pub allow: Vec<IpNet>,
    /// A PEM file of authorities that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    #[serde(default)]
    allow: Vec<Network>,
    ca: Option<PathBuf>,
}

struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
        network.map(|network| Self(network.trunc())).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not an address or a network such as `10.1.0.0/16`"
            ))
        })
    }
}

impl Source {
    pub(super) fn resolve(self, base: &Path) -> Webhooks {
        Webhooks {
            allow: self.allow.into_iter().map(|network| network.0).collect(),
            ca: self.ca.map(|path| base.join(path)),
        }
    }
}
