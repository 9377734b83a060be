//! The one state machine: a session is live until its lease runs out, it is released or it is revoked. No way leads
//! back.
//!
//! ```text
//!              heartbeat, re-acquire
//!                  ┌───────┐
//!                  ▼       │
//!  acquire ──▶ ┌──────────────┐ ── release ──▶ released
//!              │     live     │ ── revoke ───▶ revoked
//!              └──────────────┘ ── now ≥ expires_at ──▶ expired
//! ```

use super::denial::{Denial, Ending};
use super::license::{LeaseTerms, Leasing};
use super::names::{HardwareId, SubjectId};
use crate::clock::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A session: one subject on one machine, holding a seat or sharing one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) license: Uuid,
    pub(crate) subject: String,
    pub(crate) hardware: String,
    pub(crate) user_email: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Fencing epoch: greater than that of every lease granted earlier on the same license.
    pub(crate) epoch: i64,
    pub(crate) started_at: Timestamp,
    pub(crate) last_heartbeat_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ended: Option<Ending>,
    /// Until when the session was taken offline, if it was.
    pub(crate) borrowed_until: Option<Timestamp>,
}

impl Session {
    /// Says how the session stands at `now`: `None` is live.
    pub(crate) fn ending(&self, now: Timestamp) -> Option<Ending> {
        self.ended.or_else(|| (now >= self.expires_at).then_some(Ending::Expired))
    }

    /// Extends a live session; an ended one never comes back.
    pub(crate) fn renew(&mut self, terms: LeaseTerms, now: Timestamp) -> Result<(), Denial> {
        if let Some(ending) = self.ending(now) {
            self.ended = Some(ending);
            return Err(Denial::SessionEnded(ending));
        }
        self.last_heartbeat_at = now;
        self.expires_at = self.expires_at.max(lease_end(self.started_at, terms, now));
        Ok(())
    }

    /// Ends a live session; what ended before stays as it ended.
    pub(crate) fn end(&mut self, how: Ending, now: Timestamp) {
        self.ended = Some(self.ending(now).unwrap_or(how));
    }
}

/// Returns when a lease granted or renewed at `now` ends, under the cap on the session's age.
pub(crate) fn lease_end(started_at: Timestamp, terms: LeaseTerms, now: Timestamp) -> Timestamp {
    now.plus(terms.ttl).min(started_at.plus(terms.age_max))
}

/// Returns the name under which a seat is counted: sessions with one holder share one seat.
pub(crate) fn holder(leasing: Leasing, hardware: &HardwareId, subject: &SubjectId) -> String {
    match leasing {
        Leasing::PerMachine => format!("machine:{hardware}"),
        Leasing::PerUser => format!("user:{subject}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, LeaseTerms, Session, Timestamp, Uuid};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const TERMS: LeaseTerms =
        LeaseTerms { ttl: Duration::from_secs(360), age_max: Duration::from_secs(3600) };

    fn session(start: u64) -> Session {
        Session {
            id: Uuid::nil(),
            license: Uuid::nil(),
            subject: "s".into(),
            hardware: "h".into(),
            user_email: None,
            metadata: BTreeMap::new(),
            epoch: 1,
            started_at: Timestamp::from_millis(start),
            last_heartbeat_at: Timestamp::from_millis(start),
            expires_at: Timestamp::from_millis(start + 360_000),
            ended: None,
            borrowed_until: None,
        }
    }

    #[test]
    fn a_lease_ends_at_its_last_millisecond_and_not_before() {
        for (at, alive) in [(359_999, true), (360_000, false), (360_001, false)] {
            assert_eq!(session(0).renew(TERMS, Timestamp::from_millis(at)).is_ok(), alive, "{at}");
        }
    }

    #[test]
    fn heartbeats_do_not_carry_a_session_past_its_greatest_age() {
        let mut held = session(0);
        for beat in 1..20 {
            let now = Timestamp::from_millis(beat * 180_000);
            let alive = held.renew(TERMS, now).is_ok();
            assert_eq!(alive, beat * 180_000 < 3_600_000, "{beat}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Renew,
        Release,
        Revoke,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u64..500_000).prop_map(Step::Wait),
            Just(Step::Renew),
            Just(Step::Release),
            Just(Step::Revoke)
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn an_ended_session_never_comes_back(steps in steps()) {
            let (mut held, mut now) = (session(0), Timestamp::default());
            let mut ended: Option<Ending> = None;
            for step in steps {
                match step {
                    Step::Wait(by) => now = now.plus(Duration::from_millis(by)),
                    Step::Renew => {
                        let renewed = held.renew(TERMS, now).is_ok();
                        prop_assert!(!(renewed && ended.is_some()));
                    }
                    Step::Release => held.end(Ending::Released, now),
                    Step::Revoke => held.end(Ending::Revoked, now),
                }
                if let Some(before) = ended {
                    prop_assert_eq!(held.ending(now), Some(before));
                }
                ended = held.ending(now);
                prop_assert!(held.expires_at <= Timestamp::default().plus(TERMS.age_max));
            }
        }
    }
}
