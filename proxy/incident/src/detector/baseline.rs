//! What a group usually does in a minute: a smoothed mean that follows slowly, learns nothing from what is too much, and
//! never rises above a ceiling, so that nobody teaches it a flood.

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_config::Timestamp;

use super::scenario::Baseline;

/// Counts of one window that are kept apart; what comes faster is added to the last.
const COUNTS_MAX: usize = 128;

#[derive(Debug)]
pub(super) struct Level {
    counts: VecDeque<(Timestamp, u64)>,
    length: Duration,
    /// Events a minute.
    mean: f64,
    first: Timestamp,
    last: Timestamp,
}

impl Level {
    pub(super) fn new(length: Duration, now: Timestamp) -> Self {
        Self { counts: VecDeque::new(), length, mean: 0.0, first: now, last: now }
    }

    /// Counts events, none among them. Returns how many the window holds where that is far more than usual.
    pub(super) fn observe(&mut self, count: u64, usual: &Baseline, now: Timestamp) -> Option<u64> {
        let held = self.hold(count, now);
        let rate = as_rate(held) * 60.0 / self.length.as_secs_f64();
        let ceiling = as_rate(usual.ceiling);
        let age = now.since(self.first);
        let mean = if age < usual.learn { ceiling } else { self.mean };
        let most = (mean * f64::from(usual.factor)).max(as_rate(usual.floor));
        let elapsed = now.since(self.last);
        self.last = now;
        if rate > most {
            return Some(held);
        }
        self.learn(rate.min(ceiling), elapsed, age, usual.learn);
        None
    }

    /// Adds a count, and returns what the window holds: to the moment, as a rate has to be.
    fn hold(&mut self, count: u64, now: Timestamp) -> u64 {
        while self.counts.front().is_some_and(|(at, _)| now.since(*at) >= self.length) {
            self.counts.pop_front();
        }
        let is_full = self.counts.len() >= COUNTS_MAX;
        match self.counts.back_mut() {
            Some((_, last)) if is_full => *last = last.saturating_add(count),
            Some(_) | None => self.counts.push_back((now, count)),
        }
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Moves the mean: over everything that was seen while that is little, and then by what the time that has passed is
    /// worth.
    fn learn(&mut self, rate: f64, elapsed: Duration, age: Duration, learn: Duration) {
        let by_age = elapsed.as_secs_f64() / age.as_secs_f64().max(1.0);
        let by_time = 1.0 - (-elapsed.as_secs_f64() / learn.as_secs_f64()).exp();
        self.mean += (rate - self.mean) * by_age.max(by_time).clamp(0.0, 1.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of requests is far below 2^52")]
const fn as_rate(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Baseline =
        Baseline { factor: 5, floor: 600, ceiling: 6000, learn: Duration::from_secs(3600) };

    /// Counts `rate` events a minute for so many minutes, in steps of ten seconds, and says how often it was too much.
    fn run(level: &mut Level, clock: &mut u64, minutes: u64, rate: u64) -> usize {
        let mut too_much = 0;
        for _ in 0..minutes * 6 {
            *clock += 10;
            let now = Timestamp::from_secs(*clock);
            too_much += usize::from(level.observe(rate / 6, &USUAL, now).is_some());
        }
        too_much
    }

    fn watched(rate: u64) -> (Level, u64) {
        let mut clock = 1_800_000_000;
        let mut level = Level::new(Duration::from_secs(60), Timestamp::from_secs(clock));
        assert_eq!(run(&mut level, &mut clock, 120, rate), 0);
        (level, clock)
    }

    #[test]
    fn five_times_the_usual_is_too_much_and_four_times_is_a_good_day() {
        let (mut level, mut clock) = watched(600);
        assert_eq!(run(&mut level, &mut clock, 10, 2400), 0);
        let (mut level, mut clock) = watched(600);
        assert!(run(&mut level, &mut clock, 3, 3600) > 0);
    }

    #[test]
    fn below_the_floor_nothing_is_too_much() {
        let (mut level, mut clock) = watched(6);
        assert_eq!(run(&mut level, &mut clock, 60, 590), 0);
        let (mut level, mut clock) = watched(6);
        assert!(run(&mut level, &mut clock, 3, 660) > 0);
    }

    #[test]
    fn a_flood_is_not_learnt_and_is_too_much_for_as_long_as_it_lasts() {
        let (mut level, mut clock) = watched(600);
        run(&mut level, &mut clock, 2, 60_000);
        assert_eq!(run(&mut level, &mut clock, 24 * 60, 60_000), 24 * 60 * 6);
    }

    #[test]
    fn a_slow_ramp_ends_at_the_ceiling() {
        let (mut level, mut clock) = watched(600);
        let mut rate = 600;
        let mut told_at = None;
        for _ in 0..2000 {
            rate += rate / 50 + 1;
            if run(&mut level, &mut clock, 30, rate) > 0 {
                told_at = Some(rate);
                break;
            }
        }
        let told_at = told_at.expect("it is noticed");
        assert!(level.mean <= 6000.0, "{}", level.mean);
        assert!(told_at <= 31_000, "{told_at}: no more than the factor above the ceiling");
    }

    #[test]
    fn before_it_has_learnt_the_ceiling_is_the_usual() {
        let mut clock = 1_800_000_000;
        let mut level = Level::new(Duration::from_secs(60), Timestamp::from_secs(clock));
        assert_eq!(run(&mut level, &mut clock, 10, 29_994), 0);
        let mut level = Level::new(Duration::from_secs(60), Timestamp::from_secs(clock));
        assert!(run(&mut level, &mut clock, 10, 36_000) > 0);
    }

    #[test]
    fn the_usual_falls_again() {
        let (mut level, mut clock) = watched(3000);
        run(&mut level, &mut clock, 12 * 60, 60);
        assert!(level.mean < 100.0, "{}", level.mean);
    }
}
