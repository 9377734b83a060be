//! `evaluatePreconfiguredWaf`: which loaded rule set answers, and which of its signatures count.

use portcullis_config::Diagnostic;
use portcullis_config::armor::{Exclusion, FieldPattern, google_signatures};
use portcullis_config::expr::{SetVersion, SignatureRef, WafCall};

use std::ops::Range;

use super::Compiler;
use super::condition::Context;
use crate::verdict::EventKind;
use crate::waf::Signature;

/// A question to one rule set's run.
#[derive(Debug)]
pub(crate) struct Question {
    /// The rule set, by its number in the policy.
    pub(crate) waf: usize,
    /// The priority of the rule that asks.
    pub(crate) rule: u32,
    /// The preconfigured set that it names.
    pub(crate) set: Box<str>,
    /// The ids that count, sorted.
    pub(crate) ids: Box<[u32]>,
    /// What the rule leaves out.
    pub(crate) exclusions: Box<[QuestionExclusion]>,
    /// How a signature is named in the log: before and after its number.
    pub(crate) id_prefix: Box<str>,
    pub(crate) id_suffix: &'static str,
    /// What a match is.
    pub(crate) event: EventKind,
    /// How matches add up, where one is not enough.
    pub(crate) scored: Option<Scored>,
    /// What each id adds to a score, by id.
    scores: Box<[(u32, u32)]>,
    /// Which loaded set answers, for `check`.
    pub(crate) served: Served,
}

/// An anomaly score: the sum over all questions of the rule.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) threshold: u32,
    /// The rule's questions, by their numbers.
    pub(crate) group: Range<usize>,
}

/// Which loaded rule set answers a question, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The preconfigured set's name.
    pub set: String,
    /// The name of the rule set in the configuration.
    pub ruleset: String,
    /// How many signatures of each level 1 to 4 it holds.
    pub levels: [usize; 4],
    /// The signatures of Google's set that it has not got.
    pub missing: Vec<u32>,
    /// The signatures of the Core Rule Set that it has and Google's set has not: they refuse what Google lets pass. A set
    /// that our own rules serve has none, for all of its ids are ours.
    pub beyond: Vec<u32>,
}

/// The first id that is not one of the Core Rule Set's, which have six digits.
const CRS_IDS_END: u32 = 1_000_000;

impl Question {
    /// Returns what a match of the signature adds to a score.
    pub(crate) fn score(&self, id: u32) -> u32 {
        let found = self.scores.binary_search_by_key(&id, |(known, _)| *known).ok();
        found.and_then(|at| self.scores.get(at)).map_or(0, |(_, score)| *score)
    }
}

/// One exclusion of the question's set.
#[derive(Debug)]
pub(crate) struct QuestionExclusion {
    /// The ids, sorted; empty means all.
    pub(crate) ids: Box<[u32]>,
    pub(crate) fields: Box<[FieldPattern]>,
}

impl Question {
    /// Names a signature as the log does.
    pub(crate) fn signature(&self, id: u32) -> String {
        format!("{}{id}-{}", self.id_prefix, self.id_suffix)
    }
}

impl Compiler<'_> {
    pub(super) fn question(&mut self, call: &WafCall, at: Context<'_>) -> Option<usize> {
        let waf = self.waf(call, at)?;
        let signatures =
            self.wafs.get(waf).map(|waf| waf.signatures(&call.set)).unwrap_or_default();
        if signatures.is_empty() {
            self.nothing_served(call, at);
        }
        for wanted in call.opt_out.iter().chain(&call.opt_in) {
            self.known_signature(wanted, &signatures, call, at);
        }
        self.level_is_loaded(waf, call, at);
        let mut ids: Vec<u32> = if call.opt_in.is_empty() {
            let level = call.level();
            let out = |id: u32| call.opt_out.iter().any(|signature| signature.id == id);
            signatures.iter().filter(|s| s.level <= level && !out(s.id)).map(|s| s.id).collect()
        } else {
            call.opt_in.iter().map(|signature| signature.id).collect()
        };
        ids.sort_unstable();
        let exclusions =
            at.rule.exclusions.iter().filter(|exclusion| exclusion.set == call.set.name);
        let mut scores: Vec<(u32, u32)> = signatures.iter().map(|s| (s.id, s.score)).collect();
        scores.sort_unstable();
        let served = self.served(waf, call, &signatures);
        self.reads_body |= !at.rule.exclusions.is_empty();
        self.questions.push(Question {
            waf,
            rule: at.rule.priority,
            set: call.set.name.as_str().into(),
            ids: ids.into(),
            scored: None,
            scores: scores.into(),
            served,
            exclusions: exclusions.map(compiled).collect(),
            id_prefix: match call.set.version {
                SetVersion::Crs30 | SetVersion::Crs33 | SetVersion::Crs422 => {
                    format!("owasp-crs-{}-id", call.set.version.in_signature()).into()
                }
                SetVersion::Core => "portcullis-core-id".into(),
            },
            id_suffix: call.set.category,
            event: EventKind::of_category(call.set.category),
        });
        Some(self.questions.len() - 1)
    }

    /// Finds the rule set that serves the call best, one that has any of its signatures before one that has none, and
    /// numbers it.
    fn waf(&mut self, call: &WafCall, at: Context<'_>) -> Option<usize> {
        let best = self
            .with
            .rulesets
            .values()
            .filter_map(|waf| {
                let rank = waf.serves(&call.set)?;
                Some(((!waf.signatures(&call.set).is_empty(), rank), waf))
            })
            .max_by_key(|(rank, _)| *rank);
        let Some((_, waf)) = best else {
            let message = format!("no loaded rule set serves `{}`", call.set.name);
            let help = "declare one in the configuration: rulesets: { core: { builtin: core } } or { crs: … }";
            self.error("waf-set-not-loaded", at, call.set_span, message).help =
                Some(help.to_owned());
            return None;
        };
        let known = self.wafs.iter().position(|known| std::sync::Arc::ptr_eq(known, waf));
        Some(known.unwrap_or_else(|| {
            self.wafs.push(std::sync::Arc::clone(waf));
            self.wafs.len() - 1
        }))
    }

    fn served(&self, waf: usize, call: &WafCall, signatures: &[Signature]) -> Served {
        let count = |level: u8| signatures.iter().filter(|s| s.level == level).count();
        let has = |id: u32| signatures.iter().any(|signature| signature.id == id);
        let google: Vec<u32> = google_signatures(&call.set).map(|(id, _)| id).collect();
        let is_beyond = |id: &u32| *id < CRS_IDS_END && !google.contains(id);
        let mut beyond: Vec<u32> = signatures.iter().map(|s| s.id).filter(is_beyond).collect();
        beyond.sort_unstable();
        Served {
            set: call.set.name.clone(),
            ruleset: self.wafs.get(waf).map_or_else(String::new, |waf| waf.name().to_owned()),
            levels: [1, 2, 3, 4].map(count),
            missing: google.into_iter().filter(|id| !has(*id)).collect(),
            beyond,
        }
    }

    fn nothing_served(&mut self, call: &WafCall, at: Context<'_>) {
        let message = format!(
            "the loaded rule set has no signatures for `{}`: the call is always false",
            call.set.name
        );
        let problem =
            Diagnostic::warning("waf-set-empty", message).at(at.expression.location(call.set_span));
        self.problems.push(problem);
    }

    /// An opt-out of what is not loaded changes nothing; an opt-in of it would never match. That is told where Google has
    /// the signature, and refused where nobody has it.
    fn known_signature(
        &mut self,
        wanted: &SignatureRef,
        known: &[Signature],
        call: &WafCall,
        at: Context<'_>,
    ) {
        if known.is_empty() || known.iter().any(|signature| signature.id == wanted.id) {
            return;
        }
        let (id, set) = (wanted.id, &call.set.name);
        let is_google = google_signatures(&call.set).any(|(known, _)| known == id);
        let problem = if is_google {
            let message = format!("the loaded rule set has no signature {id} for `{set}`");
            Diagnostic::warning("waf-signature-unknown", message)
        } else {
            let message =
                format!("`{set}` has no signature {id}, on Google or in the loaded rule set");
            Diagnostic::error("waf-signature", message)
                .help("`portcullis rules ls` lists the signatures that are loaded")
        };
        self.problems.push(problem.at(at.expression.location(wanted.span)));
    }

    fn level_is_loaded(&mut self, waf: usize, call: &WafCall, at: Context<'_>) {
        let loaded = self.wafs.get(waf).map_or(0, |waf| waf.level());
        if call.level() > loaded {
            let message = format!("sensitivity {} asked, level {loaded} loaded", call.level());
            let at = at.expression.location(call.set_span);
            self.problems.push(Diagnostic::error("waf-level-not-loaded", message).at(at));
        }
    }
}

fn compiled(exclusion: &Exclusion) -> QuestionExclusion {
    let mut ids = exclusion.signatures.clone();
    ids.sort_unstable();
    QuestionExclusion { ids: ids.into(), fields: exclusion.fields.clone().into() }
}
