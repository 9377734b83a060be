//! How the leases of a license behave, where it says otherwise than the settings.

use super::license::LeaseTerms;
use std::time::Duration;

/// Whose seat a full license's asker may take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum TakeOver {
    /// Nobody's.
    #[default]
    Never,
    /// One of their own, held elsewhere.
    Own,
    /// Anybody's that is not offline.
    Any,
}

impl TakeOver {
    /// Returns the word that the store and the API use.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Own => "own",
            Self::Any => "any",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        [Self::Never, Self::Own, Self::Any].into_iter().find(|one| one.as_str() == word)
    }
}

/// What the end of a license's term ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Expiry {
    /// New seats and heartbeats.
    #[default]
    Restrict,
    /// New seats; who holds one keeps it.
    Maintain,
    /// Nothing: it only shows.
    Allow,
}

impl Expiry {
    /// Returns the word that the store and the API use.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Restrict => "restrict",
            Self::Maintain => "maintain",
            Self::Allow => "allow",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        [Self::Restrict, Self::Maintain, Self::Allow].into_iter().find(|one| one.as_str() == word)
    }
}

/// What a policy says. `None` follows the settings.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Policy {
    pub(crate) ttl: Option<Duration>,
    pub(crate) age_max: Option<Duration>,
    pub(crate) offline_max: Option<Duration>,
    /// How many seats may be leased beyond the license's, in percent of them.
    pub(crate) overdraft_percent: u32,
    pub(crate) take_over: TakeOver,
    pub(crate) expiry: Expiry,
    /// Whether who is denied a seat gets a place in a queue.
    pub(crate) queue: bool,
}

impl Policy {
    /// Returns how long leases last under this policy.
    pub(crate) fn terms(&self, settings: LeaseTerms) -> LeaseTerms {
        LeaseTerms {
            ttl: self.ttl.unwrap_or(settings.ttl),
            age_max: self.age_max.unwrap_or(settings.age_max),
        }
    }

    /// Returns how many seats may be leased at once of a license of `seats`.
    pub(crate) fn capacity(&self, seats: u32) -> u32 {
        let overdraft = u64::from(seats) * u64::from(self.overdraft_percent) / 100;
        seats.saturating_add(u32::try_from(overdraft).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn an_overdraft_is_rounded_down_and_never_wraps() {
        let capacity = |seats, overdraft_percent| {
            Policy { overdraft_percent, ..Policy::default() }.capacity(seats)
        };
        assert_eq!(capacity(10, 0), 10);
        assert_eq!(capacity(10, 25), 12);
        assert_eq!(capacity(3, 25), 3);
        assert_eq!(capacity(4, 25), 5);
        assert_eq!(capacity(u32::MAX, 1000), u32::MAX);
        assert_eq!(capacity(0, 1000), 0);
    }
}
