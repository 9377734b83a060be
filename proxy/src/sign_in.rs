//! Sign-in protection: who has failed to sign in how often, learnt from the origin's answers.
//!
//! An attempt is counted from the moment it is let through, and given back when the origin's answer says that it did not
//! fail: a hundred attempts at one time are not a hundred that nobody has counted yet. Accounts are kept as keyed hashes.

mod account;
mod table;
mod window;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{SignIn, SignInKind};

pub(crate) use account::{NoAccount, account, decoded, field};
pub(crate) use table::{ENTRIES_MAX, NETWORK_ACCOUNTS_MAX, NETWORKS_MAX, PAIRS_MAX};
use table::{Key, Table};

/// How long an address that has signed in to an account is not held to the failures of others on that account.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is counted of all sign-ins. One per process; pure but for the hash's key.
#[derive(Debug)]
pub struct SignIns {
    table: Table,
    hasher: RandomState,
}

/// One attempt, as the gate sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The backend: routes to one backend share its accounts.
    pub(crate) backend: &'a str,
    /// The account's name in its normal form; none where it is told by the answer or not at all.
    pub(crate) account: Option<&'a str>,
    /// The client.
    pub(crate) address: IpAddr,
}

/// What became of an attempt, as the origin's answer tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It failed.
    Failed,
    /// It succeeded.
    Succeeded,
    /// The account is there already.
    Conflict,
    /// The origin said nothing about it: an error of its own, a request that it did not take.
    Unsaid,
    /// The client went before the origin's answer: it is counted as failed, or who leaves early would be counted never.
    Left,
}

/// Why an attempt is not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany {
    /// Whose failures they are.
    pub(crate) of: Whose,
    /// When the next one may be let through.
    pub(crate) retry_after: Duration,
}

/// Whose failures are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Account,
    Address,
}

/// An attempt that was let through. It counts as failed until it is told what became of it.
#[derive(Debug)]
pub(crate) struct Attempt {
    sign_ins: Arc<SignIns>,
    rule: Arc<SignIn>,
    account: Option<Key>,
    address: Key,
    pair: Option<u64>,
    network: u64,
    digest: Option<u32>,
    is_open: bool,
}

/// Many accounts failed from one network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stuffing {
    /// How many of them, as far as they are counted.
    pub(crate) accounts: usize,
}

impl SignIns {
    /// Starts with nothing counted.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { table: Table::new(), hasher: RandomState::new() })
    }

    /// Returns a word for an account that tells it from others while the process runs, and whose it is to nobody.
    pub(crate) fn hash(&self, account: &str) -> String {
        format!("{:016x}", self.hasher.hash_one(account))
    }

    /// Entries that were pushed out at a cap.
    pub(crate) fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    /// Lets an attempt through and counts it as failed for now, or says who has failed too often.
    pub(crate) fn begin(
        self: &Arc<Self>,
        ask: Ask<'_>,
        rule: &Arc<SignIn>,
        now: Timestamp,
    ) -> Result<Attempt, TooMany> {
        let (host, network) = (of_host(ask.address), of_network(ask.address));
        let key = |what: &str, whose: &dyn std::fmt::Debug, limit| Key {
            hash: self.hasher.hash_one((what, ask.backend, format!("{whose:?}"), rule.window)),
            limit,
            window: rule.window,
        };
        let address = key("address", &host, rule.address_failures);
        let account = ask.account.map(|name| key("account", &name, rule.account_failures));
        let pair = ask.account.map(|name| self.hasher.hash_one((ask.backend, name, host)));
        let is_known = pair.is_some_and(|pair| self.table.is_known(pair, KNOWN_FOR, now));
        self.table.enter(address, now).map_err(|left| too_many(Whose::Address, left))?;
        let account = match account.map(|account| (account, self.table.enter(account, now))) {
            // Who has signed in from here before is not locked out by strangers; the address still has its limit.
            Some((_, Err(_))) if is_known => None,
            Some((_, Err(left))) => {
                self.table.leave(address, false, now);
                return Err(too_many(Whose::Account, left));
            }
            Some((account, Ok(()))) => Some(account),
            None => None,
        };
        Ok(Attempt {
            sign_ins: Arc::clone(self),
            rule: Arc::clone(rule),
            account,
            address,
            pair,
            network: self.hasher.hash_one(("network", ask.backend, network)),
            digest: ask.account.map(|name| fold(self.hasher.hash_one(name))),
            is_open: true,
        })
    }
}

fn too_many(of: Whose, retry_after: Duration) -> TooMany {
    TooMany { of, retry_after }
}

impl Attempt {
    /// Takes what became of the attempt; says where that makes one network the source of many failures, once per window.
    pub(crate) fn end(mut self, outcome: Outcome, now: Timestamp) -> Option<Stuffing> {
        self.is_open = false;
        let table = &self.sign_ins.table;
        let has_failed = match outcome {
            Outcome::Failed | Outcome::Left => true,
            // Asking which accounts there are is what a registration's failure is.
            Outcome::Conflict => self.rule.kind == SignInKind::Registration,
            Outcome::Succeeded | Outcome::Unsaid => false,
        };
        for key in [Some(self.address), self.account].into_iter().flatten() {
            table.leave(key, has_failed, now);
        }
        if outcome == Outcome::Succeeded {
            if let Some(pair) = self.pair.filter(|_| self.rule.kind == SignInKind::SignIn) {
                table.know(pair, now);
            }
            return None;
        }
        let account = self.digest.filter(|_| has_failed)?;
        let accounts = usize::try_from(self.rule.stuffing_accounts).unwrap_or(usize::MAX);
        table.stuffing(self.network, account, accounts, self.rule.window, now)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_open {
            // The request ended before its record was written: nothing is known of it, and the time is not at hand.
            let table = &self.sign_ins.table;
            [Some(self.address), self.account]
                .into_iter()
                .flatten()
                .for_each(|key| table.forget(key));
        }
    }
}

/// One address of IPv4, one network of 64 bits of IPv6: what one client has.
fn of_host(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}

/// 256 addresses of IPv4, a network of 48 bits of IPv6: what one attacker has.
fn of_network(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8 << 8),
        IpAddr::V6(v6) => v6.to_bits() >> 80 << 80,
    }
}

fn fold(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
