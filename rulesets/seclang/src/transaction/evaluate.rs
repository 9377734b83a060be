//! Runs the rules of a phase: links, values, tests, and what follows a match.

use super::hits::Origin;
use super::state::{Fired, Intervention, InterventionAction, State};
use super::texts::{Asker, TextId};
use super::tx::leading_number;
use super::values::{ValueId, decimal};
use crate::operator;
use crate::prefilter::Reach;
use crate::program::{
    AllowScope, Disruption, EngineMode, Link, NodeId, Nodes, Pass, Program, Rule, RuleIndex,
    Select, Step, Target, TargetSource, Test,
};
use crate::transformation::Changed;
use crate::variable::Variable;

/// The link that is being evaluated.
#[derive(Clone, Copy)]
struct Here<'a> {
    program: &'a Program,
    rule: RuleIndex,
    link: &'a Link,
    number: u8,
    keeps_hits: bool,
}

/// What a rule means for the rules after it.
pub(super) enum Next {
    Step,
    Jump(usize),
    End,
}

impl State {
    /// Runs one phase, 1 to 5.
    pub(crate) fn run_phase(&mut self, program: &Program, phase: u8) {
        self.phase = phase;
        let Some(steps) = program.phases.get(usize::from(phase).wrapping_sub(1)) else { return };
        if !self.may_run(phase) {
            return;
        }
        self.foreseen = None;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let next = match self.watch {
                None => self.step(program, steps, at, step),
                Some(_) => self.watched(step.rule, |state| state.step(program, steps, at, step)),
            };
            match next {
                Next::Step => at += 1,
                Next::Jump(to) => at = to,
                Next::End => break,
            }
        }
    }

    /// Runs a rule, or passes it by where what is known already says that it cannot match.
    fn step(&mut self, program: &Program, steps: &[Step], at: usize, step: &Step) -> Next {
        match &step.pass {
            Pass::Group { group, gate } if self.prefiltered => {
                if self.group_satisfies(program, steps, at, *group, *gate) {
                    self.rule(program, step.rule)
                } else {
                    Next::Step
                }
            }
            Pass::Jump(jump) if self.may_pass(step.rule) => {
                if self.holds(jump) {
                    Next::Jump(jump.to)
                } else {
                    Next::Step
                }
            }
            Pass::Never | Pass::Group { .. } | Pass::Jump(_) => self.rule(program, step.rule),
        }
    }

    /// Whether a jump may be decided by its number alone: nothing took the rule or its target out, and nobody
    /// asks for a trace of it.
    fn may_pass(&self, rule: RuleIndex) -> bool {
        self.prefiltered && !self.trace && !self.any_tx_removed && !self.is_removed(rule)
    }

    fn may_run(&mut self, phase: u8) -> bool {
        if self.mode == EngineMode::Off || self.exhausted {
            return false;
        }
        if phase == 5 {
            return true;
        }
        let allowed = match self.allowed {
            Some(AllowScope::Transaction) => true,
            Some(AllowScope::Request) => phase <= 2,
            Some(AllowScope::Phase) => {
                self.allowed = None;
                false
            }
            None => false,
        };
        !allowed && self.intervention.is_none()
    }

    fn rule(&mut self, program: &Program, index: RuleIndex) -> Next {
        let Some(rule) = program.rules.get(index.get()) else { return Next::End };
        if self.is_removed(index) {
            return Next::Step;
        }
        self.hits.clear();
        for (number, link) in (0_u8..).zip(&rule.links) {
            let keeps_hits = rule.keeps_hits;
            if !self.link(Here { program, rule: index, link, number, keeps_hits }) {
                return if self.exhausted { Next::End } else { Next::Step };
            }
        }
        self.complete(program, index, rule)
    }

    fn complete(&mut self, program: &Program, index: RuleIndex, rule: &Rule) -> Next {
        if let Some(watch) = &mut self.watch {
            watch.matched();
        }
        if rule.log || self.trace {
            self.hits.publish(index, &mut self.matches);
        }
        if rule.log {
            self.log(program, index, rule);
        }
        if let Some(severity) = rule.severity.filter(|level| *level < self.highest_severity) {
            self.highest_severity = severity;
            self.values.set_number(Variable::HighestSeverity, usize::from(severity));
        }
        if self.disrupt(program, index, rule) || self.mode == EngineMode::Off {
            return Next::End;
        }
        rule.skip_to.map_or(Next::Step, Next::Jump)
    }

    fn log(&mut self, program: &Program, index: RuleIndex, rule: &Rule) {
        if self.fired.len() >= super::hits::MATCHES_MAX {
            return;
        }
        let (mut msg, mut logdata) = (Vec::new(), Vec::new());
        self.expand(program, index, &rule.msg, &mut msg);
        self.expand(program, index, &rule.logdata, &mut logdata);
        self.fired.push(Fired { rule: index, msg, logdata });
    }

    /// Applies the rule's verdict; says whether the phase ends.
    fn disrupt(&mut self, program: &Program, index: RuleIndex, rule: &Rule) -> bool {
        let (status, action) = match &rule.disruption {
            Disruption::Pass => return false,
            Disruption::Allow(scope) => {
                let on = self.mode == EngineMode::On;
                if on {
                    self.allowed = Some(*scope);
                }
                return on;
            }
            Disruption::Deny { status } => (*status, InterventionAction::Deny),
            Disruption::Drop => (403, InterventionAction::Drop),
            Disruption::Redirect { status, to } => {
                let mut location = Vec::new();
                self.expand(program, index, to, &mut location);
                (*status, InterventionAction::Redirect(location))
            }
        };
        let mut message = Vec::new();
        self.expand(program, index, &rule.msg, &mut message);
        let rule_id = program.infos.get(index.get()).map_or(0, |info| info.id);
        let phase = self.phase;
        let intervention = Intervention { status, action, rule_id, phase, message };
        // What is said after the answer has gone out changes nothing.
        if self.mode == EngineMode::On && self.phase != 5 {
            self.intervention.get_or_insert(intervention);
            return true;
        }
        self.detected.get_or_insert(intervention);
        false
    }

    /// Evaluates one link over all its values; effects run for each match.
    fn link(&mut self, here: Here<'_>) -> bool {
        let before = self.hits.len();
        if here.link.targets.is_empty() {
            self.run_effects(here.program, here.rule, here.link);
            return true;
        }
        let mut matched = false;
        for target in &here.link.targets {
            matched |= self.target(here, target, before);
            if self.exhausted {
                return false;
            }
        }
        matched
    }

    fn target(&mut self, here: Here<'_>, target: &Target, before: usize) -> bool {
        if target.counted {
            return self.count(here, target);
        }
        match target.source {
            TargetSource::Scalar(variable) => {
                let id = self.values.scalar(variable);
                self.value(here, target, variable, id)
            }
            TargetSource::Lists(lists) => self.lists(here, target, lists),
            TargetSource::TxSlot(id) => {
                if self.tx.slot(id).is_none() {
                    return false;
                }
                if self.is_excluded(here, target.source, here.program.tx_names.name(id)) {
                    return false;
                }
                if let Some(answer) = self.tx_number(here, id) {
                    return answer && self.record_tx(here, target, id);
                }
                self.record_tx_if_matched(here, target, id)
            }
            TargetSource::Tx | TargetSource::Persistent(_) | TargetSource::Matched(_) => {
                self.gathered(here, target, before)
            }
            TargetSource::Rule => self.rule_field(here, target),
        }
    }

    fn lists(&mut self, here: Here<'_>, target: &Target, lists: &[Variable]) -> bool {
        let mut matched = false;
        for list in lists {
            let mut at = 0;
            while let Some(id) = self.values.list(*list).get(at).copied() {
                at += 1;
                let name = self.values.name(id);
                if !target.select.takes(name) {
                    continue;
                }
                matched |= self.value(here, target, *list, id);
                if self.exhausted {
                    return false;
                }
            }
        }
        matched
    }

    /// Whether the rule, or a `ctl` that ran, takes a value out.
    fn is_excluded(&self, here: Here<'_>, source: TargetSource, name: &[u8]) -> bool {
        if here.link.exclusions.is_empty() && self.removals.is_empty() {
            return false;
        }
        let hit =
            |from: TargetSource, select: &Select| overlaps(from, source) && select.takes(name);
        if here.link.exclusions.iter().any(|e| hit(e.source, &e.select)) {
            return true;
        }
        let rows = self.removals.iter().filter_map(|row| here.program.removals.get(*row));
        let mut rows = rows.filter(|row| row.rules.binary_search(&here.rule).is_ok());
        rows.any(|row| hit(row.exclusion.source, &row.exclusion.select))
    }

    /// Examines one value of the request.
    fn value(&mut self, here: Here<'_>, target: &Target, list: Variable, id: ValueId) -> bool {
        if !self.prefiltered {
            return self.value_plainly(here, target, list, id);
        }
        if here.link.stages.is_empty() {
            return self.text_of(here, target, list, id, here.link.node, None).0;
        }
        let (mut matched, mut last) = (false, None);
        for node in &here.link.stages {
            let (answer, text) = self.text_of(here, target, list, id, *node, last);
            matched |= answer;
            last = Some(text);
        }
        matched
    }

    fn text_of(
        &mut self,
        here: Here<'_>,
        target: &Target,
        list: Variable,
        id: ValueId,
        node: NodeId,
        last: Option<TextId>,
    ) -> (bool, TextId) {
        let nodes = &here.program.nodes;
        let text = self.texts.of(nodes, &self.values, id, node);
        if last == Some(text) {
            return (false, text);
        }
        if let Some(gate) = here.link.gate {
            let prefilter = &here.program.prefilter;
            let asker = Asker { prefilter, nodes, reach: Reach::of(self.phase) };
            if !self.texts.satisfies(asker, &self.values, text, gate) {
                return (false, text);
            }
        }
        // Last, because it may run the pattern of a selector.
        if self.is_excluded(here, TargetSource::Lists(list.alone()), self.values.name(id)) {
            return (false, text);
        }
        let steps = self.texts.take_steps();
        self.spend(steps);
        let mut value = std::mem::take(&mut self.scratch.value);
        let bytes = self.texts.bytes(&self.values, text);
        let answer = match &here.link.test {
            Test::Operator(operator) => operator.is_match_of(bytes, self.texts.holds(text)),
            Test::Always | Test::Never | Test::Number(..) | Test::Text(..) | Test::Geo => {
                self.test(here, bytes)
            }
        };
        let matched = answer != here.link.negated;
        let length = bytes.len();
        if matched {
            value.clear();
            value.extend_from_slice(bytes);
            let mut name = std::mem::take(&mut self.scratch.name);
            name.clear();
            name.extend_from_slice(self.values.name(id));
            self.matched(here, target, list, &name, &value);
            self.scratch.name = name;
        }
        self.scratch.value = value;
        self.spend(length);
        (matched, text)
    }

    fn value_plainly(
        &mut self,
        here: Here<'_>,
        target: &Target,
        list: Variable,
        id: ValueId,
    ) -> bool {
        if self.is_excluded(here, TargetSource::Lists(list.alone()), self.values.name(id)) {
            return false;
        }
        let mut value = std::mem::take(&mut self.scratch.value);
        let mut name = std::mem::take(&mut self.scratch.name);
        value.clear();
        value.extend_from_slice(self.values.value(id));
        name.clear();
        name.extend_from_slice(self.values.name(id));
        let matched = self.examine(here, target, list, &name, &mut value);
        self.scratch.value = value;
        self.scratch.name = name;
        matched
    }

    /// Examines bytes that stand nowhere in the request: transforms them and tests the result.
    fn examine(
        &mut self,
        here: Here<'_>,
        target: &Target,
        list: Variable,
        name: &[u8],
        value: &mut Vec<u8>,
    ) -> bool {
        let nodes = &here.program.nodes;
        let multi = !here.link.stages.is_empty();
        let mut matched = multi && self.examine_stage(here, target, list, name, value);
        let mut out = std::mem::take(&mut self.scratch.transformed);
        for node in here.link.path.iter().filter_map(|node| nodes.get(*node)) {
            out.clear();
            self.spend(value.len());
            if node.transformation.apply(value, &mut out) == Changed::Yes {
                std::mem::swap(value, &mut out);
                if multi {
                    matched |= self.examine_stage(here, target, list, name, value);
                }
            }
        }
        self.scratch.transformed = out;
        if !multi {
            matched = self.examine_stage(here, target, list, name, value);
        }
        matched
    }

    fn examine_stage(
        &mut self,
        here: Here<'_>,
        target: &Target,
        list: Variable,
        name: &[u8],
        value: &[u8],
    ) -> bool {
        self.spend(value.len());
        let matched = self.test(here, value) != here.link.negated;
        if matched {
            self.matched(here, target, list, name, value);
        }
        matched
    }

    fn test(&self, here: Here<'_>, value: &[u8]) -> bool {
        match &here.link.test {
            Test::Always => true,
            Test::Never => false,
            Test::Number(order, operand) => {
                let right = self.operand(here.program, here.rule, operand);
                order.holds(leading_number(value), right)
            }
            Test::Text(name, argument) => {
                let mut text = Vec::new();
                self.expand(here.program, here.rule, argument, &mut text);
                operator::compare(name, &text, value).unwrap_or(false)
            }
            Test::Geo => self.has_country,
            Test::Operator(operator) => operator.is_match(value),
        }
    }

    /// What follows a match of one value: captures, the hit, the effects.
    fn matched(
        &mut self,
        here: Here<'_>,
        target: &Target,
        list: Variable,
        name: &[u8],
        value: &[u8],
    ) {
        let mut span = 0..0;
        let keeps = here.keeps_hits || self.trace;
        let asks = keeps || here.link.capture;
        if let (Test::Operator(operator), false, true) = (&here.link.test, here.link.negated, asks)
        {
            let mut captures = std::mem::take(&mut self.captures);
            captures.clear();
            if here.link.captures_to_show {
                operator.first_captures(value, &mut captures);
            } else if here.link.capture {
                operator.captures(value, &mut captures);
            } else {
                operator.whole(value, &mut captures);
            }
            span = captures.span().unwrap_or(0..0);
            if here.link.capture {
                self.tx.clear_captures();
                for index in 0..crate::captures::GROUPS_MAX {
                    if let Some(text) = captures.group(index, value) {
                        self.tx.set_capture(index, text);
                    }
                }
            }
            self.captures = captures;
        }
        let origin = Origin {
            variable: target.variable,
            source: list,
            counted: target.counted,
            link: here.number,
        };
        if keeps {
            self.hits.push(origin, name, value, span);
        }
        self.run_effects(here.program, here.rule, here.link);
    }

    /// The answer for a number in a `TX` slot, without writing it out; nothing when it is text or
    /// is transformed.
    fn tx_number(&self, here: Here<'_>, id: crate::program::TxId) -> Option<bool> {
        let Test::Number(order, operand) = &here.link.test else { return None };
        if here.link.node != Nodes::ROOT {
            return None;
        }
        let left = self.tx.slot(id)?.number();
        let right = self.operand(here.program, here.rule, operand);
        Some(order.holds(left, right) != here.link.negated)
    }

    fn record_tx(&mut self, here: Here<'_>, target: &Target, id: crate::program::TxId) -> bool {
        let mut value = std::mem::take(&mut self.scratch.value);
        value.clear();
        if let Some(var) = self.tx.slot(id) {
            var.write(&mut value);
        }
        let name = here.program.tx_names.name(id);
        self.matched(here, target, Variable::Tx, name, &value);
        self.scratch.value = value;
        true
    }

    fn record_tx_if_matched(
        &mut self,
        here: Here<'_>,
        target: &Target,
        id: crate::program::TxId,
    ) -> bool {
        let mut value = std::mem::take(&mut self.scratch.value);
        value.clear();
        if let Some(var) = self.tx.slot(id) {
            var.write(&mut value);
        }
        let name = here.program.tx_names.name(id);
        let matched = self.examine(here, target, Variable::Tx, name, &mut value);
        self.scratch.value = value;
        matched
    }

    /// Examines values that rules themselves write: they are gathered first, because effects may
    /// change them under way.
    fn gathered(&mut self, here: Here<'_>, target: &Target, before: usize) -> bool {
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        self.gather(here, target, before, &mut rows);
        let mut matched = false;
        for (name, mut value) in rows {
            let taken = target.source == TargetSource::Tx || target.select.takes(&name);
            if taken && !self.is_excluded(here, target.source, &name) {
                matched |= self.examine(here, target, target.variable, &name, &mut value);
            }
            if self.exhausted {
                return false;
            }
        }
        matched
    }

    fn gather(
        &self,
        here: Here<'_>,
        target: &Target,
        before: usize,
        rows: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) {
        let written = |var: &super::tx::Var| {
            let mut text = Vec::new();
            var.write(&mut text);
            text
        };
        match target.source {
            TargetSource::Tx => {
                let vars = self.tx.among(&here.program.tx_names, &target.slots);
                let taken = vars.filter(|(name, _, slot)| *slot || target.select.takes(name));
                rows.extend(taken.map(|(name, var, _)| (name.to_vec(), written(var))));
            }
            TargetSource::Persistent(collection) => {
                let vars = self.persistent.of(collection);
                rows.extend(vars.map(|(name, var)| (name.to_vec(), written(var))));
            }
            TargetSource::Matched(variable) => self.gather_matched(variable, before, rows),
            TargetSource::Scalar(_)
            | TargetSource::Lists(_)
            | TargetSource::TxSlot(_)
            | TargetSource::Rule => {}
        }
    }

    fn gather_matched(
        &self,
        variable: Variable,
        before: usize,
        rows: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) {
        let all = matches!(variable, Variable::MatchedVars | Variable::MatchedVarsNames);
        let names = matches!(variable, Variable::MatchedVarName | Variable::MatchedVarsNames);
        let first = if all { 0 } else { before.saturating_sub(1) };
        for at in first..before {
            let mut name = Vec::new();
            self.hits.write_name(at, &mut name);
            let value = if names { name.clone() } else { self.hits.value(at).to_vec() };
            rows.push((if all { name } else { Vec::new() }, value));
        }
    }

    fn rule_field(&mut self, here: Here<'_>, target: &Target) -> bool {
        let Select::Name(field) = &target.select else { return false };
        let Some(info) = here.program.infos.get(here.rule.get()) else { return false };
        let text = match field.as_ref() {
            b"id" => info.id.to_string(),
            b"msg" => info.msg.clone(),
            b"severity" => info.severity.map(|level| level.to_string()).unwrap_or_default(),
            _ => return false,
        };
        self.examine(here, target, Variable::Rule, field, &mut text.into_bytes())
    }

    /// Examines how many values a target has.
    fn count(&mut self, here: Here<'_>, target: &Target) -> bool {
        let takes =
            |name: &[u8]| target.select.takes(name) && !self.is_excluded(here, target.source, name);
        let number = match target.source {
            TargetSource::Scalar(variable) => usize::from(!self.values.text(variable).is_empty()),
            TargetSource::Lists(lists) => {
                let ids = lists.iter().flat_map(|list| self.values.list(*list));
                ids.filter(|id| takes(self.values.name(**id))).count()
            }
            TargetSource::TxSlot(id) => usize::from(self.tx.slot(id).is_some()),
            TargetSource::Tx => {
                let vars = self.tx.among(&here.program.tx_names, &target.slots);
                vars.filter(|(name, _, slot)| *slot || takes(name)).count()
            }
            TargetSource::Persistent(collection) => {
                self.persistent.of(collection).filter(|(name, _)| takes(name)).count()
            }
            TargetSource::Matched(_) => self.hits.len(),
            TargetSource::Rule => 1,
        };
        let mut digits = [0_u8; 20];
        let mut value = std::mem::take(&mut self.scratch.value);
        value.clear();
        value.extend_from_slice(decimal(number as u64, &mut digits));
        let name = match &target.select {
            Select::Name(name) => name,
            Select::All | Select::Pattern(_) => b"".as_slice(),
        };
        let matched = self.examine(here, target, target.variable, name, &mut value);
        self.scratch.value = value;
        matched
    }
}

/// Whether an exclusion of `from` reaches values read through `source`.
fn overlaps(from: TargetSource, source: TargetSource) -> bool {
    match (from, source) {
        (TargetSource::Scalar(from), TargetSource::Lists(lists)) => lists == [from],
        (TargetSource::Lists(from), TargetSource::Lists(lists)) => {
            lists.iter().all(|list| from.contains(list))
        }
        (TargetSource::Tx, TargetSource::TxSlot(_)) => true,
        _ => from == source,
    }
}
