//! Literals that every match of a regular expression must hold one of.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::rarity;
use super::scan::LITERAL_BYTES_MAX;

/// Strings in one set; past it a set says nothing.
const STRINGS_MAX: usize = 64;

/// Starts of strings in one set that only says what is held.
const STARTS_MAX: usize = 384;

/// Bytes of such a start.
const START_BYTES: usize = 4;

/// Bytes of a string that are kept: longer ones are cut, which only asks for less.
const STRING_BYTES_MAX: usize = 16;

/// Single bytes that a class may stand for inside a string.
const CLASS_MAX: usize = 4;

/// What is known of the matches of an expression.
struct Known {
    /// Every match is one of these strings, in lower case; nothing when there are too many.
    exact: Option<Vec<Vec<u8>>>,
    /// Every match holds one of these strings.
    held: Option<Vec<Vec<u8>>>,
}

/// Strings in lower case of which every match holds one, letter case ignored; nothing when none long
/// enough is known.
pub(super) fn required(hir: &Hir) -> Vec<Vec<u8>> {
    let known = known(hir);
    let best = better(known.exact, known.held);
    let mut strings = best.unwrap_or_default();
    let shortest = strings.iter().map(Vec::len).min().unwrap_or(0);
    if shortest < 2 {
        return Vec::new();
    }
    // A part of a literal that must be held must be held; the scan compares parts of one word.
    strings.iter_mut().for_each(|text| *text = rarity::part(text, LITERAL_BYTES_MAX));
    strings.sort();
    strings.dedup();
    strings
}

/// How much a set of strings rules out: the shorter its shortest and the more it holds, the less.
fn worth(strings: &[Vec<u8>]) -> usize {
    let shortest = strings.iter().map(Vec::len).min().unwrap_or(0);
    shortest.min(6) * 100 - strings.len().min(99)
}

fn better(left: Option<Vec<Vec<u8>>>, right: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let usable = |set: &Vec<Vec<u8>>| set.iter().all(|text| !text.is_empty()) && !set.is_empty();
    match (left.filter(usable), right.filter(usable)) {
        (Some(left), Some(right)) if worth(&left) >= worth(&right) => Some(left),
        (_, Some(right)) => Some(right),
        (left, None) => left,
    }
}

fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => exactly(vec![Vec::new()]),
        HirKind::Literal(literal) => exactly(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Repetition(repetition) => repeated(known(&repetition.sub), repetition),
        HirKind::Concat(parts) => {
            let mut run = Run::new();
            for part in parts {
                if let HirKind::Repetition(r) = part.kind()
                    && r.min >= 1
                    && r.max != Some(r.min)
                {
                    // One or more: the first follows what stands before it, the last leads on.
                    let sub = known(&r.sub);
                    run.step(copy(&sub));
                    run.hold(repeated(copy(&sub), r).held);
                    run.cut();
                    run.step(sub);
                } else {
                    run.step(known(part));
                }
            }
            run.end()
        }
        HirKind::Alternation(parts) => {
            let all: Vec<Known> = parts.iter().map(known).collect();
            let exact = union(all.iter().map(|known| known.exact.clone()));
            let held = starts(all.into_iter().map(|known| better(known.exact, known.held)));
            Known { exact, held }
        }
    }
}

/// What is known of a repetition by what is known of one round.
fn repeated(sub: Known, repetition: &Repetition) -> Known {
    match (repetition.min, repetition.max) {
        (0, Some(1)) => {
            let exact = sub.exact.and_then(|mut strings| {
                strings.push(Vec::new());
                (strings.len() <= STRINGS_MAX).then_some(strings)
            });
            Known { exact, held: None }
        }
        (0, _) => Known { exact: None, held: None },
        (1, Some(1)) => sub,
        (least, most) => {
            let mut run = Run::new();
            for _ in 0..least.min(STRING_BYTES_MAX as u32) {
                run.step(copy(&sub));
            }
            if most != Some(least) || least > STRING_BYTES_MAX as u32 {
                run.cut();
            }
            run.end()
        }
    }
}

fn copy(known: &Known) -> Known {
    Known { exact: known.exact.clone(), held: known.held.clone() }
}

fn exactly(strings: Vec<Vec<u8>>) -> Known {
    Known { exact: Some(strings), held: None }
}

fn of_class(class: &Class) -> Known {
    let set = super::byte_sets::of_class(class);
    let mut bytes: Vec<u8> = set.iter().map(|byte| byte.to_ascii_lowercase()).collect();
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() > CLASS_MAX || bytes.is_empty() {
        return Known { exact: None, held: None };
    }
    exactly(bytes.into_iter().map(|byte| vec![byte]).collect())
}

/// The union of sets of strings of which one is held; where it grows too large, only how they start.
fn starts(sets: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for set in sets {
        all.extend(set?);
    }
    all.sort();
    all.dedup();
    if all.len() > STRINGS_MAX {
        all.iter_mut().for_each(|text| text.truncate(START_BYTES));
        all.dedup();
    }
    (all.len() <= STARTS_MAX).then_some(all)
}

/// The union of sets of strings; nothing when one is unknown or it grows too large.
fn union(sets: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for set in sets {
        all.extend(set?);
        all.sort();
        all.dedup();
        if all.len() > STRINGS_MAX {
            return None;
        }
    }
    Some(all)
}

/// Parts that follow each other: strings grow while each part is exact.
struct Run {
    current: Vec<Vec<u8>>,
    whole: bool,
    best: Option<Vec<Vec<u8>>>,
}

impl Run {
    fn new() -> Self {
        Self { current: vec![Vec::new()], whole: true, best: None }
    }

    fn step(&mut self, next: Known) {
        self.hold(next.held);
        let Some(strings) = next.exact else {
            self.cut();
            return;
        };
        let long = self.current.iter().any(|text| text.len() >= STRING_BYTES_MAX);
        if long || self.current.len() * strings.len() > STRINGS_MAX {
            self.cut();
            if strings.len() > STRINGS_MAX {
                return;
            }
            self.current = strings;
            return;
        }
        let mut grown = Vec::with_capacity(self.current.len() * strings.len());
        for head in &self.current {
            for tail in &strings {
                let mut text = head.clone();
                text.extend_from_slice(tail);
                grown.push(text);
            }
        }
        self.current = grown;
    }

    fn hold(&mut self, held: Option<Vec<Vec<u8>>>) {
        self.best = better(self.best.take(), held);
    }

    /// What follows does not touch what stands: keeps the strings so far and starts anew.
    fn cut(&mut self) {
        let current = std::mem::replace(&mut self.current, vec![Vec::new()]);
        self.best = better(self.best.take(), Some(current));
        self.whole = false;
    }

    fn end(mut self) -> Known {
        if self.whole {
            return Known { exact: Some(self.current), held: self.best };
        }
        self.cut();
        Known { exact: None, held: self.best }
    }
}
