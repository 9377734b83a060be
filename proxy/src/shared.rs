//! What lives as long as the process: the published snapshot and everything that outlives one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_identity::{OwnerIndex, TokenCache};
use portcullis_policy::State;

use crate::acme::Proofs;
use crate::api_keys::KeyBook;
use crate::bans::Allowances;
use crate::capture::Capture;
use crate::clock::Clock;
use crate::csp::ReportRate;
use crate::events::Events;
use crate::incidents::Tightened;
use crate::lockdown::Lockdowns;
use crate::log::RequestLog;
use crate::login::Logins;
use crate::metrics::Metrics;
use crate::recent::Recent;
use crate::revocations::RevocationBook;
use crate::sign_in::SignIns;
use crate::signing::Signing;
use crate::snapshot::Snapshot;
use crate::tickets::Tickets;

/// The most tokens that are remembered as verified. Only what an issuer signed gets in; a token costs its claims and about
/// 200 bytes.
pub const TOKENS_MAX: usize = 16_384;

/// The most objects, tenants among them, whose owner is remembered; one costs about 120 bytes.
pub const OWNED_MAX: usize = 100_000;

/// One per process; the edge gets an `Arc` of it and nothing else.
#[derive(Debug)]
pub struct Shared {
    /// The published snapshot. A request calls `load_full` once, at its start.
    pub snapshot: ArcSwap<Snapshot>,
    /// Counters and bans.
    pub state: State,
    /// Whom operators have put on the allow-list.
    pub allowances: Allowances,
    /// Tokens that have been verified.
    pub tokens: TokenCache,
    /// Whose objects are, as far as answers have told.
    pub owners: OwnerIndex,
    /// What operators have revoked by command.
    pub revocations: RevocationBook,
    /// Keys that operators have issued.
    pub api_keys: KeyBook,
    /// Who has failed to sign in how often.
    pub sign_ins: Arc<SignIns>,
    /// How many reports about content security policies are written.
    pub report_rate: ReportRate,
    /// Sessions that were ended, and issuers' endpoints.
    pub logins: Logins,
    /// Routes that an operator has closed.
    pub lockdowns: Lockdowns,
    /// What signs the edge's word to its backends.
    pub signing: Signing,
    /// What session tickets are sealed with.
    pub tickets: Tickets,
    /// What is proved to authorities of certificates, and what went wrong with them.
    pub proofs: Proofs,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// The last refusals, for whoever asks why.
    pub recent: Recent,
    /// One line per request.
    pub requests: RequestLog,
    /// What responses to incidents hold in memory.
    pub tightened: Tightened,
    /// Where security events are handed over.
    pub events: Events,
    /// What keeps requests whole, where the configuration asks for it.
    pub capture: Option<Capture>,
}
