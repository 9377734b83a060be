//! What kinds of event there are, and what each means: one table gives the names on the wire, the priority and the
//! times. Nothing else chooses a priority.

use std::time::Duration;

/// How urgent something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Priority {
    /// Answer within four hours; a digest.
    P3,
    /// Answer within an hour; a message.
    P2,
    /// Answer within fifteen minutes; a page.
    P1,
    /// Answer within five minutes; a page to everybody.
    P0,
}

impl Priority {
    /// Every priority, the least urgent first.
    pub const ALL: [Self; 4] = [Self::P3, Self::P2, Self::P1, Self::P0];

    /// Returns the name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }

    /// Finds a priority by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }

    /// Returns the log severity beside it: the first seed's words.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::P0 => "CRITICAL",
            Self::P1 => "ERROR",
            Self::P2 => "WARNING",
            Self::P3 => "INFO",
        }
    }

    /// Returns PagerDuty's severity (Events API v2).
    #[must_use]
    pub const fn pager_severity(self) -> &'static str {
        match self {
            Self::P0 => "critical",
            Self::P1 => "error",
            Self::P2 => "warning",
            Self::P3 => "info",
        }
    }

    /// Returns how long an incident may stay unacknowledged before it escalates.
    #[must_use]
    pub const fn response_time(self) -> Duration {
        Duration::from_secs(match self {
            Self::P0 => 5 * 60,
            Self::P1 => 15 * 60,
            Self::P2 => 60 * 60,
            Self::P3 => 240 * 60,
        })
    }

    /// Returns the next more urgent one; P0 stays.
    #[must_use]
    pub const fn raised(self) -> Self {
        match self {
            Self::P3 => Self::P2,
            Self::P2 => Self::P1,
            Self::P1 | Self::P0 => Self::P0,
        }
    }
}

/// What an incident is about, so that events of one cause meet in one incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The token's subject, or the source where there is none.
    Subject,
    /// The source address (IPv6 by its /64).
    Source,
    /// The route: many sources, one target.
    Route,
    /// The alert, by what its sender calls it.
    Alert,
    /// The whole node: there is one at a time.
    Node,
}

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $kind:literal, $priority:ident, $scope:ident, $tag:literal;)*) => {
        /// The kind of an event.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Category { $($(#[$doc])* $name,)* }

        impl Category {
            /// Every category.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name in an event's `category`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Returns the event's `type`, which is also the metric's label.
            #[must_use]
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$name => $kind,)* }
            }

            /// Returns how urgent a first event is.
            #[must_use]
            pub const fn priority(self) -> Priority {
                match self { $(Self::$name => Priority::$priority,)* }
            }

            /// Returns what its incidents are about.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)* }
            }

            /// Returns the word that stands beside `security` in an event's `tags`.
            #[must_use]
            pub const fn tag(self) -> &'static str {
                match self { $(Self::$name => $tag,)* }
            }
        }
    };
}

categories! {
    /// An SQL injection that a rule refused.
    SqlInjection = "SQL_INJECTION", "sql_injection", P2, Subject, "attack";
    /// Cross-site scripting.
    Xss = "XSS", "xss", P2, Subject, "attack";
    /// Local file inclusion or path traversal.
    LocalFile = "LFI", "lfi", P2, Subject, "attack";
    /// Remote file inclusion.
    RemoteFile = "RFI", "rfi", P2, Subject, "attack";
    /// A command or code injection.
    CommandExecution = "RCE", "rce", P2, Subject, "attack";
    /// Code of PHP.
    PhpInjection = "PHP_INJECTION", "php_injection", P2, Subject, "attack";
    /// An attack on Java.
    JavaAttack = "JAVA_ATTACK", "java_attack", P2, Subject, "attack";
    /// A session that somebody else chose.
    SessionFixation = "SESSION_FIXATION", "session_fixation", P2, Subject, "attack";
    /// An attack that has no kind of its own.
    GenericAttack = "GENERIC_ATTACK", "generic_attack", P2, Subject, "attack";
    /// A malformed or smuggled request.
    ProtocolAttack = "PROTOCOL_ATTACK", "protocol_attack", P2, Source, "attack";
    /// A scanner, by its name or by what it tries.
    Scanner = "SCANNER", "scanner", P3, Source, "reconnaissance";
    /// More requests to a route than its baseline explains.
    Ddos = "DDOS", "ddos", P1, Route, "availability";
    /// Many failed sign-ins to one account.
    BruteForce = "BRUTE_FORCE", "brute_force", P2, Source, "credentials";
    /// Many accounts tried from one network.
    CredentialStuffing = "CREDENTIAL_STUFFING", "credential_stuffing", P1, Source, "credentials";
    /// One failed sign-in.
    LoginFailed = "LOGIN_FAILED", "login_failed", P3, Source, "credentials";
    /// A token of one tenant used for another's object.
    TenantBreach = "TENANT_BREACH", "tenant_breach", P0, Subject, "isolation";
    /// Sign-ins too far apart for the time between.
    ImpossibleTravel = "IMPOSSIBLE_TRAVEL", "geo_anomaly", P2, Subject, "credentials";
    /// A token that somebody made or changed.
    TokenForgery = "TOKEN_FORGERY", "token_forgery", P2, Source, "credentials";
    /// A token used where it cannot be.
    TokenReplay = "TOKEN_REPLAY", "token_replay", P1, Subject, "credentials";
    /// License keys enumerated or shared.
    LicenseAbuse = "LICENSE_ABUSE", "license_abuse", P2, Subject, "licensing";
    /// A rate limit refused a request.
    RateLimit = "RATE_LIMIT", "rate_limit", P3, Source, "availability";
    /// A ban started.
    Ban = "BAN", "ban", P3, Source, "availability";
    /// A country that the policy refuses.
    GeoBlock = "GEO_BLOCK", "geo_block", P3, Source, "policy";
    /// An address that the policy refuses.
    IpBlock = "IP_BLOCK", "ip_block", P3, Source, "policy";
    /// A method that the policy refuses.
    MethodEnforcement = "METHOD_ENFORCEMENT", "method_enforcement", P3, Source, "policy";
    /// More than the WAF inspects.
    WafLimit = "WAF_LIMIT", "waf_limit", P3, Source, "policy";
    /// Any other rule of a policy.
    PolicyDeny = "POLICY_DENY", "policy_deny", P3, Source, "policy";
    /// No token, or one that is not accepted and that nobody forged: expired, revoked, of another issuer.
    TokenRefused = "TOKEN_REFUSED", "token_refused", P3, Source, "credentials";
    /// A request that is not served as it came: too large, too late, of another kind.
    RequestRefused = "REQUEST_REFUSED", "request_refused", P3, Source, "policy";
    /// The edge or an origin could not answer.
    Unavailable = "UNAVAILABLE", "unavailable", P3, Route, "availability";
    /// A request with a verified caller: each subject's once a minute from each address with each token. Only for
    /// scenarios.
    Session = "SESSION", "session", P3, Subject, "credentials";
    /// A subject that is seen from a network for the first time.
    NewNetwork = "NEW_NETWORK", "new_network", P3, Subject, "credentials";
    /// A call with a license key, by its answer. Only for scenarios.
    LicenseCall = "LICENSE_CALL", "license_call", P3, Subject, "licensing";
    /// The requests of a route within a few seconds. Only for scenarios.
    Traffic = "TRAFFIC", "traffic", P3, Route, "availability";
    /// An alert of another system.
    Alert = "ALERT", "alert", P2, Alert, "monitoring";
    /// The signer did not sign.
    SignerFailure = "KMS_FAILURE", "signer_failure", P1, Node, "dependency";
    /// The configuration or the audit trail was changed by nobody who may.
    ConfigTamper = "CONFIG_TAMPER", "config_tamper", P0, Node, "integrity";
}

impl Category {
    /// Finds a category by its name in an event.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|category| category.as_str() == name)
    }

    /// Finds a category by its `type`.
    #[must_use]
    pub fn by_kind(kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|category| category.kind() == kind)
    }

    /// Says whether it comes from a signature of the WAF, which a link sent to a victim can trigger too: alone it never
    /// bans a network.
    #[must_use]
    pub const fn is_waf(self) -> bool {
        match self {
            Self::SqlInjection
            | Self::Xss
            | Self::LocalFile
            | Self::RemoteFile
            | Self::CommandExecution
            | Self::PhpInjection
            | Self::JavaAttack
            | Self::SessionFixation
            | Self::GenericAttack
            | Self::ProtocolAttack
            | Self::Scanner => true,
            Self::Ddos
            | Self::BruteForce
            | Self::CredentialStuffing
            | Self::LoginFailed
            | Self::TenantBreach
            | Self::ImpossibleTravel
            | Self::TokenForgery
            | Self::TokenReplay
            | Self::LicenseAbuse
            | Self::RateLimit
            | Self::Ban
            | Self::GeoBlock
            | Self::IpBlock
            | Self::MethodEnforcement
            | Self::WafLimit
            | Self::PolicyDeny
            | Self::TokenRefused
            | Self::RequestRefused
            | Self::Unavailable
            | Self::Session
            | Self::NewNetwork
            | Self::LicenseCall
            | Self::Traffic
            | Self::Alert
            | Self::SignerFailure
            | Self::ConfigTamper => false,
        }
    }

    /// Says whether it is of what goes on every day: scenarios see it, and nobody else. It is not written down, opens no
    /// incident and cannot be raised.
    #[must_use]
    pub const fn is_everyday(self) -> bool {
        matches!(self, Self::Session | Self::LicenseCall | Self::Traffic)
    }

    /// Says whether a scenario that raises it opens an incident. A new network is written down and that is all: phones
    /// find one every day.
    #[must_use]
    pub const fn opens_by_scenario(self) -> bool {
        !self.is_everyday() && !matches!(self, Self::NewNetwork)
    }

    /// Says whether one event alone opens an incident. The others are counted by detectors first: nobody is paged for
    /// one refused request.
    #[must_use]
    pub const fn opens_alone(self) -> bool {
        match self {
            Self::LoginFailed
            | Self::RateLimit
            | Self::Ban
            | Self::GeoBlock
            | Self::IpBlock
            | Self::MethodEnforcement
            | Self::WafLimit
            | Self::PolicyDeny
            | Self::TokenRefused
            | Self::RequestRefused
            | Self::Unavailable
            | Self::Scanner
            | Self::TokenForgery
            | Self::ProtocolAttack
            | Self::Session
            | Self::NewNetwork
            | Self::LicenseCall
            | Self::Traffic
            | Self::SignerFailure => false,
            Self::SqlInjection
            | Self::Xss
            | Self::LocalFile
            | Self::RemoteFile
            | Self::CommandExecution
            | Self::PhpInjection
            | Self::JavaAttack
            | Self::SessionFixation
            | Self::GenericAttack
            | Self::Ddos
            | Self::BruteForce
            | Self::CredentialStuffing
            | Self::TenantBreach
            | Self::ImpossibleTravel
            | Self::TokenReplay
            | Self::LicenseAbuse
            | Self::Alert
            | Self::ConfigTamper => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_read_back() {
        let names: HashSet<_> = Category::ALL.iter().map(|c| c.as_str()).collect();
        let kinds: HashSet<_> = Category::ALL.iter().map(|c| c.kind()).collect();
        assert_eq!((names.len(), kinds.len()), (Category::ALL.len(), Category::ALL.len()));
        for category in Category::ALL {
            assert_eq!(Category::by_name(category.as_str()), Some(*category));
            assert_eq!(Category::by_kind(category.kind()), Some(*category));
        }
        for priority in Priority::ALL {
            assert_eq!(Priority::by_name(priority.as_str()), Some(priority));
        }
    }

    #[test]
    fn the_first_seeds_words_are_exact() {
        for (category, name, kind, priority) in [
            (Category::SqlInjection, "SQL_INJECTION", "sql_injection", Priority::P2),
            (Category::TenantBreach, "TENANT_BREACH", "tenant_breach", Priority::P0),
            (Category::ImpossibleTravel, "IMPOSSIBLE_TRAVEL", "geo_anomaly", Priority::P2),
            (Category::Ddos, "DDOS", "ddos", Priority::P1),
            (Category::BruteForce, "BRUTE_FORCE", "brute_force", Priority::P2),
            (Category::LoginFailed, "LOGIN_FAILED", "login_failed", Priority::P3),
            (Category::RateLimit, "RATE_LIMIT", "rate_limit", Priority::P3),
        ] {
            assert_eq!(category.as_str(), name);
            assert_eq!(category.kind(), kind);
            assert_eq!(category.priority(), priority);
        }
    }

    #[test]
    fn the_more_urgent_the_sooner() {
        let minutes: Vec<u64> =
            Priority::ALL.iter().map(|p| p.response_time().as_secs() / 60).collect();
        assert_eq!(minutes, [240, 60, 15, 5]);
        assert_eq!(Priority::P3.raised().raised().raised().raised(), Priority::P0);
    }
}
