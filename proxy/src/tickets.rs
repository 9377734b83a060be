//! The keys of session tickets: which one seals now, and which still open.
//!
//! A ticket is `name of the key ‖ nonce ‖ AES-256-GCM-SIV of the session`. A key lives for one interval of
//! `session_tickets.rotate` and opens for `lifetime` after it. Where a file has the secrets, each interval's key is derived from
//! a secret and the interval's beginning (HKDF-SHA-256), so that nodes with one file have the same keys at the same time
//! without a word between them. Without a file each interval has a secret of its own from the system's randomness, which is
//! forgotten with the last ticket that it opens; a successor process gets those that still do. AES-GCM-SIV, because nodes
//! that draw nonces at random under one key must not break it when two of them meet (RFC 8452, section 9).
//!
//! Sessions with client certificates are never in a ticket (`edge/tls.rs`), so that each is verified anew.

mod file;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use portcullis_config::Timestamp;
use portcullis_config::model::SessionTickets;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use file::{KeyFileError, add_secret};
pub(crate) use file::{TicketSecret, parse};

/// Bytes of a secret.
pub(crate) const SECRET_BYTES: usize = 32;
/// Bytes of a key's name in its tickets.
const NAME_BYTES: usize = 16;
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// The largest session that is sealed or opened. Ours have a name, an ALPN and a secret: some 200 bytes.
pub(crate) const TICKET_BYTES_MAX: usize = 4096;

/// The process's ticket keys.
#[derive(Debug)]
pub struct Tickets {
    ring: ArcSwap<Ring>,
    /// The secrets that this process drew, newest first; also the lock of renewing the ring.
    drawn: Mutex<Vec<Drawn>>,
}

/// A secret of one interval, which this process or the one before has drawn.
#[derive(Clone, Serialize, Deserialize)]
pub struct Drawn {
    /// When its interval began, in seconds since the Unix epoch.
    began: u64,
    /// When the interval ended or ends.
    ends: u64,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drawn").field("began", &self.began).finish_non_exhaustive()
    }
}

/// What one generation of the configuration says about tickets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) generation: u64,
    pub(crate) settings: &'a SessionTickets,
    /// Those of the file, the sealing one first; none without a file.
    pub(crate) secrets: Option<&'a [TicketSecret]>,
}

impl Tickets {
    /// Begins with the secrets that the process before has drawn.
    #[must_use]
    pub fn new(inherited: Vec<Drawn>) -> Self {
        Self { ring: ArcSwap::from_pointee(Ring::none()), drawn: Mutex::new(inherited) }
    }

    /// Returns the secrets drawn here, for a successor.
    #[must_use]
    pub fn drawn(&self) -> Vec<Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seals a session into a ticket.
    pub(crate) fn seal(&self, plain: &[u8], terms: Terms<'_>, now: Timestamp) -> Option<Vec<u8>> {
        self.renew(terms, now);
        self.ring.load().keys.first()?.seal(plain)
    }

    /// Opens a ticket: any bytes of a client's.
    pub(crate) fn open(&self, ticket: &[u8], terms: Terms<'_>, now: Timestamp) -> Option<Vec<u8>> {
        self.renew(terms, now);
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, sealed) = ticket.split_first_chunk::<NAME_BYTES>()?;
        // Names travel in the clear: comparing them tells nothing.
        let ring = self.ring.load();
        ring.keys.iter().find(|key| key.name == *name)?.open(sealed)
    }

    /// Makes the keys of another interval or another configuration, where the ring has neither.
    fn renew(&self, terms: Terms<'_>, now: Timestamp) {
        let now = now.as_secs();
        let stands = |ring: &Ring| ring.generation == terms.generation && now < ring.until;
        if stands(&self.ring.load()) {
            return;
        }
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if stands(&self.ring.load()) {
            return;
        }
        match Ring::new(terms, &mut drawn, now) {
            Ok(ring) => self.ring.store(ring.into()),
            // Tickets are an ease: without one the client shakes hands in full.
            Err(Unspecified) => tracing::error!("no key for session tickets can be made"),
        }
    }
}

/// The keys of the moment, the sealing one first.
#[derive(Debug)]
struct Ring {
    generation: u64,
    /// When another interval begins, in seconds since the Unix epoch.
    until: u64,
    keys: Vec<TicketKey>,
}

impl Ring {
    const fn none() -> Self {
        Self { generation: 0, until: 0, keys: Vec::new() }
    }

    fn new(terms: Terms<'_>, drawn: &mut Vec<Drawn>, now: u64) -> Result<Self, Unspecified> {
        let intervals = Intervals::at(terms.settings, now);
        let keys = match terms.secrets {
            Some(secrets) => intervals.keys_of(secrets)?,
            None => intervals.draw(drawn)?,
        };
        Ok(Self { generation: terms.generation, until: intervals.ends(), keys })
    }
}

/// How time is cut. Intervals begin at multiples of their length, so that all nodes cut alike.
#[derive(Clone, Copy)]
struct Intervals {
    now: u64,
    began: u64,
    length: u64,
    lifetime: u64,
}

impl Intervals {
    fn at(settings: &SessionTickets, now: u64) -> Self {
        let seconds = |duration: Duration| duration.as_secs().max(1);
        let length = seconds(settings.rotate);
        Self { now, began: now - now % length, length, lifetime: seconds(settings.lifetime) }
    }

    const fn ends(self) -> u64 {
        self.began.saturating_add(self.length)
    }

    /// The keys of every secret of a file: those of this interval, then those of the ones before whose tickets may live,
    /// and of the next one, which a node whose clock runs ahead uses already.
    fn keys_of(self, secrets: &[TicketSecret]) -> Result<Vec<TicketKey>, Unspecified> {
        let before = self.lifetime.div_ceil(self.length);
        let earlier = (1..=before).map(|back| self.began.saturating_sub(back * self.length));
        let began = [self.began].into_iter().chain(earlier).chain([self.ends()]);
        let of = |began| secrets.iter().map(move |secret| TicketKey::derive(secret.bytes(), began));
        began.flat_map(of).collect()
    }

    /// The keys of secrets that were drawn; draws one for this interval, and forgets those that open no more.
    fn draw(self, drawn: &mut Vec<Drawn>) -> Result<Vec<TicketKey>, Unspecified> {
        drawn.retain(|one| self.now < one.ends.saturating_add(self.lifetime));
        if drawn.first().is_none_or(|newest| newest.began != self.began) {
            let mut secret = [0; SECRET_BYTES];
            aws_lc_rs::rand::fill(&mut secret)?;
            drawn.insert(0, Drawn { began: self.began, ends: self.ends(), secret });
        }
        drawn.iter().map(|one| TicketKey::derive(&one.secret, one.began)).collect()
    }
}

/// The key of one interval.
struct TicketKey {
    /// What its tickets begin with.
    name: [u8; NAME_BYTES],
    key: RandomizedNonceKey,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

/// How many bytes are derived: a name and a key.
struct NameAndKey;

impl KeyType for NameAndKey {
    fn len(&self) -> usize {
        NAME_BYTES + KEY_BYTES
    }
}

impl TicketKey {
    fn derive(secret: &[u8; SECRET_BYTES], began: u64) -> Result<Self, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, b"portcullis session ticket key 1").extract(secret);
        let mut derived = Zeroizing::new([0; NAME_BYTES + KEY_BYTES]);
        secret.expand(&[&began.to_be_bytes()], NameAndKey)?.fill(derived.as_mut_slice())?;
        let (name, key) = derived.split_first_chunk().ok_or(Unspecified)?;
        Ok(Self { name: *name, key: RandomizedNonceKey::new(&AES_256_GCM_SIV, key)? })
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(self.name), &mut sealed).ok()?;
        let ticket = [&self.name, nonce.as_ref().as_slice(), &sealed].concat();
        (ticket.len() <= TICKET_BYTES_MAX).then_some(ticket)
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(self.name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests;
