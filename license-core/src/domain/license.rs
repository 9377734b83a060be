//! A license: how many seats a tenant may lease at once, for how long, and to whom.

use super::denial::Denial;
use super::key::KeyPrefix;
use super::names::{LicenseName, TenantId};
use super::policy::{Expiry, Policy};
use crate::clock::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// What takes a seat: a machine, whoever uses it, or a user, wherever they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leasing {
    /// Every machine takes one seat; several users of one machine share it.
    PerMachine,
    /// Every user takes one seat; several machines of one user share it.
    PerUser,
}

impl Leasing {
    /// Returns the word that the store and the API use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerMachine => "per_machine",
            Self::PerUser => "per_user",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        [Self::PerMachine, Self::PerUser].into_iter().find(|leasing| leasing.as_str() == word)
    }
}

/// Whether a tenant, subject or license may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    Active,
    Suspended,
    Revoked,
}

impl Standing {
    /// Returns the word that the store and the API use.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Revoked]
            .into_iter()
            .find(|standing| standing.as_str() == word)
    }
}

/// What an operator says to create a license.
#[derive(Clone, Debug)]
pub struct NewLicense {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique within the tenant.
    pub name: LicenseName,
    /// The product it is for, for people.
    pub product: LicenseName,
    /// How many seats may be leased at once.
    pub seats: u32,
    /// What takes a seat.
    pub leasing: Leasing,
    /// The word in front of its key.
    pub key_prefix: KeyPrefix,
    /// When its term is over; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// A license as the store holds it.
#[derive(Clone, Debug)]
pub(crate) struct License {
    pub(crate) id: Uuid,
    pub(crate) tenant: TenantId,
    pub(crate) name: String,
    pub(crate) product: String,
    pub(crate) seats: u32,
    pub(crate) leasing: Leasing,
    pub(crate) standing: Standing,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    /// Counts the changes by administrators.
    pub(crate) revision: i64,
    /// The policy that its leases follow.
    pub(crate) policy: Option<String>,
    /// More seats for a time.
    pub(crate) burst_seats: u32,
    pub(crate) burst_until: Timestamp,
}

impl License {
    /// Returns how many seats may be leased at `now`, an overdraft aside.
    pub(crate) fn seats_at(&self, now: Timestamp) -> u32 {
        if now < self.burst_until {
            self.seats.saturating_add(self.burst_seats)
        } else {
            self.seats
        }
    }
}

/// Everything beside the session itself that decides whether a seat may be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footing {
    pub(crate) tenant: Standing,
    pub(crate) license: Standing,
    pub(crate) license_expires_at: Option<Timestamp>,
    pub(crate) subject: Standing,
    pub(crate) policy: Policy,
}

impl Footing {
    /// Says whether a seat may be had at `now`, the widest reason against it first.
    pub(crate) fn admits(&self, now: Timestamp) -> Result<(), Denial> {
        self.stands(now, self.policy.expiry == Expiry::Allow)
    }

    /// Says whether a seat that is held may be kept at `now`.
    pub(crate) fn keeps(&self, now: Timestamp) -> Result<(), Denial> {
        self.stands(now, self.policy.expiry != Expiry::Restrict)
    }

    fn stands(&self, now: Timestamp, past_its_term: bool) -> Result<(), Denial> {
        if self.tenant != Standing::Active {
            return Err(Denial::TenantSuspended);
        }
        match self.license {
            Standing::Suspended => return Err(Denial::LicenseSuspended),
            Standing::Revoked => return Err(Denial::LicenseRevoked),
            Standing::Active => {}
        }
        if !past_its_term && self.license_expires_at.is_some_and(|end| now >= end) {
            return Err(Denial::LicenseExpired);
        }
        if self.subject == Standing::Active { Ok(()) } else { Err(Denial::SubjectSuspended) }
    }
}

/// How long leases of this service last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LeaseTerms {
    /// How long a lease lasts after an acquire or a heartbeat.
    pub(crate) ttl: Duration,
    /// How long a session lasts at most, whatever its heartbeats.
    pub(crate) age_max: Duration,
}

#[cfg(test)]
mod tests {
    use super::{Denial, Footing, Standing, Timestamp};
    use crate::domain::policy::{Expiry, Policy, TakeOver};

    const GOOD: Footing = Footing {
        tenant: Standing::Active,
        license: Standing::Active,
        license_expires_at: Some(Timestamp::from_millis(100)),
        subject: Standing::Active,
        policy: Policy {
            ttl: None,
            age_max: None,
            offline_max: None,
            overdraft_percent: 0,
            take_over: TakeOver::Never,
            expiry: Expiry::Restrict,
            queue: false,
        },
    };

    #[test]
    fn each_standing_denies_for_its_own_reason() {
        let cases = [
            (GOOD, 99, Ok(())),
            (GOOD, 100, Err(Denial::LicenseExpired)),
            (Footing { license_expires_at: None, ..GOOD }, u64::MAX, Ok(())),
            (Footing { tenant: Standing::Suspended, ..GOOD }, 99, Err(Denial::TenantSuspended)),
            (Footing { license: Standing::Suspended, ..GOOD }, 99, Err(Denial::LicenseSuspended)),
            (Footing { license: Standing::Revoked, ..GOOD }, 99, Err(Denial::LicenseRevoked)),
            (Footing { subject: Standing::Suspended, ..GOOD }, 99, Err(Denial::SubjectSuspended)),
        ];
        for (footing, now, answer) in cases {
            assert_eq!(footing.admits(Timestamp::from_millis(now)), answer, "{footing:?} at {now}");
        }
    }

    #[test]
    fn a_policy_decides_what_the_end_of_a_term_ends() {
        let over = Timestamp::from_millis(100);
        for (expiry, had, kept) in [
            (Expiry::Restrict, false, false),
            (Expiry::Maintain, false, true),
            (Expiry::Allow, true, true),
        ] {
            let footing = Footing { policy: Policy { expiry, ..GOOD.policy }, ..GOOD };
            assert_eq!((footing.admits(over).is_ok(), footing.keeps(over).is_ok()), (had, kept));
        }
    }
}
