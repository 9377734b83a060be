//! Which of several servers: by turn, by load, or by a hash that keeps to one. Pure; each has a share, 0 while it is not
//! used.

/// The fraction of the golden ratio in 64 bits: its multiples are spread evenly, so that shares come interleaved.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Takes each in its turn, in proportion to the shares.
pub(super) fn by_turn(turn: u64, shares: &[u64]) -> Option<usize> {
    let used = shares.iter().filter(|share| **share > 0);
    let total: u64 = used.clone().sum();
    let first = *used.clone().next()?;
    let point = if used.clone().all(|share| *share == first) {
        turn % (total / first) * first
    } else {
        let fraction = u128::from(turn.wrapping_mul(GOLDEN));
        u64::try_from((fraction * u128::from(total)) >> 64).unwrap_or(0)
    };
    let mut end = 0;
    shares.iter().position(|share| {
        end += share;
        point < end
    })
}

/// Takes the one with the fewest requests in work for its share; among equals, each in its turn.
pub(super) fn by_load(turn: u64, shares: &[u64], loads: impl Fn(usize) -> usize) -> Option<usize> {
    let count = shares.len().max(1);
    let start = usize::try_from(turn % count as u64).unwrap_or(0);
    let mut best: Option<(usize, u128, u64)> = None;
    for index in (0..count).map(|at| (start + at) % count) {
        let Some(share) = shares.get(index).copied().filter(|share| *share > 0) else { continue };
        let load = loads(index) as u128 + 1;
        // load / share is less: compared crosswise, without fractions.
        let is_better = best.is_none_or(|(_, best_load, best_share)| {
            load * u128::from(best_share) < best_load * u128::from(share)
        });
        if is_better {
            best = Some((index, load, share));
        }
    }
    best.map(|(index, ..)| index)
}

/// Takes the same one for the same key while it is used (rendezvous hashing): where one goes, only its keys move.
pub(super) fn by_hash(key: u64, shares: &[u64], hash_of: impl Fn(usize) -> u64) -> Option<usize> {
    let score = |(index, share): (usize, &u64)| {
        let mixed = mix(key ^ hash_of(index));
        // 53 bits are what a double holds; never 0 and never 1.
        let unit = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        (*share > 0).then(|| (index, -(*share as f64) / unit.ln()))
    };
    let best = shares.iter().enumerate().filter_map(score).max_by(|a, b| a.1.total_cmp(&b.1));
    best.map(|(index, _)| index)
}

/// Hashes bytes (FNV-1a): the same on every node and after every restart.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Spreads every bit over all of them (the finaliser of `SplitMix64`).
const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(turns: u64, shares: &[u64]) -> Vec<usize> {
        let mut counts = vec![0; shares.len()];
        for turn in 0..turns {
            counts[by_turn(turn, shares).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn equal_shares_go_round_and_unequal_ones_in_proportion() {
        let in_turn: Vec<_> = (0..6).map(|turn| by_turn(turn, &[100, 0, 100, 100])).collect();
        assert_eq!(in_turn, [0, 2, 3, 0, 2, 3].map(Some));
        assert_eq!(by_turn(7, &[0, 0]), None);
        assert_eq!(by_turn(7, &[]), None);
        for (shares, expected) in [
            (vec![300, 100], vec![750, 250]),
            (vec![100, 200, 700], vec![100, 200, 700]),
            (vec![100, 10], vec![909, 91]),
        ] {
            let counts = counted(1000, &shares);
            for (count, expected) in counts.iter().zip(&expected) {
                assert!(count.abs_diff(*expected) <= 3, "{shares:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn weights_come_interleaved_and_not_in_runs() {
        let mut run = 0;
        for turn in 0..1000 {
            run = if by_turn(turn, &[300, 100]) == Some(0) { run + 1 } else { 0 };
            assert!(run <= 5, "{run} in a row");
        }
    }

    #[test]
    fn the_least_loaded_for_its_share_is_taken() {
        for (shares, loads, expected) in [
            (&[100, 100][..], &[3, 2][..], Some(1)),
            (&[100, 0], &[9, 0], Some(0)),
            (&[300, 100], &[2, 0], Some(0)),
            (&[300, 100], &[3, 0], Some(1)),
            (&[0, 0], &[0, 0], None),
            (&[], &[], None),
        ] {
            assert_eq!(by_load(0, shares, |at| loads[at]), expected, "{shares:?} {loads:?}");
        }
        let equal: Vec<_> = (0..4).map(|turn| by_load(turn, &[100, 100], |_| 5)).collect();
        assert_eq!(equal, [0, 1, 0, 1].map(Some));
    }

    #[test]
    fn where_one_server_goes_only_its_keys_move() {
        let names: Vec<u64> = (0..5_u8).map(|at| hash(&[b'a' + at])).collect();
        let chosen = |key: u32, shares: &[u64]| {
            by_hash(hash(&key.to_be_bytes()), shares, |at| names[at]).unwrap()
        };
        let mut counts = [0_u32; 5];
        for key in 0..5000 {
            let before = chosen(key, &[100; 5]);
            counts[before] += 1;
            let after = chosen(key, &[100, 100, 0, 100, 100]);
            assert!(after == before || before == 2, "{key} moved from {before} to {after}");
            assert_ne!(after, 2);
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_hash_keeps_to_the_weights() {
        let names = [hash(b"a"), hash(b"b")];
        let first = (0..4000_u32)
            .filter(|key| by_hash(hash(&key.to_be_bytes()), &[300, 100], |at| names[at]) == Some(0))
            .count();
        assert!((2850..3150).contains(&first), "{first}");
        assert_eq!(by_hash(1, &[0, 0], |_| 0), None);
    }
}
