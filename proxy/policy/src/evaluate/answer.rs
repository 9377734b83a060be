//! Answers to WAF questions from what a run collected: by id, without what the rule leaves out, by score where the
//! rule says so.

use portcullis_config::armor::FieldPattern;
use portcullis_config::expr::Need;

use super::Truth;
use super::exclusion::{Emptied, concerns, is_open, leaves_out};
use super::facts::Facts;
use crate::compile::Question;
use crate::request::{BodyEnd, RequestHead};
use crate::waf::{WafMatch, WafRun};

/// One rule set's run, and whether it has seen the body.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) run: Box<dyn WafRun>,
    pub(super) saw_body: bool,
    again: Vec<Again>,
}

/// What still matches in a request without the values that some exclusions of a question name.
#[derive(Debug)]
struct Again {
    question: usize,
    exclusions: Vec<usize>,
    saw_body: bool,
    ids: Vec<u32>,
}

impl Run {
    pub(super) fn new(run: Box<dyn WafRun>) -> Self {
        Self { run, saw_body: false, again: Vec::new() }
    }

    /// Returns every match that counts for the question. Those that [`Facts::ask_again`] has to decide are decided.
    fn counted<'r>(
        &'r self,
        number: usize,
        question: &'r Question,
        head: &'r RequestHead<'_>,
    ) -> impl Iterator<Item = &'r WafMatch> {
        self.asked(number, question, head).filter(|(_, counts)| *counts).map(|(found, _)| found)
    }

    /// Returns every match that the question asks for, and whether it counts or the rule leaves it out.
    pub(crate) fn asked<'r>(
        &'r self,
        number: usize,
        question: &'r Question,
        head: &'r RequestHead<'_>,
    ) -> impl Iterator<Item = (&'r WafMatch, bool)> {
        let broken = self.broken_chains(question, head);
        let asked = self.run.matches().iter();
        asked.filter(|found| question.ids.binary_search(&found.id).is_ok()).map(move |found| {
            let counts = question.exclusions.is_empty()
                || !broken.contains(&found.id)
                    && !leaves_out(question, found, head)
                    && self.stands(number, question, found);
            (found, counts)
        })
    }

    /// Whether a match that its field does not decide was found again without the excluded values.
    fn stands(&self, number: usize, question: &Question, found: &WafMatch) -> bool {
        let exclusions = concerned(question, found.id);
        !is_open(found, patterns(question, &exclusions))
            || self.known(number, &exclusions).is_none_or(|again| again.ids.contains(&found.id))
    }

    fn known(&self, number: usize, exclusions: &[usize]) -> Option<&Again> {
        self.again.iter().find(|again| {
            again.question == number
                && again.saw_body == self.saw_body
                && again.exclusions == exclusions
        })
    }

    /// Returns the chains of which a link matches in excluded fields only: they do not match. One pass.
    fn broken_chains(&self, question: &Question, head: &RequestHead<'_>) -> Vec<u32> {
        // By id: the links that match, and those that match in a field that is not excluded.
        let mut chains: Vec<(u32, u128, u128)> = Vec::new();
        let asked = self.run.matches().iter().filter(|_| !question.exclusions.is_empty());
        for found in asked.filter(|found| found.is_chained) {
            let link = 1_u128.checked_shl(found.link.into()).unwrap_or_default();
            let kept = if leaves_out(question, found, head) { 0 } else { link };
            match chains.iter_mut().find(|(id, ..)| *id == found.id) {
                Some((_, links, left)) => {
                    *links |= link;
                    *left |= kept;
                }
                None => chains.push((found.id, link, kept)),
            }
        }
        chains.iter().filter(|(_, links, left)| links != left).map(|(id, ..)| *id).collect()
    }
}

impl<'f> Facts<'f, '_> {
    /// Answers a WAF question. The head is inspected when the first question is asked, the body once after it came.
    pub(crate) fn waf(&mut self, number: usize) -> Truth {
        let Some(question) = self.policy.questions.get(number) else { return Truth::Error };
        let Some(run) = self.run(question.waf) else { return Truth::Error };
        let saw_body = run.saw_body;
        if run.run.gave_up() {
            self.found.gave_up = true;
        } else if !self.is_yes(number, question) {
            return if saw_body { Truth::False } else { Truth::Needs(Need::Body) };
        }
        self.found.note_question(number);
        Truth::True
    }

    /// Returns every match that counts for a question that was answered.
    pub(crate) fn counted(&self, number: usize) -> impl Iterator<Item = &WafMatch> {
        let question = self.policy.questions.get(number);
        let run = question.and_then(|question| self.runs.get(question.waf)?.as_ref());
        question
            .zip(run)
            .into_iter()
            .flat_map(move |(question, run)| run.counted(number, question, self.head))
    }

    fn is_yes(&mut self, number: usize, question: &'f Question) -> bool {
        self.ask_again(number, question);
        if self.counted(number).next().is_none() {
            return false;
        }
        question.scored.as_ref().is_none_or(|scored| {
            let total: u32 = scored.group.clone().map(|one| self.score(one)).sum();
            total >= scored.threshold
        })
    }

    /// Adds up the scores of what matches of a question: once for each field in which a signature matches.
    fn score(&mut self, number: usize) -> u32 {
        let Some(question) = self.policy.questions.get(number) else { return 0 };
        if self.run(question.waf).is_none() {
            return 0;
        }
        self.ask_again(number, question);
        let firsts = self.counted(number).filter(|found| found.link == 0);
        firsts.map(|found| question.score(found.id)).sum()
    }

    /// Inspects the request without excluded values, where only that can tell whether a match counts.
    fn ask_again(&mut self, number: usize, question: &'f Question) {
        while let Some(exclusions) = self.undecided(number, question) {
            let Some(rules) = self.policy.wafs.get(question.waf) else { return };
            let (head, kept) = (self.head, self.kept);
            let memory = self.state.memory(self.now).read_only();
            let Some(run) = self.run(question.waf) else { return };
            let saw_body = run.saw_body;
            let body = kept.filter(|_| saw_body).map(|kept| &*kept.bytes);
            let patterns: Vec<&FieldPattern> = patterns(question, &exclusions).collect();
            let emptied = Emptied::of(head, body, &patterns);
            let ids = emptied.with_head(|head| {
                let mut again = rules.begin(head, memory.clone());
                if saw_body {
                    again.body(
                        head,
                        emptied.body.as_deref().unwrap_or_default(),
                        BodyEnd::Complete,
                    );
                }
                if again.gave_up() {
                    // What could not be inspected to its end counts as it did before.
                    return question.ids.to_vec();
                }
                again.matches().iter().map(|found| found.id).collect()
            });
            run.again.push(Again { question: number, exclusions, saw_body, ids });
        }
    }

    /// Returns the exclusions that concern a match which nobody has decided yet.
    fn undecided(&self, number: usize, question: &Question) -> Option<Vec<usize>> {
        if question.exclusions.is_empty() {
            return None;
        }
        let run = self.runs.get(question.waf)?.as_ref()?;
        run.counted(number, question, self.head).find_map(|found| {
            let exclusions = concerned(question, found.id);
            let known = run.known(number, &exclusions).is_some();
            (!known && is_open(found, patterns(question, &exclusions))).then_some(exclusions)
        })
    }
}

fn concerned(question: &Question, id: u32) -> Vec<usize> {
    let concerned = question.exclusions.iter().enumerate().filter(|(_, one)| concerns(one, id));
    concerned.map(|(at, _)| at).collect()
}

fn patterns<'q>(
    question: &'q Question,
    exclusions: &'q [usize],
) -> impl Iterator<Item = &'q FieldPattern> {
    let chosen = exclusions.iter().filter_map(|at| question.exclusions.get(*at));
    chosen.flat_map(|exclusion| exclusion.fields.iter())
}
