//! How responses are made, as the served configuration says.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::model::{Incidents, ResponseRule};
use portcullis_incident::response::default_plan;
use portcullis_incident::{ActionKind, Category, PlanRule, Priority, ResponseSettings};

use super::hands::is_spared;
use crate::shared::Shared;

/// The time that `responses_max` is for.
const CAP_WINDOW: Duration = Duration::from_secs(600);

/// Makes the settings of what is served now.
pub(super) fn of(shared: &Arc<Shared>) -> ResponseSettings {
    let config = Arc::clone(&shared.snapshot.load().config);
    let incidents = &config.incidents;
    let spared = Arc::clone(shared);
    ResponseSettings {
        dry_run: incidents.dry_run,
        duration: incidents.respond_for,
        breach_objects_min: usize::try_from(incidents.breach_objects).unwrap_or(usize::MAX),
        responses_max: usize::try_from(incidents.responses_max).unwrap_or(usize::MAX),
        cap_window: CAP_WINDOW,
        plan: plan(incidents),
        learn: incidents.learn,
        allow: Arc::new(move |target| is_spared(&spared, target)),
    }
}

/// The operator's lines, and the usual ones for the categories that they do not name.
fn plan(incidents: &Incidents) -> Vec<PlanRule> {
    let written: Vec<PlanRule> = incidents.responses.iter().filter_map(rule).collect();
    let is_usual = |usual: &PlanRule| !written.iter().any(|one| one.category == usual.category);
    let usual = default_plan().into_iter().filter(is_usual);
    usual.chain(written.iter().cloned()).collect()
}

/// The configuration's words are the incident crate's; a test compares them.
fn rule(written: &ResponseRule) -> Option<PlanRule> {
    let actions = written.actions.iter().filter_map(|word| ActionKind::by_name(word));
    Some(PlanRule {
        category: Category::by_name(written.category)?,
        at: Priority::by_name(written.at)?,
        actions: actions.collect(),
    })
}

#[cfg(test)]
mod tests {
    use portcullis_config::model::{ACTIONS, CATEGORIES, PRIORITIES};

    use super::*;

    #[test]
    fn the_configurations_words_are_those_of_incidents() {
        let categories: Vec<_> =
            Category::ALL.iter().filter(|one| !one.is_everyday()).map(|one| one.as_str()).collect();
        assert_eq!(CATEGORIES, categories);
        let actions: Vec<_> = ActionKind::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(ACTIONS, actions);
        let priorities: Vec<_> = Priority::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(PRIORITIES, priorities);
    }

    #[test]
    fn a_category_that_is_named_gets_what_is_written_and_the_others_the_usual() {
        let incidents = Incidents {
            dry_run: false,
            respond_for: Duration::from_secs(60),
            limited_to: 1,
            raised_to: 1,
            breach_objects: 1,
            responses_max: 1,
            learn: Duration::ZERO,
            scenarios: None,
            runbooks: None,
            exits: portcullis_config::model::Exits::default(),
            alerts_key: None,
            notifiers: std::collections::BTreeMap::default(),
            heartbeat: None,
            responses: vec![ResponseRule { category: "DDOS", at: "P1", actions: vec!["raise"] }],
        };
        let plan = plan(&incidents);
        assert_eq!(plan.len(), default_plan().len());
        let of = |category| plan.iter().find(|rule| rule.category == category).unwrap();
        assert_eq!(of(Category::Ddos).actions, [ActionKind::Raise]);
        assert_eq!(of(Category::BruteForce).actions, [ActionKind::Ban]);
    }
}
