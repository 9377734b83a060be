//! Bounds what the process says about itself: warnings and errors from one place in the code come ten at once and then one
//! a second, so that strangers who cause them fill neither the disk nor the time of a worker. The metrics count everything.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place at once.
const AT_ONCE: u32 = 10;
/// The time after which one more may come.
const STEP: Duration = Duration::from_secs(1);
/// Places that are told apart; they are in the code, so there are no more of them than that. Further ones share a place.
const PLACES_MAX: usize = 1024;

/// Lines that were left out since the start.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Returns how many lines were left out since the start.
pub(crate) fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Lets warnings and errors through at a bounded rate, and everything else.
#[derive(Debug, Default)]
pub(crate) struct Restraint {
    /// When the lines of each place would have come, had they kept the rate.
    due: Mutex<HashMap<u64, Instant>>,
}

impl Restraint {
    fn lets_through(&self, place: u64, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let is_told_apart = due.len() < PLACES_MAX || due.contains_key(&place);
        let due = due.entry(if is_told_apart { place } else { 0 }).or_insert(now);
        if *due > now + STEP * (AT_ONCE - 1) {
            return false;
        }
        *due = (*due).max(now) + STEP;
        true
    }
}

impl<S: Subscriber> Filter<S> for Restraint {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let passes = self.lets_through(place(event), Instant::now());
        LEFT_OUT.fetch_add(u64::from(!passes), Ordering::Relaxed);
        passes
    }
}

/// Where in the code an event comes from. What libraries say by the crate `log` has one place for all, and tells where it
/// is from in fields.
fn place(event: &Event<'_>) -> u64 {
    let mut place = Place(DefaultHasher::new());
    let metadata = event.metadata();
    (metadata.target(), metadata.file(), metadata.line()).hash(&mut place.0);
    event.record(&mut place);
    place.0.finish()
}

struct Place(DefaultHasher);

impl Visit for Place {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name().starts_with("log.") {
            value.hash(&mut self.0);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            value.hash(&mut self.0);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn lines_of_one_place_come_ten_at_once_and_then_one_a_second() {
        let (restraint, begin) = (Restraint::default(), Instant::now());
        let passed =
            |place, count, now| (0..count).filter(|_| restraint.lets_through(place, now)).count();
        assert_eq!(passed(1, 9, begin), 9, "one under");
        assert_eq!(passed(1, 1, begin), 1, "at it");
        assert_eq!(passed(1, 1000, begin), 0, "one over");
        assert_eq!(passed(2, 10, begin), 10, "another place");
        let later = begin + STEP;
        assert_eq!(passed(1, 1000, later), 1);
        assert_eq!(passed(1, 1000, later + STEP * 100), 10);
    }

    /// Where the lines of a test go.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn warnings_are_left_out_and_counted_and_words_of_operators_are_not() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || written.clone())
            .with_filter(Restraint::default());
        let before = left_out();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..100 {
                tracing::warn!(n, "a stranger did it");
                tracing::error!(n, "the disk is full");
                tracing::info!(n, "an operator did it");
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let count = |what| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("stranger"), count("disk"), count("operator")), (10, 10, 100));
        assert!(left_out() - before >= 180);
    }

    #[test]
    fn places_are_told_apart_up_to_a_number() {
        let (restraint, now) = (Restraint::default(), Instant::now());
        for place in 1..=3000 {
            restraint.lets_through(place, now);
        }
        assert!(restraint.due.lock().unwrap().len() <= PLACES_MAX + 1);
    }
}
