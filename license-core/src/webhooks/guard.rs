//! Which addresses a webhook may lead to. What is judged is the address that is then connected to, so that a name which
//! resolves to something else in between gains nothing.

use ipnet::IpNet;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The networks that are no part of the public internet: RFC 6890 and its updates. Metadata services of clouds stand in
/// the link-local and unique-local ones.
const SPECIAL: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];
/// What of `2000::/3` does not lead to a host of its own: protocols with Teredo, documentation, 6to4.
const SPECIAL_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3ff0::/12"];

/// The guard.
#[derive(Debug)]
pub(crate) struct Guard {
    allowed: Vec<IpNet>,
    special: Vec<IpNet>,
    /// A file of authorities that are trusted in place of the system's.
    authorities: Option<PathBuf>,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// There is nobody to trust.
#[derive(Debug, thiserror::Error)]
#[error("no certificate authority is known")]
pub(crate) struct NoAuthorities;

impl Guard {
    /// Makes the guard; `allowed` are networks that may be connected to although they are not public.
    pub(crate) fn new(allowed: Vec<IpNet>, authorities: Option<PathBuf>) -> Self {
        let networks = SPECIAL.iter().chain(&SPECIAL_V6);
        let special =
            networks.map(|network| network.parse().expect("a constant network")).collect();
        Self { allowed, special, authorities, tls: OnceLock::new() }
    }

    /// Says whether an address may be connected to.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        self.lists(address) || self.is_public(address)
    }

    /// Says whether an operator listed the address.
    pub(crate) fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&address))
    }

    fn is_public(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let given_out = match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => {
                address.segments().first().is_some_and(|first| first & 0xe000 == 0x2000)
            }
        };
        given_out && !self.special.iter().any(|network| network.contains(&address))
    }

    /// Returns how TLS is spoken, made at the first delivery.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, NoAuthorities> {
        if let Some(made) = self.tls.get() {
            return Ok(made.clone());
        }
        let mut roots = RootCertStore::empty();
        let (found, _) = roots.add_parsable_certificates(self.certificates());
        if found == 0 {
            return Err(NoAuthorities);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| NoAuthorities)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        match &self.authorities {
            None => rustls_native_certs::load_native_certs().unwrap_or_default(),
            Some(path) => CertificateDer::pem_file_iter(path)
                .map(|found| found.filter_map(Result::ok).collect())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Guard;

    #[test]
    fn only_public_and_listed_addresses_are_connected_to() {
        let guard =
            Guard::new(vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()], None);
        for (address, expected) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("172.32.0.0", true),
            ("2606:4700:4700::1111", true),
            ("2a00:1450:4001:80b::200e", true),
            ("::ffff:8.8.8.8", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::1", true),
            ("10.2.0.1", false),
            ("::ffff:10.2.0.1", false),
            ("0.0.0.0", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("192.0.0.192", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::127.0.0.1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
        ] {
            assert_eq!(guard.admits(address.parse().unwrap()), expected, "{address}");
        }
    }
}
