//! One scenario: which events it watches, by what it groups them, what it counts, when it speaks.

use std::time::Duration;

use crate::category::Category;
use crate::event::Event;
use crate::source;

/// What a scenario counts separately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GroupBy {
    /// Each source address (IPv6 by its /64).
    Source,
    /// Each verified subject.
    Subject,
    /// Each account that a sign-in names.
    Account,
    /// Each route.
    Route,
    /// All together.
    Node,
}

/// Which values a scenario counts once each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Distinct {
    /// Source addresses.
    Source,
    /// Paths.
    Path,
    /// Rules.
    Rule,
    /// Accounts that sign-ins name.
    Account,
    /// Verified subjects.
    Subject,
}

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name, which stands in the events that it raises.
    pub name: String,
    /// The categories that it counts.
    pub watches: Vec<Category>,
    /// By what it groups.
    pub group_by: GroupBy,
    /// What it counts once each; `None` counts every event.
    pub distinct: Option<Distinct>,
    /// How many it takes.
    pub threshold: u32,
    /// In which time.
    pub window: Duration,
    /// How long it is silent about a group after it spoke.
    pub blackhole: Duration,
    /// What it raises.
    pub raises: Category,
}

/// Why a scenario does not load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadScenario {
    /// It has no name.
    #[error("a scenario needs a name")]
    NoName,
    /// It watches nothing.
    #[error("a scenario watches at least one category")]
    WatchesNothing,
    /// One event would be enough, or more than are counted.
    #[error("a scenario's threshold is from 2 to 100000")]
    Threshold,
    /// A window of no time or of more than a day.
    #[error("a scenario's window is from 1 s to 24 h")]
    Window,
}

impl Scenario {
    /// Checks what only a person can get wrong.
    ///
    /// # Errors
    /// When it could never speak, or speaks at everything.
    pub fn checked(self) -> Result<Self, BadScenario> {
        if self.name.is_empty() {
            return Err(BadScenario::NoName);
        }
        if self.watches.is_empty() {
            return Err(BadScenario::WatchesNothing);
        }
        if !(2..=100_000).contains(&self.threshold) {
            return Err(BadScenario::Threshold);
        }
        if self.window < Duration::from_secs(1) || self.window > Duration::from_secs(86_400) {
            return Err(BadScenario::Window);
        }
        Ok(self)
    }

    /// Makes the event that it raises, out of the one that crossed the threshold.
    pub(super) fn raise(&self, last: &Event) -> Event {
        Event {
            id: format!("{}/{}", last.id, self.name),
            category: self.raises,
            scenario: Some(self.name.clone()),
            ..last.clone()
        }
    }
}

impl GroupBy {
    pub(super) fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Source => event.source_ip.map(|ip| source::text(&source::of_client(ip))),
            Self::Subject => event.actor.subject.clone(),
            Self::Account => event.actor.account.clone(),
            Self::Route => Some(event.route.clone()),
            Self::Node => Some(String::new()),
        }
    }
}

impl Distinct {
    pub(super) fn of(self, event: &Event) -> Option<String> {
        match self {
            Self::Source => GroupBy::Source.of(event),
            Self::Path => Some(event.path.clone()),
            Self::Rule => event.rule.as_ref().map(|rule| rule.id.clone()),
            Self::Account => event.actor.account.clone(),
            Self::Subject => event.actor.subject.clone(),
        }
    }
}

/// Returns the scenarios that hold where an operator writes none.
#[must_use]
pub fn built_in() -> Vec<Scenario> {
    use Category as C;
    let scenario =
        |name: &str, watches: &[C], group_by, distinct, threshold, secs, raises| Scenario {
            name: name.to_owned(),
            watches: watches.to_vec(),
            group_by,
            distinct,
            threshold,
            window: Duration::from_secs(secs),
            blackhole: Duration::from_secs(300),
            raises,
        };
    let source = Some(Distinct::Source);
    vec![
        scenario(
            "login-brute-force",
            &[C::LoginFailed],
            GroupBy::Account,
            None,
            10,
            300,
            C::BruteForce,
        ),
        scenario(
            "login-stuffing",
            &[C::LoginFailed],
            GroupBy::Source,
            Some(Distinct::Account),
            20,
            600,
            C::CredentialStuffing,
        ),
        scenario(
            "scan-paths",
            &[C::Scanner, C::LocalFile, C::RemoteFile, C::ProtocolAttack],
            GroupBy::Source,
            Some(Distinct::Path),
            10,
            60,
            C::Scanner,
        ),
        scenario(
            "scan-rules",
            &[
                C::SqlInjection,
                C::Xss,
                C::LocalFile,
                C::RemoteFile,
                C::CommandExecution,
                C::Scanner,
            ],
            GroupBy::Source,
            Some(Distinct::Rule),
            8,
            300,
            C::Scanner,
        ),
        scenario(
            "forged-tokens",
            &[C::TokenForgery],
            GroupBy::Source,
            None,
            10,
            300,
            C::TokenForgery,
        ),
        scenario(
            "malformed-requests",
            &[C::ProtocolAttack],
            GroupBy::Source,
            None,
            50,
            300,
            C::ProtocolAttack,
        ),
        scenario("flood-of-bans", &[C::Ban], GroupBy::Route, source, 20, 60, C::Ddos),
        scenario("flood-of-limits", &[C::RateLimit], GroupBy::Route, source, 100, 60, C::Ddos),
    ]
}
