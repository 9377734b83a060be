//! The actions, with what each touches and how it is undone.

use ipnet::IpNet;
use portcullis_config::Timestamp;

use crate::source;

/// Something that can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Refuse a source.
    BanSource(IpNet),
    /// Tighten the limits of a source.
    LimitSource(IpNet),
    /// Tighten the limits of a subject.
    LimitSubject(String),
    /// Refuse the subject's tokens that were issued before a moment.
    RevokeTokens {
        /// The subject.
        subject: String,
        /// The moment.
        before: Timestamp,
    },
    /// Refuse the subject altogether.
    Suspend {
        /// The subject.
        subject: String,
    },
    /// Give the subject's seats back.
    ReleaseSessions {
        /// The subject.
        subject: String,
    },
    /// Put events, recent requests, fingerprints and metrics aside for whoever investigates.
    CaptureEvidence,
}

/// Whom an action touches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A source.
    Source(IpNet),
    /// A verified subject.
    Subject(String),
}

/// Why an action was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Withheld {
    /// The allow-list names the target.
    Allowed,
    /// Several subjects with valid sessions share the source.
    SharedSource,
    /// The evidence may be an accident, or somebody else's doing.
    ThinEvidence,
    /// Too many responses in a short time.
    CapReached,
}

impl Withheld {
    /// Returns the word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::SharedSource => "shared_source",
            Self::ThinEvidence => "thin_evidence",
            Self::CapReached => "cap_reached",
        }
    }
}

impl Action {
    /// Returns the word in an event's `automated_response.action`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BanSource(_) => "SOURCE_BANNED",
            Self::LimitSource(_) | Self::LimitSubject(_) => "RATE_LIMIT_APPLIED",
            Self::RevokeTokens { .. } => "TOKENS_REVOKED",
            Self::Suspend { .. } => "USER_SUSPENDED",
            Self::ReleaseSessions { .. } => "SESSIONS_RELEASED",
            Self::CaptureEvidence => "EVIDENCE_CAPTURED",
        }
    }

    /// Returns whom it touches, if anybody.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::BanSource(net) | Self::LimitSource(net) => Some(Target::Source(*net)),
            Self::LimitSubject(subject)
            | Self::RevokeTokens { subject, .. }
            | Self::Suspend { subject }
            | Self::ReleaseSessions { subject } => Some(Target::Subject(subject.clone())),
            Self::CaptureEvidence => None,
        }
    }

    /// Says whether taking it back changes anything. Seats that were given back and evidence stay as they are.
    #[must_use]
    pub const fn has_undo(&self) -> bool {
        match self {
            Self::BanSource(_)
            | Self::LimitSource(_)
            | Self::LimitSubject(_)
            | Self::RevokeTokens { .. }
            | Self::Suspend { .. } => true,
            Self::ReleaseSessions { .. } | Self::CaptureEvidence => false,
        }
    }

    /// Says whether two do the same to the same target.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.target() == other.target()
    }
}

/// Says it in words, for the audit entry and the timeline.
impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BanSource(net) => write!(f, "ban {}", source::text(net)),
            Self::LimitSource(net) => write!(f, "limit {}", source::text(net)),
            Self::LimitSubject(subject) => write!(f, "limit user:{subject}"),
            Self::RevokeTokens { subject, .. } => write!(f, "revoke tokens of user:{subject}"),
            Self::Suspend { subject } => write!(f, "suspend user:{subject}"),
            Self::ReleaseSessions { subject } => write!(f, "release sessions of user:{subject}"),
            Self::CaptureEvidence => f.write_str("capture evidence"),
        }
    }
}
