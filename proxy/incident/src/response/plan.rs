//! What each kind of incident asks for: a table that an operator may replace, and what its words mean for one event.

use portcullis_config::Timestamp;

use super::action::{Action, ActionKind};
use crate::category::{Category, Priority};
use crate::event::Event;
use crate::incident::{Incident, is_deliberate};
use crate::source;

/// One line of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanRule {
    /// For incidents of this category.
    pub category: Category,
    /// From this priority on.
    pub at: Priority,
    /// What is done, in this order.
    pub actions: Vec<ActionKind>,
}

/// Returns the seeds' table and what follows from it for what they do not name.
#[must_use]
pub fn default_plan() -> Vec<PlanRule> {
    use ActionKind as A;
    use Category as C;
    let rule = |category: Category, actions: &[ActionKind]| PlanRule {
        category,
        at: Priority::P3,
        actions: actions.to_vec(),
    };
    let signatures = [
        C::SqlInjection,
        C::Xss,
        C::LocalFile,
        C::RemoteFile,
        C::CommandExecution,
        C::PhpInjection,
        C::JavaAttack,
        C::SessionFixation,
        C::GenericAttack,
        C::Scanner,
        C::ProtocolAttack,
        C::TokenForgery,
    ];
    let bans = [C::CredentialStuffing, C::BruteForce];
    let limited = signatures.into_iter().map(|category| rule(category, &[A::Limit]));
    let banned = bans.into_iter().map(|category| rule(category, &[A::Ban]));
    let rest = [
        rule(C::Ddos, &[A::Ban]),
        rule(C::TenantBreach, &[A::Suspend, A::Revoke, A::Release, A::Evidence]),
        rule(C::TokenReplay, &[A::Revoke]),
        rule(C::ConfigTamper, &[A::Evidence]),
    ];
    limited.chain(banned).chain(rest).collect()
}

/// Returns what an event of an incident asks for.
pub(super) fn wanted(
    plan: &[PlanRule],
    incident: &Incident,
    event: &Event,
    now: Timestamp,
) -> Vec<Action> {
    let applies =
        |rule: &&PlanRule| rule.category == incident.category && incident.priority >= rule.at;
    let kinds = plan.iter().filter(applies).flat_map(|rule| &rule.actions);
    // A breach that nobody meant asks for nothing.
    if incident.category == Category::TenantBreach && !is_deliberate(event) {
        return Vec::new();
    }
    kinds.filter_map(|kind| action(*kind, event, now)).collect()
}

/// Says what a kind of action means for an event; `None` where the event does not name whom it would touch.
fn action(kind: ActionKind, event: &Event, now: Timestamp) -> Option<Action> {
    let net = event.source_ip.map(source::of_client);
    let subject = event.actor.subject.clone();
    let member = || event.actor.tenant.clone().zip(event.actor.subject.clone());
    let route = Some(event.route.clone()).filter(|route| !route.is_empty());
    match kind {
        ActionKind::Ban => net.map(Action::BanSource),
        ActionKind::BanFingerprint => event.actor.fingerprint.clone().map(Action::BanFingerprint),
        ActionKind::Limit => {
            subject.map(Action::LimitSubject).or_else(|| net.map(Action::LimitSource))
        }
        ActionKind::Revoke => {
            let (provider, subject) = event.actor.provider.clone().zip(subject)?;
            Some(Action::RevokeTokens { provider, subject, before: now })
        }
        ActionKind::Suspend => {
            member().map(|(tenant, subject)| Action::Suspend { tenant, subject })
        }
        ActionKind::Release => {
            member().map(|(tenant, subject)| Action::ReleaseSessions { tenant, subject })
        }
        ActionKind::LockDown => route.map(Action::LockDown),
        ActionKind::Raise => route.map(Action::RaiseProtection),
        // The rule that was being tried, and has matched what another rule refused.
        ActionKind::Enforce => event.preview_rule.clone().map(Action::EnforceRule),
        ActionKind::Evidence => Some(Action::CaptureEvidence),
    }
}
