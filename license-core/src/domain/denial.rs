//! What the license service may say no to. A denial is an answer, not an error.

use crate::clock::Timestamp;
use std::time::Duration;

/// Why a request about a seat was denied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Denial {
    /// The thing asked for is another tenant's, or is nobody's: the two are one answer on purpose.
    TenantAccess,
    /// The tenant is suspended.
    TenantSuspended,
    /// The user is suspended.
    SubjectSuspended,
    /// The license is suspended.
    LicenseSuspended,
    /// The license was revoked.
    LicenseRevoked,
    /// The license's own term is over.
    LicenseExpired,
    /// Every seat is leased.
    NoSeats(NoSeats),
    /// The store was restored, and new seats are held for this long until the leases that it lost are over.
    Held(Duration),
    /// The session ended; it never comes back.
    SessionEnded(Ending),
}

/// How full the license is, and when a seat may come free at the latest if nobody heartbeats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NoSeats {
    pub(crate) max_seats: u32,
    pub(crate) active_seats: u32,
    pub(crate) next_available: Timestamp,
    /// The asker's place in the queue, where the license has one: the next seat is the first's.
    pub(crate) queue_place: Option<u32>,
    /// The sessions whose seats the asker may take.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) now: Timestamp,
}

/// A session whose seat may be taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub(crate) session: String,
    /// Where it is, when it is the asker's own.
    pub(crate) hardware: Option<String>,
    pub(crate) idle_secs: u64,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Its lease ran out.
    Expired,
    /// Its holder gave the seat back.
    Released,
    /// An operator took the seat back.
    Revoked,
}

impl Ending {
    /// Returns the word that the store and the API use.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the store's word.
    pub(crate) fn from_column(word: &str) -> Option<Self> {
        [Self::Expired, Self::Released, Self::Revoked]
            .into_iter()
            .find(|ending| ending.as_str() == word)
    }
}
