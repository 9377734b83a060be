//! What was served before, and whether what is served now has to be confirmed.

use std::sync::Arc;

use portcullis_config::Timestamp;

use crate::snapshot::Snapshot;

/// One generation to go back to. It costs the memory of a second snapshot.
#[derive(Debug, Default)]
pub(super) struct Past {
    previous: Option<Arc<Snapshot>>,
    /// The fingerprint that was gone back from. The files still say so, and the watch must not publish it again.
    rejected: Option<String>,
    /// When the served generation is taken back, unless it is confirmed before.
    revert_at: Option<Timestamp>,
}

/// What can be gone back to, and what goes back by itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The generation before the served one; none when this process has served one only.
    pub previous: Option<u64>,
    /// When the served generation is taken back, unless it is confirmed before.
    pub revert_at: Option<Timestamp>,
    /// Whether the files hold what was gone back from.
    pub is_rolled_back: bool,
}

impl Standing {
    /// Whether the files may be read again without an operator: while they hold what was gone back from, or what is
    /// still to be confirmed, a reload would decide that.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        !self.is_rolled_back && self.revert_at.is_none()
    }
}

impl Past {
    /// Notes that a new configuration has replaced `replaced`; returns the snapshot that nobody can go back to now.
    pub(super) fn advanced(
        &mut self,
        replaced: Arc<Snapshot>,
        revert_at: Option<Timestamp>,
    ) -> Option<Arc<Snapshot>> {
        self.rejected = None;
        self.revert_at = revert_at;
        self.previous.replace(replaced)
    }

    /// Notes that the previous configuration has replaced `replaced`; returns the snapshot that nobody can go back to
    /// now: the one whose content is served again.
    pub(super) fn went_back(&mut self, replaced: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        self.rejected = Some(replaced.fingerprint.clone());
        self.revert_at = None;
        self.previous.replace(replaced)
    }

    /// Keeps what is served; says whether that was open.
    pub(super) fn confirm(&mut self) -> bool {
        self.revert_at.take().is_some()
    }

    pub(super) fn previous(&self) -> Option<Arc<Snapshot>> {
        self.previous.clone()
    }

    pub(super) const fn revert_at(&self) -> Option<Timestamp> {
        self.revert_at
    }

    pub(super) fn is_rejected(&self, fingerprint: &str) -> bool {
        self.rejected.as_deref() == Some(fingerprint)
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            previous: self.previous.as_ref().map(|snapshot| snapshot.generation),
            revert_at: self.revert_at,
            is_rolled_back: self.rejected.is_some(),
        }
    }
}
