//! The actions, with what each touches and how it is undone.

use ipnet::IpNet;
use portcullis_config::Timestamp;

use crate::source;

/// Something that can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Refuse a source.
    BanSource(IpNet),
    /// Refuse a TLS library by its JA4 fingerprint.
    BanFingerprint(String),
    /// Tighten the limits of a source.
    LimitSource(IpNet),
    /// Tighten the limits of a subject.
    LimitSubject(String),
    /// Refuse the subject's tokens that were issued before a moment.
    RevokeTokens {
        /// The provider whose tokens they are.
        provider: String,
        /// The subject.
        subject: String,
        /// The moment.
        before: Timestamp,
    },
    /// Refuse the subject altogether, here and in the license service.
    Suspend {
        /// The subject's tenant.
        tenant: String,
        /// The subject.
        subject: String,
    },
    /// Give the subject's seats back.
    ReleaseSessions {
        /// The subject's tenant.
        tenant: String,
        /// The subject.
        subject: String,
    },
    /// Close a route: its host and path.
    LockDown(String),
    /// Let each client without a good token do little on a route.
    RaiseProtection(String),
    /// Take a rule in preview, as `POLICY/PRIORITY`, for one in force.
    EnforceRule(String),
    /// Put events, recent requests, fingerprints and metrics aside for whoever investigates.
    CaptureEvidence,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// The kinds of action, by the words of the configuration.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum ActionKind { $($(#[$doc])* $name,)* }

        impl ActionKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the configuration's word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Finds a kind by its word.
            #[must_use]
            pub fn by_name(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
            }
        }
    };
}

kinds! {
    /// [`Action::BanSource`]
    Ban = "ban";
    /// [`Action::BanFingerprint`]
    BanFingerprint = "ban_fingerprint";
    /// [`Action::LimitSubject`] where a token says who it is, [`Action::LimitSource`] otherwise.
    Limit = "limit";
    /// [`Action::RevokeTokens`]
    Revoke = "revoke";
    /// [`Action::Suspend`]
    Suspend = "suspend";
    /// [`Action::ReleaseSessions`]
    Release = "release";
    /// [`Action::LockDown`]
    LockDown = "lockdown";
    /// [`Action::RaiseProtection`]
    Raise = "raise";
    /// [`Action::EnforceRule`]
    Enforce = "enforce";
    /// [`Action::CaptureEvidence`]
    Evidence = "evidence";
}

/// Whom an action touches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A source.
    Source(IpNet),
    /// A TLS library.
    Fingerprint(String),
    /// A verified subject.
    Subject(String),
    /// A route, or a rule: everybody there.
    Place(String),
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
    /// A signature alone bans nobody: a link that somebody sends makes its victim trigger it.
    SignatureAlone,
    /// The process has not served for long enough to know who shares a source.
    Learning,
    /// Too many responses in a short time.
    CapReached,
}

impl Withheld {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Allowed,
        Self::SharedSource,
        Self::ThinEvidence,
        Self::SignatureAlone,
        Self::Learning,
        Self::CapReached,
    ];

    /// Returns the word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::SharedSource => "shared_source",
            Self::ThinEvidence => "thin_evidence",
            Self::SignatureAlone => "signature_alone",
            Self::Learning => "learning",
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
            Self::BanFingerprint(_) => "FINGERPRINT_BANNED",
            Self::LimitSource(_) | Self::LimitSubject(_) => "RATE_LIMIT_APPLIED",
            Self::RevokeTokens { .. } => "TOKENS_REVOKED",
            Self::Suspend { .. } => "USER_SUSPENDED",
            Self::ReleaseSessions { .. } => "SESSIONS_RELEASED",
            Self::LockDown(_) => "ROUTE_LOCKED_DOWN",
            Self::RaiseProtection(_) => "PROTECTION_RAISED",
            Self::EnforceRule(_) => "RULE_ENFORCED",
            Self::CaptureEvidence => "EVIDENCE_CAPTURED",
        }
    }

    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::BanSource(_) => ActionKind::Ban,
            Self::BanFingerprint(_) => ActionKind::BanFingerprint,
            Self::LimitSource(_) | Self::LimitSubject(_) => ActionKind::Limit,
            Self::RevokeTokens { .. } => ActionKind::Revoke,
            Self::Suspend { .. } => ActionKind::Suspend,
            Self::ReleaseSessions { .. } => ActionKind::Release,
            Self::LockDown(_) => ActionKind::LockDown,
            Self::RaiseProtection(_) => ActionKind::Raise,
            Self::EnforceRule(_) => ActionKind::Enforce,
            Self::CaptureEvidence => ActionKind::Evidence,
        }
    }

    /// Returns whom it touches, if anybody.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::BanSource(net) | Self::LimitSource(net) => Some(Target::Source(*net)),
            Self::BanFingerprint(print) => Some(Target::Fingerprint(print.clone())),
            Self::LimitSubject(subject)
            | Self::RevokeTokens { subject, .. }
            | Self::Suspend { subject, .. }
            | Self::ReleaseSessions { subject, .. } => Some(Target::Subject(subject.clone())),
            Self::LockDown(place) | Self::RaiseProtection(place) | Self::EnforceRule(place) => {
                Some(Target::Place(place.clone()))
            }
            Self::CaptureEvidence => None,
        }
    }

    /// Says whether taking it back changes anything. Seats that were given back and evidence stay as they are.
    #[must_use]
    pub const fn has_undo(&self) -> bool {
        match self {
            Self::BanSource(_)
            | Self::BanFingerprint(_)
            | Self::LimitSource(_)
            | Self::LimitSubject(_)
            | Self::RevokeTokens { .. }
            | Self::Suspend { .. }
            | Self::LockDown(_)
            | Self::RaiseProtection(_)
            | Self::EnforceRule(_) => true,
            Self::ReleaseSessions { .. } | Self::CaptureEvidence => false,
        }
    }

    /// Says whether two do the same to the same target. Evidence is of its incident, which the caller compares.
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
            Self::BanFingerprint(print) => write!(f, "ban fingerprint:{print}"),
            Self::LimitSource(net) => write!(f, "limit {}", source::text(net)),
            Self::LimitSubject(subject) => write!(f, "limit user:{subject}"),
            Self::RevokeTokens { subject, .. } => write!(f, "revoke tokens of user:{subject}"),
            Self::Suspend { subject, .. } => write!(f, "suspend user:{subject}"),
            Self::ReleaseSessions { subject, .. } => {
                write!(f, "release sessions of user:{subject}")
            }
            Self::LockDown(route) => write!(f, "lock down {route}"),
            Self::RaiseProtection(route) => write!(f, "raise the protection of {route}"),
            Self::EnforceRule(rule) => write!(f, "enforce the preview rule {rule}"),
            Self::CaptureEvidence => f.write_str("capture evidence"),
        }
    }
}
