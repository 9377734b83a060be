use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn place(digest: u64) -> Place {
    Place { digest, tag: 1, slot_millis: 1000, count_max: 100 }
}

/// Spreads numbers as a keyed hash does.
fn digest(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[test]
fn a_window_of_bytes_is_one_line_of_cache() {
    assert_eq!(size_of::<Entry<u8>>(), 64);
    assert_eq!(size_of::<Entry<[u8; 3]>>(), 128);
}

#[test]
fn a_row_of_marks_finds_what_is_set_and_nothing_free() {
    let mut row = Row::default();
    assert_eq!(row.free(), 0xffff);
    for at in [0, 7, 15] {
        row.set(at, 200);
    }
    row.set(3, 1);
    row.set(4, 201);
    assert_eq!(row.places(200), 1 | 1 << 7 | 1 << 15);
    assert_eq!(row.places(1), 1 << 3);
    assert_eq!(row.places(201), 1 << 4);
    assert_eq!(row.places(2), 0);
    assert_eq!(row.free().count_ones(), 11);
    assert_eq!(row.taken().collect::<Vec<_>>(), [0, 3, 4, 7, 15]);
    row.set(7, 0);
    assert_eq!(row.places(200), 1 | 1 << 15);
}

proptest! {
    #[test]
    fn a_row_agrees_with_a_look_at_every_mark(
        marks in prop::array::uniform16(prop::sample::select(vec![0, 1, 2, 127, 128, 129, 254, 255])),
        mark: u8,
    ) {
        let naive = |mark: u8| -> u32 {
            marks.iter().enumerate().map(|(at, one)| u32::from(*one == mark) << at).sum()
        };
        for mark in [mark, 0, 1, 127, 128, 255] {
            prop_assert_eq!(Row(marks).places(mark), naive(mark));
        }
    }

    /// Against one window for each key in a map: while there is room nothing is lost, found twice or confused.
    #[test]
    fn the_table_agrees_with_a_map_of_windows(
        steps in prop::collection::vec((0u8..20, 0u64..300, 0u64..4000), 1..600),
    ) {
        let mut table = Table::<u8>::new(2_000);
        let mut map: HashMap<u64, Ring<u8>> = HashMap::new();
        let mut now = NOW;
        for (action, number, millis) in steps {
            now = now.plus(Duration::from_millis(millis));
            let place = Place { tag: number as u32 % 3, count_max: 3, ..place(digest(number)) };
            let slot = place.slot(now);
            match action {
                0 => {
                    table.forget(place.digest);
                    map.remove(&place.digest);
                }
                1 => {
                    prop_assert_eq!(table.sweep(now), 0);
                    map.retain(|_, ring| ring.empty_at() > slot);
                }
                2 => {
                    let mut moved = Table::<u8>::new(2_000);
                    let mut written = Vec::new();
                    table.write_entries(&mut written, now);
                    let mut left = written.as_slice();
                    while let Some([width]) = taken(&mut left) {
                        prop_assert_eq!(width, 1);
                        prop_assert!(moved.read_entry(&mut left, now).is_some());
                    }
                    table = moved;
                    map.retain(|_, ring| ring.empty_at() > slot);
                }
                _ => {
                    let at = table.find(place.digest);
                    prop_assert_eq!(at.is_some(), map.contains_key(&place.digest));
                    let at = at.unwrap_or_else(|| table.insert(&place, now).0);
                    let ring = map.entry(place.digest).or_insert_with(|| Ring::new(slot));
                    ring.advance(slot);
                    let expected = if ring.sum() < place.count_max {
                        ring.add(place.count_max);
                        Counted::Added(ring.sum())
                    } else {
                        Counted::Full(ring.slot_when_at_most(place.count_max - 1))
                    };
                    prop_assert_eq!(table.count(at, &place, now), expected);
                }
            }
            prop_assert_eq!(table.len(), map.len());
        }
        for number in 0..300 {
            let place = place(digest(number));
            let expected = map.get(&place.digest).map_or(0, |ring| {
                let mut ring = *ring;
                ring.advance(place.slot(now));
                ring.sum()
            });
            prop_assert_eq!(table.read(&place, now), expected);
        }
    }
}

#[test]
fn as_many_as_were_asked_for_fit_and_almost_none_goes_before() {
    let mut table = Table::<u8>::new(10_000);
    let mut gone = 0;
    for number in 0..10_000 {
        let place = place(digest(number));
        assert!(table.find(place.digest).is_none());
        let (at, mattered) = table.insert(&place, NOW);
        assert_eq!(table.count(at, &place, NOW), Counted::Added(1));
        gone += usize::try_from(mattered).unwrap();
    }
    assert_eq!(table.len() + gone, 10_000);
    assert!(gone < 5, "{gone}");
    let found: Vec<_> = (0..10_000).filter_map(|n| Some((n, table.find(digest(n))?.0))).collect();
    assert_eq!(found.len(), table.len());
    let at_favourite = found.iter().filter(|(n, at)| at % GROUP == favourite(digest(*n))).count();
    assert!(at_favourite > 5_500, "{at_favourite}");
    assert!(table.entries.len() <= 10_000 * 6 / 5 + GROUP);
}

#[test]
fn what_is_forgotten_is_gone_and_the_rest_stays() {
    let mut table = Table::<[u8; 3]>::new(2000);
    for number in 0..1000 {
        table.insert(&Place { tag: number as u32 % 2, ..place(digest(number)) }, NOW);
    }
    table.forget(digest(1));
    assert!(table.find(digest(1)).is_none());
    let before = table.len();
    let gone = table.retain_tags(|tag| tag == 0);
    assert_eq!(table.len(), before - gone);
    assert!((0..1000).step_by(2).all(|number| table.find(digest(number)).is_some()));
    assert_eq!(table.sweep(Timestamp::from_secs(1_800_000_100)), 0);
    assert_eq!(table.len(), 0);
    assert!(table.entries.len() <= GROUP, "memory is given back");
}
