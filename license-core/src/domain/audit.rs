//! The audit chain of a tenant: each event's hash covers the event and the hash before it, so that an edit, a
//! deletion or a reordering breaks it at its place, and a truncation against any head that was noted down before.

mod veil;

pub(crate) use veil::{ERASED_ACTOR, ERASED_DETAIL, Veil};

use aws_lc_rs::digest::{SHA256, digest};
use std::fmt;
use std::str::FromStr;

/// An event as it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) actor: String,
    pub(crate) license: Option<String>,
    pub(crate) session: Option<String>,
    /// JSON, as the database wrote it.
    pub(crate) detail: String,
    /// The commitment to actor and details; `None` in events that were linked before there were any.
    pub(crate) veil: Option<Veil>,
}

/// An event in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Linked {
    pub(crate) event: Event,
    pub(crate) head: Head,
}

/// The chain up to a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) position: i64,
    pub(crate) hash: [u8; 32],
}

impl Head {
    /// The chain of no event.
    pub(crate) const START: Self = Self { position: 0, hash: [0; 32] };

    /// Returns the chain with one event more.
    pub(crate) fn then(self, tenant: &str, event: &Event) -> Self {
        let position = self.position.saturating_add(1);
        let text = match &event.veil {
            Some(veil) => self.veiled(tenant, event, veil),
            None => self.plain(tenant, event),
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(
            digest(&SHA256, &[self.hash.as_slice(), text.as_bytes()].concat()).as_ref(),
        );
        Self { position, hash }
    }

    fn veiled(self, tenant: &str, event: &Event, veil: &Veil) -> String {
        let commitment: String = veil.commitment.iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!([
            "license-core audit 2",
            tenant,
            self.position.saturating_add(1),
            event.at,
            event.kind,
            event.license,
            event.session,
            commitment
        ])
        .to_string()
    }

    fn plain(self, tenant: &str, event: &Event) -> String {
        serde_json::json!([
            "license-core audit 1",
            tenant,
            self.position.saturating_add(1),
            event.at,
            event.kind,
            event.actor,
            event.license,
            event.session,
            event.detail
        ])
        .to_string()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.position)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (position, digits) = text.split_once(':').ok_or(NoHead)?;
        let position = position.parse().map_err(|_| NoHead)?;
        let mut hash = [0; 32];
        let digits = digits.as_bytes();
        if digits.len() != 64 {
            return Err(NoHead);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| NoHead)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoHead)?;
        }
        Ok(Self { position, hash })
    }
}

/// A text that names no head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a head is written as its position, a colon and 64 hexadecimal digits")]
pub(crate) struct NoHead;

/// Where a chain does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The next position is missing: events were deleted.
    #[error("position {0} is missing")]
    Missing(i64),
    /// The event at this position is not the one that was linked.
    #[error("the event at position {0} was changed, moved or put in")]
    Changed(i64),
    /// The chain ends before the head that was noted down, or never had it.
    #[error("the head noted at position {0} is not in the chain: it was cut off or rewritten")]
    NotReached(i64),
}

/// Walks a chain, page by page.
#[derive(Debug)]
pub(crate) struct Walk {
    head: Head,
    /// Heads that the chain must pass through, the nearest last.
    noted: Vec<Head>,
}

impl Walk {
    /// Starts after a head that is taken for good; the chain must pass through every head that was `noted` down.
    pub(crate) fn from(head: Head, noted: impl IntoIterator<Item = Head>) -> Self {
        let mut noted: Vec<Head> =
            noted.into_iter().filter(|noted| *noted != Head::START).collect();
        noted.sort_by_key(|noted| std::cmp::Reverse(noted.position));
        noted.dedup();
        Self { head, noted }
    }

    /// Takes the next event.
    pub(crate) fn step(&mut self, tenant: &str, linked: &Linked) -> Result<(), Broken> {
        let next = self.head.then(tenant, &linked.event);
        if linked.head.position != next.position {
            return Err(Broken::Missing(next.position));
        }
        let is_covered = linked.event.veil.as_ref().is_none_or(|veil| veil.covers(&linked.event));
        if linked.head.hash != next.hash || !is_covered {
            return Err(Broken::Changed(next.position));
        }
        self.head = next;
        while let Some(noted) = self.noted.pop_if(|noted| noted.position <= next.position) {
            if noted != next {
                return Err(Broken::NotReached(noted.position));
            }
        }
        Ok(())
    }

    /// Returns the head, when every noted one was passed.
    pub(crate) fn end(self) -> Result<Head, Broken> {
        match self.noted.last() {
            Some(noted) => Err(Broken::NotReached(noted.position)),
            None => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Event, Head, Linked, Veil, Walk};

    fn chain(events: usize) -> Vec<Linked> {
        let mut head = Head::START;
        (0..events)
            .map(|number| {
                let event = Event {
                    id: 0,
                    at: i64::try_from(number).unwrap(),
                    kind: "seat.acquired".into(),
                    actor: "anna".into(),
                    license: Some("l".into()),
                    session: None,
                    detail: "{}".into(),
                    veil: (number % 2 == 0).then(|| Veil::over("anna", "{}").unwrap()),
                };
                head = head.then("acme", &event);
                Linked { event, head }
            })
            .collect()
    }

    fn walk(chain: &[Linked], noted: Option<Head>) -> Result<Head, Broken> {
        let mut walk = Walk::from(Head::START, noted);
        chain.iter().try_for_each(|linked| walk.step("acme", linked))?;
        walk.end()
    }

    #[test]
    fn each_kind_of_tampering_is_found_at_its_place() {
        let good = chain(10);
        let head = good[9].head;
        assert_eq!(walk(&good, Some(head)), Ok(head));
        assert_eq!(walk(&good, Some(good[4].head)), Ok(head));
        assert_eq!(walk(&[], None), Ok(Head::START));

        let mut edited = good.clone();
        edited[3].event.actor = "ben".into();
        assert_eq!(walk(&edited, None), Err(Broken::Changed(4)));
        let mut deleted = good.clone();
        deleted.remove(5);
        assert_eq!(walk(&deleted, None), Err(Broken::Missing(6)));
        let mut closed_up = deleted.clone();
        closed_up[5].head.position = 6;
        assert_eq!(walk(&closed_up, None), Err(Broken::Changed(6)));
        let mut swapped = good.clone();
        let (one, other) = (swapped[1].event.clone(), swapped[2].event.clone());
        (swapped[1].event, swapped[2].event) = (other, one);
        assert_eq!(walk(&swapped, None), Err(Broken::Changed(2)));
        let cut = &good[..7];
        assert_eq!(walk(cut, Some(head)), Err(Broken::NotReached(10)));
        let mut rewritten = good.clone();
        rewritten[9] = {
            let mut event = good[9].event.clone();
            event.actor = "ben".into();
            let head = good[8].head.then("acme", &event);
            Linked { event, head }
        };
        assert_eq!(walk(&rewritten, Some(head)), Err(Broken::NotReached(10)));
        assert!(walk(&rewritten, None).is_ok(), "only a head noted elsewhere tells this");
    }

    #[test]
    fn a_person_that_was_erased_breaks_nothing_and_a_lie_in_its_place_does() {
        let good = chain(10);
        let head = good[9].head;
        let mut erased = good.clone();
        for linked in erased.iter_mut().filter(|linked| linked.event.veil.is_some()) {
            (linked.event.actor, linked.event.detail) = ("erased".into(), "{}".into());
            linked.event.veil.as_mut().unwrap().salt = None;
        }
        assert_eq!(walk(&erased, Some(head)), Ok(head));
        let mut lie = erased.clone();
        lie[4].event.actor = "ben".into();
        assert_eq!(walk(&lie, None), Err(Broken::Changed(5)));
        // Veiled and in the clear alike: who changes a name, or erases where there is no commitment, is found.
        for place in [4, 5] {
            let mut edited = good.clone();
            edited[place].event.actor = "erased".into();
            assert_eq!(
                walk(&edited, None),
                Err(Broken::Changed(i64::try_from(place).unwrap() + 1))
            );
            let mut unveiled = good.clone();
            unveiled[place].event.veil = match &good[place].event.veil {
                Some(_) => None,
                None => Some(Veil::over("anna", "{}").unwrap()),
            };
            assert!(walk(&unveiled, None).is_err());
        }
    }

    #[test]
    fn another_tenants_chain_does_not_pass() {
        let mut walk = Walk::from(Head::START, None);
        assert_eq!(walk.step("other", &chain(1)[0]), Err(Broken::Changed(1)));
    }

    #[test]
    fn a_head_reads_back_as_written() {
        let head = chain(3)[2].head;
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "1", "1:", "x:00", "1:zz", &format!("1:{}", "é".repeat(32))] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }
}
