//! From what preview rules matched to the exclusions that would clear it, and what those would let through.
//!
//! A request that passed and that a preview rule would have refused is taken for a false positive: that is what a preview
//! is for. An exclusion clears it when it leaves out all that the rule matched, alone or with others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_policy::{Policy, TracedMatch};

use crate::log::Escaped;
use crate::remedy::Field;
use crate::replay::{Entry, Recorded, RecordedMatch};
use crate::snapshot::Snapshot;
use crate::trial::attacks::{ATTACKS, Attack};
use crate::trial::{Judged, Trial};

/// Kinds of request (by what matched) that are told apart; the rest is counted.
const KINDS_MAX: usize = 10_000;
/// Targets that are shown of what an exclusion clears.
const SAMPLES_MAX: usize = 3;

/// One place that an exclusion would leave out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The preview rule.
    pub rule: u32,
    /// The preconfigured set.
    pub set: String,
    /// The kind of field.
    pub field: Field,
    /// The field's name; for the URI its path.
    pub name: String,
}

/// One exclusion, with what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Where.
    pub place: Place,
    /// For which signatures.
    pub signatures: BTreeSet<u32>,
    /// False positives that it clears, after those above it.
    pub clears: u64,
    /// Some of their targets.
    pub samples: Vec<String>,
    /// Requests of the log that the policy refused and would not refuse any more.
    pub refused_before: u64,
    /// Built-in attacks in this field that would pass.
    pub lets_through: Vec<&'static str>,
}

/// What a log gives.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// Requests that were read.
    pub requests: u64,
    /// Requests that passed and that a preview rule would have refused.
    pub false_positives: u64,
    /// Of them those that no exclusion clears, because what matched has no name.
    pub not_clearable: u64,
    /// Kinds beyond those that are told apart.
    pub beyond: u64,
    /// The exclusions, the most useful first.
    pub proposals: Vec<Proposal>,
}

/// What is gathered of a log.
#[derive(Debug, Default)]
pub struct Gathered {
    requests: u64,
    false_positives: u64,
    not_clearable: u64,
    beyond: u64,
    kinds: BTreeMap<BTreeMap<Place, BTreeSet<u32>>, Kind>,
    refused: BTreeMap<BTreeMap<Place, BTreeSet<u32>>, u64>,
}

#[derive(Debug, Default)]
struct Kind {
    count: u64,
    samples: Vec<String>,
}

impl Gathered {
    /// Adds a request of the log.
    pub fn add(&mut self, entry: &Entry) {
        self.requests += 1;
        let Some(recorded) = &entry.ours else { return };
        let path = crate::remedy::path_of(&entry.ask.target);
        if !recorded.passed {
            let by_rule = recorded.matches.iter().filter(|one| !one.preview);
            let places = places(by_rule, &path).filter(|places| !places.is_empty());
            if let Some(places) = places
                && let Some(count) = bounded(&mut self.refused, places, &mut self.beyond)
            {
                *count += 1;
            }
            return;
        }
        let previews = recorded.matches.iter().filter(|one| one.preview);
        if previews.clone().next().is_none() {
            return;
        }
        self.false_positives += 1;
        let Some(places) = places(previews, &path) else {
            self.not_clearable += 1;
            return;
        };
        if let Some(kind) = bounded(&mut self.kinds, places, &mut self.beyond) {
            kind.count += 1;
            if kind.samples.len() < SAMPLES_MAX {
                kind.samples.push(Escaped(&entry.ask.target).to_string());
            }
        }
    }

    /// Adds a request that is at hand whole, by what the configuration says of it now. One that cannot be judged counts as
    /// read only.
    pub fn add_whole(&mut self, entry: Entry, trial: &Trial<'_>) {
        let ours = recorded(&trial.judge(&entry.ask, entry.time));
        self.add(&Entry { ours, ..entry });
    }

    /// Ranks the exclusions: each time the one that clears the most that is left, alone or with those above it.
    #[must_use]
    pub fn rank(mut self, snapshot: &Snapshot) -> Tuning {
        let mut chosen: BTreeMap<Place, BTreeSet<u32>> = BTreeMap::new();
        let mut proposals = Vec::new();
        while let Some((place, signatures)) = self.best(&chosen) {
            chosen.entry(place.clone()).or_default().extend(&signatures);
            let mut proposal = Proposal {
                lets_through: lets_through(snapshot, &place, &signatures),
                place,
                signatures,
                clears: 0,
                samples: Vec::new(),
                refused_before: 0,
            };
            self.kinds.retain(|needs, kind| {
                let cleared = covers(&chosen, needs);
                if cleared {
                    proposal.clears += kind.count;
                    proposal.samples.append(&mut kind.samples);
                }
                !cleared
            });
            proposal.samples.truncate(SAMPLES_MAX);
            let own = BTreeMap::from([(proposal.place.clone(), proposal.signatures.clone())]);
            let passing = self.refused.iter().filter(|(needs, _)| covers_alike(&own, needs));
            proposal.refused_before = passing.map(|(_, count)| count).sum();
            proposals.push(proposal);
        }
        Tuning {
            requests: self.requests,
            false_positives: self.false_positives,
            not_clearable: self.not_clearable,
            beyond: self.beyond,
            proposals,
        }
    }

    /// The place that clears the most by itself, and if none does, the one that the most requests need.
    fn best(&self, chosen: &BTreeMap<Place, BTreeSet<u32>>) -> Option<(Place, BTreeSet<u32>)> {
        let mut scores: BTreeMap<&Place, (u64, u64, BTreeSet<u32>)> = BTreeMap::new();
        for (needs, kind) in &self.kinds {
            let missing: Vec<_> = needs
                .iter()
                .filter(|(place, ids)| {
                    !chosen.get(*place).is_some_and(|known| ids.is_subset(known))
                })
                .collect();
            let alone = if missing.len() == 1 { kind.count } else { 0 };
            for (place, ids) in missing {
                let (clears, wanted, all) = scores.entry(place).or_default();
                *clears += alone;
                *wanted += kind.count;
                all.extend(ids);
            }
        }
        let best = scores.into_iter().max_by_key(|(_, (clears, wanted, _))| (*clears, *wanted));
        best.map(|(place, (_, _, ids))| (place.clone(), ids))
    }
}

/// What our log would say of a request. A field whose name is no text has none that an exclusion could hold.
fn recorded(judged: &Judged) -> Option<Recorded> {
    let passed = judged.answer.passes()?;
    let trace = judged.trace.as_ref()?;
    let matched = |rule: u32| {
        trace.rules.iter().find(|one| one.priority == rule && one.result.outcome().is_some())
    };
    let one = |found: &TracedMatch| {
        let rule = matched(found.rule).filter(|_| !found.is_excluded)?;
        Some(RecordedMatch {
            rule: found.rule,
            preview: rule.preview,
            set: found.set.to_string(),
            id: found.id,
            field_type: found.field.as_str().to_owned(),
            name: String::from_utf8(found.name.clone()).unwrap_or_default(),
        })
    };
    let previews =
        trace.rules.iter().filter(|rule| rule.preview && rule.result.outcome().is_some());
    Some(Recorded {
        passed,
        rule: judged.answer.rule(),
        previews: previews.map(|rule| rule.priority).collect(),
        matches: trace.matches.iter().filter_map(one).collect(),
    })
}

fn bounded<'m, V: Default>(
    map: &'m mut BTreeMap<BTreeMap<Place, BTreeSet<u32>>, V>,
    key: BTreeMap<Place, BTreeSet<u32>>,
    beyond: &mut u64,
) -> Option<&'m mut V> {
    if !map.contains_key(&key) && map.len() >= KINDS_MAX {
        *beyond += 1;
        return None;
    }
    Some(map.entry(key).or_default())
}

/// The places of all matches; `None` where one of them has none.
fn places<'m>(
    matches: impl Iterator<Item = &'m RecordedMatch>,
    path: &str,
) -> Option<BTreeMap<Place, BTreeSet<u32>>> {
    let mut places: BTreeMap<Place, BTreeSet<u32>> = BTreeMap::new();
    for one in matches {
        let field = Field::of_match(&one.field_type)?;
        let name = if field == Field::Uri { path.to_owned() } else { one.name.clone() };
        if name.is_empty() {
            return None;
        }
        let place = Place { rule: one.rule, set: one.set.clone(), field, name };
        places.entry(place).or_default().insert(one.id);
    }
    Some(places)
}

fn covers(chosen: &BTreeMap<Place, BTreeSet<u32>>, needs: &BTreeMap<Place, BTreeSet<u32>>) -> bool {
    needs.iter().all(|(place, ids)| chosen.get(place).is_some_and(|known| ids.is_subset(known)))
}

/// The same for what an enforced rule refused: an exclusion that is copied to it would clear it.
fn covers_alike(
    own: &BTreeMap<Place, BTreeSet<u32>>,
    needs: &BTreeMap<Place, BTreeSet<u32>>,
) -> bool {
    needs.iter().all(|(place, ids)| {
        own.iter().any(|(known, known_ids)| {
            (&known.set, known.field, &known.name) == (&place.set, place.field, &place.name)
                && ids.is_subset(known_ids)
        })
    })
}

/// Built-in attacks in the field that the rule refuses (or would, out of preview), and would not with the exclusion.
fn lets_through(
    snapshot: &Snapshot,
    place: &Place,
    signatures: &BTreeSet<u32>,
) -> Vec<&'static str> {
    let owner = snapshot.definitions.iter().find(|(_, definition)| {
        definition.rules.iter().any(|rule| rule.priority == place.rule && rule.preview)
    });
    let Some(policy) = owner.and_then(|(id, _)| snapshot.policies.get(id)) else {
        return Vec::new();
    };
    ATTACKS
        .iter()
        .filter(|attack| place.set.starts_with(attack.category))
        .filter(|attack| slips_through(policy, attack, place, signatures))
        .map(|attack| attack.name)
        .collect()
}

fn slips_through(
    policy: &Arc<Policy>,
    attack: &Attack,
    place: &Place,
    signatures: &BTreeSet<u32>,
) -> bool {
    let ask = place.field.carrying(attack, "/", &place.name);
    let judged = Trial::small_of_policy(policy).traced().judge(&ask, Timestamp::from_secs(0));
    let Some(trace) = &judged.trace else { return false };
    let counted = |one: &&TracedMatch| one.rule == place.rule && !one.is_excluded;
    let mut matches = trace.matches.iter().filter(counted).peekable();
    if matches.peek().is_none() || judged.answer.passes() == Some(false) {
        return false;
    }
    matches.all(|one| {
        *one.set == *place.set
            && signatures.contains(&one.id)
            && Field::of_match(one.field.as_str()) == Some(place.field)
            && (place.field == Field::Uri || one.name.eq_ignore_ascii_case(place.name.as_bytes()))
    })
}
