//! The signing keys in the order of their generations, and what each is at a moment. Pure.

use super::algorithm::Use;
use crate::clock::Timestamp;
use crate::store::SealedKey;
use serde_json::Value;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// How long a key signs.
const SIGNS: Duration = Duration::from_secs(90 * 86_400);
/// How long a key is published before it signs: longer than anyone caches the key set.
const PUBLISHED_AHEAD: Duration = DAY;
/// How long a key verifies after its successor took over: longer than a session may last.
const VERIFIES_ON: Duration = Duration::from_secs(8 * 86_400);

/// What a key is at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyState {
    /// Published, not signing yet.
    Pending,
    /// Signs.
    Active,
    /// Signed before; verifies still.
    VerifyOnly,
    /// Is over.
    Retired,
    /// Was ended before its time; nothing that it signed is believed.
    Revoked,
}

impl KeyState {
    /// Returns the word that operators read.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::VerifyOnly => "verify_only",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// Where a key lives, as seen from the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Home {
    /// Where new keys are made.
    Here,
    /// Where keys were made before, or of an algorithm from before; it signs on until its successor takes over.
    Elsewhere,
    /// Nowhere that the settings name: it cannot sign.
    Lost,
}

/// The signing keys of one use.
#[derive(Default, Debug)]
pub(crate) struct Ring {
    keys: Vec<SealedKey>,
}

impl Ring {
    /// Takes the keys of one use.
    pub(crate) fn of(usage: Use, keys: &[SealedKey]) -> Self {
        Self::new(keys.iter().filter(|key| key.usage == usage).cloned().collect())
    }

    /// Says whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes keys.
    pub(crate) fn new(mut keys: Vec<SealedKey>) -> Self {
        keys.sort_by_key(|key| (key.active_at, key.generation));
        Self { keys }
    }

    /// Returns the keys with their states, oldest first.
    pub(crate) fn states(&self, now: Timestamp) -> impl Iterator<Item = (&SealedKey, KeyState)> {
        self.keys.iter().map(move |key| (key, self.state(key, now)))
    }

    fn state(&self, key: &SealedKey, now: Timestamp) -> KeyState {
        if key.revoked_at.is_some() {
            return KeyState::Revoked;
        }
        if now < key.active_at {
            return KeyState::Pending;
        }
        let later = |other: &&SealedKey| {
            (other.active_at, other.generation) > (key.active_at, key.generation)
        };
        let successor = self
            .keys
            .iter()
            .filter(|other| other.revoked_at.is_none() && now >= other.active_at)
            .find(later);
        match successor {
            None => KeyState::Active,
            Some(successor) if now.since(successor.active_at) < VERIFIES_ON => KeyState::VerifyOnly,
            Some(_) => KeyState::Retired,
        }
    }

    /// Returns the time in which a key signs, as far as it is known at `now`.
    pub(crate) fn signs_between(&self, key: &SealedKey, now: Timestamp) -> (Timestamp, Timestamp) {
        let ends =
            |other: &&SealedKey| other.active_at > key.active_at && other.revoked_at.is_none();
        let end = self.keys.iter().filter(ends).map(|other| other.active_at).min();
        (key.active_at, end.unwrap_or(now).min(now).plus(Duration::from_millis(1)))
    }

    /// Returns the key that signs.
    pub(crate) fn active(&self, now: Timestamp) -> Option<&SealedKey> {
        self.states(now).find(|(_, state)| *state == KeyState::Active).map(|(key, _)| key)
    }

    /// Returns when a key signs that is published now.
    pub(crate) fn follows_at(now: Timestamp) -> Timestamp {
        now.plus(PUBLISHED_AHEAD)
    }

    /// Says whether a key must be made now, and when it is to sign: at once when none signs, or a day ahead of the end
    /// of the present one, which has come too when that one is not where the settings want keys to live.
    pub(crate) fn next_due(
        &self,
        now: Timestamp,
        home: impl Fn(&SealedKey) -> Home,
    ) -> Option<Timestamp> {
        let follows = |(key, state): (&SealedKey, KeyState)| {
            state == KeyState::Pending && home(key) == Home::Here
        };
        match self.active(now).map(|key| (key, home(key))) {
            None | Some((_, Home::Lost)) => Some(now),
            Some(_) if self.states(now).any(follows) => None,
            Some((key, home)) => {
                let is_old = now.plus(PUBLISHED_AHEAD) >= key.active_at.plus(SIGNS);
                (is_old || home == Home::Elsewhere).then(|| Self::follows_at(now))
            }
        }
    }

    /// Returns every public key that was not revoked, retired ones too: what they signed was so when it was signed.
    pub(crate) fn history(&self) -> Vec<Value> {
        let good = self.keys.iter().filter(|key| key.revoked_at.is_none());
        good.map(|key| key.algorithm.jwk(&key.public, &key.kid)).collect()
    }

    /// Returns the public keys that anyone should know at `now`.
    pub(crate) fn jwks(&self, now: Timestamp) -> Vec<Value> {
        let shown = self.states(now).filter(|(_, state)| match state {
            KeyState::Pending | KeyState::Active | KeyState::VerifyOnly => true,
            KeyState::Retired | KeyState::Revoked => false,
        });
        shown.map(|(key, _)| key.algorithm.jwk(&key.public, &key.kid)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, Home, KeyState, PUBLISHED_AHEAD, Ring, SIGNS, VERIFIES_ON};
    use crate::clock::Timestamp;
    use crate::signing::algorithm::{Algorithm, Use};
    use crate::store::SealedKey;

    fn key(generation: i64, active_at: Timestamp) -> SealedKey {
        SealedKey {
            generation,
            algorithm: Algorithm::EdDsa,
            usage: Use::Receipts,
            kid: format!("k{generation}"),
            public: vec![],
            sealed: vec![],
            created_at: active_at,
            active_at,
            revoked_at: None,
        }
    }

    fn here(_: &SealedKey) -> Home {
        Home::Here
    }

    fn states(ring: &Ring, now: Timestamp) -> Vec<KeyState> {
        ring.states(now).map(|(_, state)| state).collect()
    }

    #[test]
    fn keys_follow_one_another_for_a_year_without_a_gap() {
        let mut keys = vec![];
        let mut now = Timestamp::from_millis(1_800_000_000_000);
        for _ in 0..365 * 24 {
            if let Some(active_at) = Ring::new(keys.clone()).next_due(now, here) {
                assert!(keys.is_empty() || active_at == now.plus(PUBLISHED_AHEAD));
                keys.push(key(i64::try_from(keys.len()).unwrap(), active_at));
            }
            let ring = Ring::new(keys.clone());
            let active =
                states(&ring, now).iter().filter(|state| **state == KeyState::Active).count();
            assert_eq!(active, 1);
            assert!(now.since(ring.active(now).unwrap().active_at) <= SIGNS);
            now = now.plus(DAY / 24);
        }
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn a_key_verifies_for_eight_days_after_its_successor_took_over() {
        let start = Timestamp::from_millis(0);
        let takeover = start.plus(SIGNS);
        let ring = Ring::new(vec![key(1, start), key(2, takeover)]);
        let before = Timestamp::from_millis(takeover.as_millis() - 1);
        assert_eq!(states(&ring, before), [KeyState::Active, KeyState::Pending]);
        assert_eq!(states(&ring, takeover), [KeyState::VerifyOnly, KeyState::Active]);
        let last = Timestamp::from_millis(takeover.plus(VERIFIES_ON).as_millis() - 1);
        assert_eq!(states(&ring, last), [KeyState::VerifyOnly, KeyState::Active]);
        assert_eq!(
            states(&ring, takeover.plus(VERIFIES_ON)),
            [KeyState::Retired, KeyState::Active]
        );
    }

    #[test]
    fn a_revoked_key_is_replaced_at_once_and_leaves_the_key_set() {
        let now = Timestamp::from_millis(1_000);
        let mut revoked = key(1, Timestamp::from_millis(0));
        revoked.revoked_at = Some(now);
        let ring = Ring::new(vec![revoked.clone()]);
        assert_eq!(ring.next_due(now, here), Some(now));
        assert_eq!(ring.jwks(now).len(), 0);
        let ring = Ring::new(vec![revoked, key(2, now)]);
        assert_eq!(states(&ring, now), [KeyState::Revoked, KeyState::Active]);
        assert_eq!(ring.next_due(now, here), None);
    }
    #[test]
    fn keys_that_move_house_are_followed_after_a_day_and_lost_ones_at_once() {
        let now = Timestamp::from_millis(1_000);
        let mut keys = vec![key(1, now)];
        let moved = |key: &SealedKey| {
            if key.generation == 1 { Home::Elsewhere } else { Home::Here }
        };
        let ring = Ring::new(keys.clone());
        assert_eq!(ring.next_due(now, here), None);
        assert_eq!(ring.next_due(now, |_| Home::Lost), Some(now));
        assert_eq!(ring.next_due(now, moved), Some(now.plus(PUBLISHED_AHEAD)));
        // One that was published where keys lived before does not count.
        keys.push(key(2, now.plus(DAY)));
        assert!(Ring::new(keys.clone()).next_due(now, |_| Home::Elsewhere).is_some());
        assert_eq!(Ring::new(keys).next_due(now, moved), None);
    }
}
