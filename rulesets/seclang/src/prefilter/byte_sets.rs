//! Sets of bytes of which every match of a regular expression must hold one each.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::{SETS, rarity};
use crate::byte_set::ByteSet;

/// Sets that are carried along while an expression is read.
const CARRIED_MAX: usize = 8;

/// A set that more texts meet, in thousandths, rules nothing out.
pub(super) const COMMON: u32 = 980;

/// The sets of which every match holds a byte each, the rarest first.
pub(super) fn required(hir: &Hir) -> Vec<ByteSet> {
    let mut sets = of(hir);
    sets.truncate(SETS);
    sets.retain(|set| rarity::of_set(set) < COMMON);
    sets
}

/// The bytes of a class; of a class of characters, those below 128 and, when it has others, all above.
pub(super) fn of_class(class: &Class) -> ByteSet {
    let mut set = ByteSet::EMPTY;
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                set = set.or(ByteSet::range(range.start(), range.end()));
            }
        }
        Class::Unicode(class) => {
            for range in class.ranges() {
                let end = u8::try_from(range.end()).unwrap_or(0xff);
                let end = if range.end() > '\u{7f}' { 0xff } else { end };
                match u8::try_from(range.start()) {
                    Ok(start) if start < 0x80 => set = set.or(ByteSet::range(start, end)),
                    Ok(_) | Err(_) => set = set.or(ByteSet::range(0x80, 0xff)),
                }
            }
        }
    }
    set
}

fn of(hir: &Hir) -> Vec<ByteSet> {
    let mut sets = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => {
            literal.0.iter().map(|byte| ByteSet::of(std::slice::from_ref(byte))).collect()
        }
        HirKind::Class(class) => vec![of_class(class)],
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min == 0 => Vec::new(),
        HirKind::Repetition(repetition) => of(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(of).collect(),
        HirKind::Alternation(parts) => one_of(parts.iter().map(of)),
    };
    rarest_first(&mut sets);
    sets
}

/// Of several ways: the rarest of each together, then the second rarest, as far as all have one.
pub(super) fn one_of(ways: impl Iterator<Item = Vec<ByteSet>>) -> Vec<ByteSet> {
    let mut joined: Option<Vec<ByteSet>> = None;
    for way in ways {
        joined = Some(match joined {
            None => way,
            Some(sets) => sets.into_iter().zip(way).map(|(left, right)| left.or(right)).collect(),
        });
    }
    joined.unwrap_or_default()
}

pub(super) fn rarest_first(sets: &mut Vec<ByteSet>) {
    sets.sort_by_cached_key(|set| (rarity::of_set(set), *set));
    sets.dedup();
    sets.truncate(CARRIED_MAX);
}
