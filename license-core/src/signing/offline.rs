//! Borrow tokens, verified on the machine that is offline: by the key set, the machine's own id, and what the machine
//! remembers of the tokens it saw, so that neither an old copy nor a clock that was set back brings a seat back.

use super::jws::KeySet;
use super::receipt::{Kind, Receipt, Unverified, verify_kind};
use crate::clock::Timestamp;

/// What a machine remembers of one license's borrow tokens. It is to be stored where the user does not reach, and
/// written after each verification.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Memory {
    /// The greatest sequence of a token that was verified: the lease's fencing epoch.
    pub sequence: i64,
    /// The latest moment at which a token was verified.
    pub last_seen: Timestamp,
}

/// How far a clock may go back between two looks without being called set back.
const DRIFT_SECS: u64 = 60;

/// Verifies a borrow token without the service, and remembers it.
///
/// # Errors
/// Says why the token lets nobody work; `memory` then stays as it was.
pub fn verify_offline(
    token: &str,
    keys: &KeySet,
    hardware_id: &str,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<Receipt, Unverified> {
    if now.as_secs().saturating_add(DRIFT_SECS) < memory.last_seen.as_secs() {
        return Err(Unverified::ClockSetBack);
    }
    // A clock that is a little behind itself does not lengthen the token.
    let now = now.max(memory.last_seen);
    let token = verify_kind(Kind::Borrow, token, keys, now)?;
    if !token.is_for(hardware_id) {
        return Err(Unverified::OtherMachine);
    }
    if token.epoch < memory.sequence {
        return Err(Unverified::Superseded);
    }
    *memory = Memory { sequence: token.epoch, last_seen: now };
    Ok(token)
}
