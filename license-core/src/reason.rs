//! Every refusal of the service: one row each. Nothing else picks a status, a code or a message.

use crate::clock::Timestamp;
use crate::domain::denial::{Candidate, Denial, NoSeats};
use crate::store::StoreError;
use crate::store::office::Kept;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};
use tracing::Level;

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reason {
    InvalidLicenseKey,
    InvalidRequest,
    MissingAssertion,
    InvalidAssertion,
    MissingTenant,
    TenantAccess,
    TenantSuspended,
    SubjectSuspended,
    LicenseSuspended,
    LicenseRevoked,
    LicenseExpired,
    NotFound,
    MethodNotAllowed,
    NoSeats,
    InsufficientScope,
    OfflineNotAllowed,
    NameTaken,
    InUse,
    SessionBorrowed,
    IdempotencyInHand,
    IdempotencyMismatch,
    TooManyKeys,
    RateLimitExceeded,
    PreconditionFailed,
    TooManyWebhooks,
    SigningUnavailable,
    SeatsHeld,
    SessionExpired,
    SessionReleased,
    SessionRevoked,
    BodyTooLarge,
    UnsupportedMediaType,
    StoreUnavailable,
}

/// One row of [`REASONS`].
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) reason: Reason,
    pub(crate) status: u16,
    /// The public code, which is the metric's label too.
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    /// Whether the same request may succeed later.
    pub(crate) retryable: bool,
    /// Whether this is the license service's own verdict on the license, by which a client may stop working.
    pub(crate) conclusive: bool,
    pub(crate) level: Level,
}

const fn row(
    reason: Reason,
    status: u16,
    code: &'static str,
    message: &'static str,
    retryable: bool,
    conclusive: bool,
    level: Level,
) -> Row {
    Row { reason, status, code, message, retryable, conclusive, level }
}

/// The table of refusals.
#[rustfmt::skip]
pub(crate) const REASONS: [Row; 33] = [
    row(Reason::InvalidLicenseKey, 400, "invalid_license_key", "Invalid license key format", false, true, Level::INFO),
    row(Reason::InvalidRequest, 400, "invalid_request", "Invalid request", false, false, Level::INFO),
    row(Reason::MissingAssertion, 401, "missing_auth", "Authentication required", false, false, Level::WARN),
    row(Reason::InvalidAssertion, 401, "invalid_token", "Invalid authentication", false, false, Level::WARN),
    row(Reason::MissingTenant, 403, "missing_tenant", "Tenant required", false, false, Level::INFO),
    row(Reason::TenantAccess, 403, "tenant_access_denied", "Tenant access denied", false, true, Level::WARN),
    row(Reason::TenantSuspended, 403, "tenant_suspended", "Tenant suspended", false, true, Level::INFO),
    row(Reason::SubjectSuspended, 403, "subject_suspended", "User suspended", false, true, Level::INFO),
    row(Reason::LicenseSuspended, 403, "license_suspended", "License suspended", false, true, Level::INFO),
    row(Reason::LicenseRevoked, 403, "license_revoked", "License revoked", false, true, Level::INFO),
    row(Reason::LicenseExpired, 403, "license_expired", "License expired", false, true, Level::INFO),
    row(Reason::NotFound, 404, "not_found", "Not found", false, false, Level::INFO),
    row(Reason::MethodNotAllowed, 405, "method_not_allowed", "Method not allowed", false, false, Level::INFO),
    row(Reason::NoSeats, 409, "no_seats_available", "No seats available", true, true, Level::INFO),
    row(Reason::InsufficientScope, 403, "insufficient_scope", "The caller's roles do not allow this", false, false, Level::WARN),
    row(Reason::OfflineNotAllowed, 403, "offline_not_allowed", "Seats of this license are not taken offline", false, false, Level::INFO),
    row(Reason::NameTaken, 409, "name_taken", "There is one of that name", false, false, Level::INFO),
    row(Reason::InUse, 409, "in_use", "It is in use", false, false, Level::INFO),
    row(Reason::SessionBorrowed, 409, "session_borrowed", "The session is offline until its borrow token ends", false, false, Level::INFO),
    row(Reason::IdempotencyInHand, 409, "idempotency_in_hand", "The same request is in hand", true, false, Level::INFO),
    row(Reason::IdempotencyMismatch, 422, "idempotency_mismatch", "Another request was made under this key", false, false, Level::INFO),
    row(Reason::TooManyKeys, 429, "too_many_keys", "The user has as many idempotency keys as are kept", true, false, Level::WARN),
    row(Reason::RateLimitExceeded, 429, "rate_limit_exceeded", "Too many requests", true, false, Level::WARN),
    row(Reason::PreconditionFailed, 412, "precondition_failed", "It was changed meanwhile, read it again", false, false, Level::INFO),
    row(Reason::TooManyWebhooks, 409, "too_many_webhooks", "The tenant has as many webhooks as it may", false, false, Level::INFO),
    row(Reason::SigningUnavailable, 503, "signing_unavailable", "Nothing can be signed now", true, false, Level::ERROR),
    row(Reason::SeatsHeld, 503, "seats_held", "New seats are held after a restore; who has a receipt gets its seat", true, false, Level::WARN),
    row(Reason::SessionExpired, 410, "session_expired", "Session expired", false, true, Level::INFO),
    row(Reason::SessionReleased, 410, "session_released", "Session released", false, true, Level::INFO),
    row(Reason::SessionRevoked, 410, "session_revoked", "Session revoked", false, true, Level::INFO),
    row(Reason::BodyTooLarge, 413, "body_too_large", "Request body too large", false, false, Level::INFO),
    row(Reason::UnsupportedMediaType, 415, "unsupported_media_type", "Content type must be application/json", false, false, Level::INFO),
    row(Reason::StoreUnavailable, 503, "store_unavailable", "Temporarily unavailable", true, false, Level::ERROR),
];

impl Reason {
    /// Returns the reason's row.
    pub(crate) fn row(self) -> &'static Row {
        REASONS
            .iter()
            .find(|row| row.reason == self)
            .expect("a test holds one row for every reason")
    }
}

/// A refusal on its way to the client: the reason, and what the client may know beyond it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) details: Map<String, Value>,
    pub(crate) retry_after_secs: Option<u64>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, details: Map::new(), retry_after_secs: None }
    }
}

impl Refusal {
    /// Refuses a request for one of its fields.
    pub(crate) fn field(field: &str, problem: &str) -> Self {
        Self::from(Reason::InvalidRequest)
            .with("field", json!(field))
            .with("problem", json!(problem))
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.details.insert(key.to_owned(), value);
        self
    }
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self { retry_after_secs: Some(1), ..Self::from(Reason::StoreUnavailable) }
    }
}

impl From<Kept> for Refusal {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Missing => Reason::NotFound.into(),
            Kept::InUse => Reason::InUse.into(),
        }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        use crate::domain::denial::Ending;
        match denial {
            Denial::TenantAccess => Reason::TenantAccess.into(),
            Denial::TenantSuspended => Reason::TenantSuspended.into(),
            Denial::SubjectSuspended => Reason::SubjectSuspended.into(),
            Denial::LicenseSuspended => Reason::LicenseSuspended.into(),
            Denial::LicenseRevoked => Reason::LicenseRevoked.into(),
            Denial::LicenseExpired => Reason::LicenseExpired.into(),
            Denial::SessionEnded(Ending::Expired) => Reason::SessionExpired.into(),
            Denial::SessionEnded(Ending::Released) => Reason::SessionReleased.into(),
            Denial::SessionEnded(Ending::Revoked) => Reason::SessionRevoked.into(),
            Denial::Held(left) => Self {
                retry_after_secs: Some(spread(left.as_secs().clamp(1, RETRY_AFTER_SECS_MAX))),
                ..Self::from(Reason::SeatsHeld)
            },
            Denial::NoSeats(full) => no_seats(&full),
        }
    }
}

/// A seat comes free at the latest when the first lease runs out; one may be given back sooner, so a client is never
/// told to wait longer than [`RETRY_AFTER_SECS_MAX`].
fn no_seats(full: &NoSeats) -> Refusal {
    let wait = seconds_until(full.next_available, full.now);
    let mut refusal = Refusal::from(Reason::NoSeats)
        .with("max_seats", json!(full.max_seats))
        .with("active_seats", json!(full.active_seats))
        .with("next_available_hint", json!(full.next_available.to_rfc3339()));
    if let Some(place) = full.queue_place {
        refusal = refusal.with("queue_place", json!(place));
    }
    if !full.candidates.is_empty() {
        let candidate = |one: &Candidate| json!({"session_id": one.session, "hardware_id": one.hardware, "idle_secs": one.idle_secs});
        let candidates: Vec<Value> = full.candidates.iter().map(candidate).collect();
        refusal = refusal.with("take_over", json!(candidates));
    }
    refusal.retry_after_secs = Some(spread(wait.clamp(1, RETRY_AFTER_SECS_MAX)));
    refusal
}

/// Draws a wait between three quarters of `secs` and all of it, so that who was denied together does not return
/// together.
fn spread(secs: u64) -> u64 {
    let mut random = [0_u8; 2];
    // Without randomness everybody waits the whole time.
    if SystemRandom::new().fill(&mut random).is_err() {
        return secs;
    }
    secs - u64::from(u16::from_be_bytes(random)) % (secs / 4 + 1)
}

/// The longest `Retry-After` beside a denial for want of seats.
const RETRY_AFTER_SECS_MAX: u64 = 60;

fn seconds_until(moment: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(moment.since(now).as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{REASONS, Reason};
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_exactly_one_row_and_code() {
        let reasons: HashSet<Reason> = REASONS.iter().map(|row| row.reason).collect();
        let codes: HashSet<&str> = REASONS.iter().map(|row| row.code).collect();
        assert_eq!(reasons.len(), REASONS.len());
        assert_eq!(codes.len(), REASONS.len());
        // The last variant: with no duplicates above, every variant up to it has its row.
        assert_eq!(Reason::StoreUnavailable as usize + 1, REASONS.len());
    }

    #[test]
    fn only_verdicts_on_a_license_are_conclusive() {
        for row in &REASONS {
            assert!(!row.conclusive || matches!(row.status, 400 | 403 | 409 | 410), "{}", row.code);
            assert!(row.status < 500 || row.retryable, "{}", row.code);
        }
    }
}
