//! Sorted, disjoint ranges of one family of addresses, and where in them to begin to look.
//!
//! A bisection of a million ranges takes twenty steps, of which the last miss the cache. So the numbers between the
//! first and the last range are cut in pages of one size, and for each is known which ranges begin in it: a question
//! takes one step to its page and bisects what begins there, a few ranges where they are spread evenly, and never more
//! than there are.

use std::ops::Range;

/// Fewer ranges than this are bisected as they are: they fit in the cache.
const PAGED_MIN: usize = 256;
/// The most pages: a quarter of a megabyte for each list that has so many ranges.
const PAGES_MAX: usize = 1 << 16;

/// A number that addresses are.
pub(super) trait Bits: Ord + Copy {
    /// Returns the next number.
    fn next(self) -> Option<Self>;
    /// Returns the upper 64 bits, or all where there are fewer.
    fn high(self) -> u64;
}

impl Bits for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn high(self) -> u64 {
        self.into()
    }
}

impl Bits for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn high(self) -> u64 {
        (self >> 64) as u64
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges<T> {
    ranges: Box<[(T, T)]>,
    /// For each page the first range that begins in it or behind it, and at the end how many there are. Empty where
    /// there are few.
    pages: Box<[u32]>,
    /// The upper bits of the first range's start.
    first: u64,
    /// How many of the upper bits' lowest one page spans.
    page_bits: u32,
}

impl<T: Bits> Ranges<T> {
    /// Sorts ranges, and merges those that overlap or touch.
    pub(super) fn new(ranges: Vec<(T, T)>) -> Self {
        let ranges = merged(ranges);
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Self { ranges, pages: Box::default(), first: 0, page_bits: 0 };
        };
        let first = first.0.high();
        let span = last.0.high() - first;
        let pages_max = ranges.len().next_power_of_two().min(PAGES_MAX);
        let page_bits = (u64::BITS - span.leading_zeros()).saturating_sub(pages_max.ilog2());
        let mut made = Self { ranges, pages: Box::default(), first, page_bits };
        if made.ranges.len() >= PAGED_MIN {
            made.pages = made.paged();
        }
        made
    }

    pub(super) fn as_slice(&self) -> &[(T, T)] {
        &self.ranges
    }

    /// Whether one range holds everything from `first` to `last`: adjacent ones have been merged.
    pub(super) fn span(&self, first: T, last: T) -> bool {
        let near = self.near(first);
        let begun = self.ranges.get(near.clone()).unwrap_or_default();
        let after = near.start + begun.partition_point(|(start, _)| *start <= first);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, end)| last <= *end)
    }

    /// Returns the ranges that begin in the page of a number. All before them begin below it, all behind them above.
    fn near(&self, value: T) -> Range<usize> {
        if self.pages.is_empty() {
            return 0..self.ranges.len();
        }
        let Some(page) = self.page(value) else { return 0..0 };
        let begin = |page: usize| self.pages.get(page).map_or(self.ranges.len(), |at| *at as usize);
        begin(page)..begin(page.saturating_add(1))
    }

    /// Returns the page of a number; `None` below the first range.
    fn page(&self, value: T) -> Option<usize> {
        let above = value.high().checked_sub(self.first)?;
        Some(usize::try_from(above >> self.page_bits).unwrap_or(usize::MAX))
    }

    fn paged(&self) -> Box<[u32]> {
        let mut pages = Vec::new();
        for (at, (start, _)) in self.ranges.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let page = self.page(*start).unwrap_or_default();
            pages.resize(pages.len().max(page + 1), at);
        }
        pages.into()
    }
}

fn merged<T: Bits>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if last.1.next().is_none_or(|next| start <= next) => {
                last.1 = last.1.max(end)
            }
            Some(_) | None => out.push((start, end)),
        }
    }
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Compares every question near the ends of ranges with a look at each of those that were given.
    fn check<T: Bits + std::fmt::Debug>(
        given: &[(T, T)],
        asked: &[T],
    ) -> Result<(), TestCaseError> {
        let ranges = Ranges::new(given.to_vec());
        let ends = given.iter().flat_map(|(start, end)| [*start, *end]);
        let values: Vec<T> = ends.flat_map(|end| [Some(end), end.next()]).flatten().collect();
        for value in values.iter().chain(asked) {
            let expected = given.iter().any(|(start, end)| start <= value && value <= end);
            prop_assert_eq!(ranges.span(*value, *value), expected, "{:?}", value);
        }
        for (start, end) in given {
            prop_assert!(ranges.span(*start, *end));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn pages_answer_as_a_look_at_every_range_does(
            starts in prop::collection::vec(any::<u32>(), 1..600),
            narrow in prop::sample::select(vec![0, 8, 16, 24]),
            length in 0u32..300,
            asked in prop::collection::vec(any::<u32>(), 100),
        ) {
            let given: Vec<(u32, u32)> = starts
                .iter()
                .map(|start| (start >> narrow, (start >> narrow).saturating_add(length)))
                .collect();
            check(&given, &asked)?;
            // Two in three of the long ones share their upper half, as networks of one provider do.
            let long = |n: u32| u128::from(n) << if n.is_multiple_of(3) { 96 } else { 40 };
            let given: Vec<(u128, u128)> =
                given.iter().map(|(start, end)| (long(*start), long(*start) | u128::from(*end))).collect();
            let asked: Vec<u128> = asked.iter().map(|n| long(*n)).collect();
            check(&given, &asked)?;
        }
    }

    #[test]
    fn the_largest_numbers_have_their_page() {
        let given: Vec<(u32, u32)> =
            (0..1000).map(|n| (u32::MAX - 2 * n, u32::MAX - 2 * n)).collect();
        let ranges = Ranges::new(given);
        assert!(!ranges.pages.is_empty());
        for (value, expected) in
            [(u32::MAX, true), (u32::MAX - 1, false), (u32::MAX - 1998, true), (0, false)]
        {
            assert_eq!(ranges.span(value, value), expected, "{value}");
        }
        let spread: Vec<(u32, u32)> = (0..100_000).map(|n| (n * 42_949, n * 42_949)).collect();
        let ranges = Ranges::new(spread);
        assert!(ranges.pages.len() <= PAGES_MAX);
        assert!(ranges.span(42_949 * 77_777, 42_949 * 77_777));
    }
}
