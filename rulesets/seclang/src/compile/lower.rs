//! Drafts to a program: actions read, defaults applied, jumps resolved, groups and conditions laid.

use std::collections::HashMap;
use std::rc::Rc;

use super::action::{Acts, RedirectTo, Verdict, shown};
use super::draft::{Draft, LinkDraft};
use super::{Compiler, Item};
use crate::Diagnostic;
use crate::prefilter::{Condition, Prefilter};
use crate::program::{
    Disruption, Expansion, Link, LinkInfo, Nodes, Program, Rule, RuleIndex, RuleInfo, Step,
    TargetSource, Test,
};
use crate::syntax::{TargetSyntax, Text};
use crate::variable::Home;

/// A rule and what its jump still needs.
struct Lowered {
    rule: Rule,
    info: RuleInfo,
    /// What each link's operator needs.
    conditions: Vec<Condition>,
    skip: Option<Jump>,
}

enum Jump {
    Over(usize),
    After(Text),
}

impl Compiler<'_> {
    /// Lowers every draft. Nothing when an error was found.
    pub(super) fn lower(&mut self) -> Option<Program> {
        let mut nodes = Nodes::default();
        let mut rules: Vec<Lowered> = Vec::new();
        let mut phases: [Vec<RuleIndex>; 5] = Default::default();
        let mut markers: HashMap<String, Vec<[usize; 5]>> = HashMap::new();
        for at in 0..self.items.len() {
            let here = phases.each_ref().map(Vec::len);
            // `ctl` looks rules up among the drafts, so that a draft stays while it is lowered.
            match self.items.get(at) {
                Some(Item::Marker(name)) => markers.entry(name.clone()).or_default().push(here),
                Some(Item::Rule(draft)) if !draft.removed => {
                    let draft = Rc::clone(draft);
                    if let Some(lowered) = self.lower_rule(&draft, &mut nodes) {
                        let phase = phases.get_mut(usize::from(draft.phase) - 1)?;
                        phase.push(RuleIndex::new(rules.len()));
                        rules.push(lowered);
                    }
                }
                Some(Item::Rule(_)) | None => {}
            }
        }
        self.jumps(&mut rules, &phases, &markers);
        let (mut compiled, mut infos, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        for lowered in rules {
            compiled.push(lowered.rule);
            infos.push(lowered.info);
            conditions.push(lowered.conditions);
        }
        for link in compiled.iter_mut().flat_map(|rule| &mut rule.links) {
            for target in &mut link.targets {
                if target.source == TargetSource::Tx {
                    let taken = self.tx_names.iter().filter(|(_, name)| target.select.takes(name));
                    target.slots = taken.map(|(id, _)| id).collect();
                }
            }
        }
        mark_captures_to_show(&mut compiled);
        let prefilter = Prefilter::build(&mut compiled, &infos, conditions, &phases);
        let step = |index: &RuleIndex| Some(Step::of(*index, compiled.get(index.get())?));
        let phases = phases.map(|phase| phase.iter().filter_map(step).collect());
        Some(Program {
            rules: compiled,
            infos,
            phases,
            tx_names: std::mem::replace(&mut self.tx_names, crate::program::TxNames::new()),
            nodes,
            settings: self.settings.clone(),
            removals: std::mem::take(&mut self.removals),
            reads_time: self.used.iter().any(|variable| variable.is_time()),
            opens_collections: self.used.iter().any(|variable| variable.home() == Home::Persistent),
            prefilter,
        })
    }

    /// Turns `skip` and `skipAfter` into steps of the rule's own phase.
    fn jumps(
        &mut self,
        rules: &mut [Lowered],
        phases: &[Vec<RuleIndex>; 5],
        markers: &HashMap<String, Vec<[usize; 5]>>,
    ) {
        for (number, phase) in phases.iter().enumerate() {
            for (step, index) in phase.iter().enumerate() {
                let Some(lowered) = rules.get_mut(index.get()) else { continue };
                lowered.rule.skip_to = match &lowered.skip {
                    None => None,
                    Some(Jump::Over(count)) => Some(step + 1 + count),
                    Some(Jump::After(name)) => {
                        let places = name.as_str().ok().and_then(|name| markers.get(name));
                        let mut steps = places.into_iter().flatten().filter_map(|p| p.get(number));
                        let found = steps.find(|place| **place > step).copied();
                        if found.is_none() {
                            let help = "a `SecMarker` of this name stands nowhere below the rule";
                            let message = "this skips to nowhere";
                            self.problems.push(name.place().error_with(message, help));
                        }
                        found
                    }
                };
            }
        }
    }

    fn lower_rule(&mut self, draft: &Draft, nodes: &mut Nodes) -> Option<Lowered> {
        let before = self.problems.len();
        let defaults = self.acts(&draft.defaults);
        let mut links = Vec::new();
        let mut heads: Vec<Acts> = Vec::new();
        let mut link_infos = Vec::new();
        let mut conditions = Vec::new();
        for link in &draft.links {
            let mut acts = self.acts(&link.actions);
            let lowered = self.lower_link(link, &mut acts, &defaults, nodes);
            let lowered = self.keep(lowered);
            if let Some((link, info, condition)) = lowered {
                links.push(link);
                link_infos.push(info);
                conditions.push(condition);
            }
            heads.push(acts);
        }
        let mut acts = heads.into_iter();
        let head = acts.next()?;
        let rest: Vec<Acts> = acts.collect();
        let msg = head.msg.clone().or_else(|| rest.iter().find_map(|acts| acts.msg.clone()));
        let logdata = head.logdata.clone().or_else(|| rest.iter().find_map(|a| a.logdata.clone()));
        let severity = head.severity.or_else(|| rest.iter().find_map(|acts| acts.severity));
        let disruption = self.disruption(&head, &defaults);
        let disruption = self.keep(disruption);
        let expanded_msg = self.optional(msg.as_ref());
        let expanded_logdata = self.optional(logdata.as_ref());
        if self.problems.iter().skip(before).any(|p| p.severity == crate::Severity::Error) {
            return None;
        }
        let log = head.log.or(defaults.log).unwrap_or(true);
        let keeps_hits = log || links.iter().any(Link::reads_hits);
        let skip = head.skip_after.map(Jump::After);
        let skip = skip.or_else(|| head.skip.map(|(count, _)| Jump::Over(count)));
        let paranoia = head.tags.iter().find_map(|tag| {
            tag.strip_prefix("paranoia-level/").and_then(|level| level.parse().ok())
        });
        Some(Lowered {
            rule: Rule {
                links,
                disruption: disruption?,
                skip_to: None,
                log,
                keeps_hits,
                severity,
                msg: expanded_msg?,
                logdata: expanded_logdata?,
            },
            info: RuleInfo {
                id: draft.id,
                phase: draft.phase,
                msg: msg.as_ref().map(shown).unwrap_or_default(),
                tags: head.tags,
                severity,
                paranoia,
                version: head.version,
                file: draft.place.source.name.clone(),
                line: draft.place.line(),
                links: link_infos,
                log,
            },
            conditions,
            skip,
        })
    }

    fn optional(&mut self, text: Option<&Text>) -> Option<Expansion> {
        let Some(text) = text else { return Some(Expansion::default()) };
        let expansion = self.expansion(text);
        self.keep(expansion)
    }

    fn disruption(&mut self, acts: &Acts, defaults: &Acts) -> Result<Disruption, Diagnostic> {
        let fallback = match &defaults.verdict {
            None | Some(Verdict::Block) => &Verdict::Pass,
            Some(verdict) => verdict,
        };
        let verdict = match &acts.verdict {
            None | Some(Verdict::Block) => fallback,
            Some(verdict) => verdict,
        };
        let status = acts.status.or(defaults.status);
        Ok(match verdict {
            Verdict::Pass | Verdict::Block => Disruption::Pass,
            Verdict::Allow(scope) => Disruption::Allow(*scope),
            Verdict::Deny => Disruption::Deny { status: status.unwrap_or(403) },
            Verdict::Drop => Disruption::Drop,
            Verdict::Redirect(RedirectTo(to)) => {
                Disruption::Redirect { status: status.unwrap_or(302), to: self.expansion(to)? }
            }
        })
    }

    fn lower_link(
        &mut self,
        link: &LinkDraft,
        acts: &mut Acts,
        defaults: &Acts,
        nodes: &mut Nodes,
    ) -> Result<(Link, LinkInfo, Condition), Diagnostic> {
        let targets = link.operator.as_ref().map(|_| self.targets(&link.targets));
        let test = link.operator.as_ref().map(|operator| self.test(operator));
        let targets = targets.transpose()?;
        let test = test.transpose()?.unwrap_or(Test::Always);
        let condition = link.operator.as_ref().map(|operator| self.condition(operator, &test));
        let condition = condition.unwrap_or_default();
        let (included, excluded) =
            targets.map_or_else(Default::default, |t| (t.included, t.excluded));
        let mut node = Nodes::ROOT;
        let inherited = if acts.cleared { &[] } else { defaults.transformations.as_slice() };
        let chain: Vec<_> = inherited.iter().chain(&acts.transformations).copied().collect();
        for transformation in &chain {
            node = nodes.child(node, transformation);
        }
        let stages = if acts.multi_match { nodes.path(node) } else { Vec::new() };
        let info = LinkInfo {
            targets: link.targets.iter().map(show_target).collect(),
            operator: link.operator.as_ref().map(show_operator).unwrap_or_default(),
            transformations: chain.iter().map(|t| t.name.to_owned()).collect(),
            prefilter: condition.describe(),
        };
        let negated = link.operator.as_ref().is_some_and(|operator| operator.negated);
        let lowered = Link {
            targets: included,
            exclusions: excluded,
            node,
            path: nodes.path(node),
            stages,
            test,
            negated,
            capture: acts.capture,
            captures_to_show: false,
            effects: std::mem::take(&mut acts.effects),
            gate: None,
            group: None,
        };
        Ok((lowered, info, condition))
    }
}

/// Finds the links of which nothing but messages reads what they capture. Where a rule acts on what another one
/// left, all captures are to be exact.
fn mark_captures_to_show(rules: &mut [Rule]) {
    if rules.iter().any(Rule::acts_on_others_captures) {
        return;
    }
    for rule in rules.iter_mut().filter(|rule| !rule.acts_on_captures()) {
        rule.links.iter_mut().for_each(|link| link.captures_to_show = link.capture);
    }
}

fn show_target(target: &TargetSyntax) -> String {
    let prefix = if target.excluded { "!" } else { "" };
    let count = if target.counted { "&" } else { "" };
    let slash = if target.is_regex { "/" } else { "" };
    let selector = target.selector.as_ref();
    let selector = selector.map(|text| format!(":{slash}{}{slash}", shown(text)));
    format!("{prefix}{count}{}{}", shown(&target.variable), selector.unwrap_or_default())
}

fn show_operator(operator: &crate::syntax::OperatorSyntax) -> String {
    let negation = if operator.negated { "!" } else { "" };
    format!("{negation}@{} {}", operator.name, shown(&operator.argument)).trim_end().to_owned()
}
