//! A certificate that was issued, with its key: one file, so that the two are never of different orders.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use portcullis_config::Timestamp;
use portcullis_config::model::{Acme, HostName};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::atomic_file;
use crate::hex::hex;

/// The largest file that is read.
const BYTES_MAX: u64 = 512 * 1024;
/// The shortest lifetime that is served.
const LIFETIME_MIN: Duration = Duration::from_secs(60 * 60);

/// The file of one certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

/// Where accounts and certificates are.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("acme")
}

/// Twelve hex digits that tell one list of words from another.
pub(super) fn short_hash<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hash = hex(context.finish().as_ref());
    hash.truncate(12);
    hash
}

impl Kept {
    /// Names the file. Names and directory are part of the name: what is for others is not this certificate.
    pub(crate) fn of(state_dir: &Path, acme: &Acme) -> Self {
        let names = acme.names.iter().map(HostName::as_str);
        let hash = short_hash([acme.directory.as_str()].into_iter().chain(names));
        let first = acme.names.first().map_or("", HostName::as_str);
        Self { path: directory(state_dir).join(format!("{first}-{hash}.pem")) }
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file; `None` if there is none.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        atomic_file::read(&self.path, BYTES_MAX)
    }

    /// Reads what can be served; `None` where there is nothing that can.
    pub(crate) fn issued(&self, names: &[HostName]) -> Option<Issued> {
        Issued::read(&self.read().ok()??, names).ok()
    }

    /// Writes another one, whole or not at all.
    pub(super) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            atomic_file::private_directory(directory)?;
        }
        atomic_file::replace(&self.path, bytes, atomic_file::SECRET)
    }
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is no certificate in it, or something that is none.
    #[error("it is no certificate chain in PEM")]
    NoChain,
    /// There is no key in it, or one of another certificate.
    #[error("the key is not the certificate's")]
    OtherKey,
    /// It is for something else.
    #[error("it is not for `{0}`")]
    OtherName(String),
    /// It would have to be ordered anew all the time.
    #[error("its lifetime is shorter than an hour")]
    Short,
    /// It would have to be renewed as soon as it is there.
    #[error("two thirds of its lifetime are over already: is the clock right?")]
    Old,
}

/// A certificate that can be served.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The chain with its key.
    pub(crate) key: CertifiedKey,
    not_before: Timestamp,
    /// Until when it is valid.
    pub(crate) not_after: Timestamp,
}

impl Issued {
    /// Reads key and chain, and sees that they belong together and to `names`.
    pub(crate) fn read(pem: &[u8], names: &[HostName]) -> Result<Self, Unusable> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| Unusable::NoChain)?;
        let leaf = chain.first().ok_or(Unusable::NoChain)?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| Unusable::NoChain)?;
        for name in names {
            let is_for = ServerName::try_from(name.as_str())
                .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
            if !is_for {
                return Err(Unusable::OtherName(name.to_string()));
            }
        }
        let (not_before, not_after) = lifetime(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| Unusable::OtherKey)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| Unusable::OtherKey)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| Unusable::OtherKey)?;
        Ok(Self { key, not_before, not_after })
    }

    /// Says when it is to be renewed: at two thirds of its lifetime, and up to a 24th of it later. How much later is in
    /// the certificate, so that nodes that began together do not ask together, and one that restarts keeps its time.
    pub(crate) fn renew_at(&self) -> Timestamp {
        let lifetime = self.not_after.since(self.not_before);
        let leaf = self.key.cert.first().map_or(&[][..], |leaf| leaf);
        let drawn = digest(&SHA256, leaf)
            .as_ref()
            .first_chunk::<4>()
            .map_or(0, |four| u32::from_be_bytes(*four));
        let later = (lifetime / 24).mul_f64(f64::from(drawn) / f64::from(u32::MAX));
        self.not_before.plus(lifetime * 2 / 3 + later)
    }
}

fn lifetime(leaf: &[u8]) -> Result<(Timestamp, Timestamp), Unusable> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| Unusable::NoChain)?;
    let validity = leaf.validity();
    let at = |seconds: i64| Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (begins, ends) = (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()));
    if ends.since(begins) < LIFETIME_MIN {
        return Err(Unusable::Short);
    }
    Ok((begins, ends))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn names(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| HostName::parse(name).unwrap()).collect()
    }

    fn pem(names: &[&str], lifetime: Duration) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(1970, 1, 11);
        params.not_after = params.not_before + lifetime;
        pair.serialize_pem() + &params.self_signed(&pair).unwrap().pem()
    }

    #[test]
    fn a_renewal_is_due_at_two_thirds_and_up_to_a_24th_later() {
        let mut times = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let issued = Issued::read(pem(&["a.test"], 90 * DAY).as_bytes(), &names(&["a.test"]));
            let issued = issued.unwrap();
            let after = issued.renew_at().since(Timestamp::default().plus(10 * DAY));
            assert!(after >= 60 * DAY && after <= 60 * DAY + 90 * DAY / 24, "{after:?}");
            assert_eq!(issued.renew_at(), issued.renew_at());
            times.insert(issued.renew_at());
        }
        assert!(times.len() > 10, "each certificate has its own time");
    }

    #[test]
    fn what_cannot_be_served_is_told_apart() {
        let good = pem(&["a.test", "b.test"], DAY);
        let other = pem(&["a.test"], DAY);
        let (_, chain) = good.split_once("-----BEGIN CERTIFICATE").unwrap();
        let (key, _) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
        let mixed = format!("{key}-----BEGIN CERTIFICATE{chain}");
        let (over, short) = (
            pem(&["a.test"], LIFETIME_MIN),
            pem(&["a.test"], LIFETIME_MIN - Duration::from_secs(1)),
        );
        for (text, wanted, says) in [
            (good.as_str(), &["a.test"][..], None),
            (&good, &["a.test", "b.test"], None),
            (&over, &["a.test"], None),
            (&short, &["a.test"], Some("shorter than an hour")),
            (&good, &["a.test", "c.test"], Some("`c.test`")),
            (&mixed, &["a.test"], Some("key")),
            (mixed.strip_prefix(key).unwrap(), &["a.test"], Some("key")),
            (key, &["a.test"], Some("chain")),
            ("", &["a.test"], Some("chain")),
        ] {
            let read = Issued::read(text.as_bytes(), &names(wanted));
            let said = read.err().map(|unusable| unusable.to_string());
            match (said, says) {
                (None, None) => {}
                (Some(said), Some(says)) => assert!(said.contains(says), "{said}"),
                (said, says) => panic!("{said:?} for {says:?}"),
            }
        }
    }
}
