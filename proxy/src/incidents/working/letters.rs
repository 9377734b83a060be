//! Who is told: letters are written with the change that they tell of, in one transaction, and stay on disk until they are
//! delivered. One message at a time for each notifier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_config::model::{Incidents, Notifier, NotifierWay};
use portcullis_incident::notice::NoticeKind;
use portcullis_incident::{Change, Notice, Priority};
use tokio::runtime::Handle;

use super::Working;
use crate::incidents::letter::Letter;
use crate::incidents::notify::{Outcome, Sending, press};

/// How long after each failure in a row it is tried again; the last one repeats.
const STEPS: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];
/// After so long nobody needs to be told any more.
const LETTER_LIVES: Duration = Duration::from_secs(48 * 3600);
/// Failures of one letter after which the fallback is told as well.
const FALLS_BACK_AFTER: u32 = 3;
/// Failures in a row after which a notifier is left alone for a while.
const BREAKS_AFTER: u32 = 5;
/// For how long.
const BROKEN_FOR: Duration = Duration::from_secs(60);
/// Letters that wait; then the oldest one of the least urgent goes.
pub(crate) const LETTERS_MAX: usize = 5000;
/// Letters of one digest.
const DIGEST_MAX: usize = 200;
/// Answers that wait for the desk.
const SENT_MAX: usize = 1024;

/// Everything that waits to be told.
pub(super) struct Post {
    letters: BTreeMap<u64, Letter>,
    next: u64,
    /// Who was told that an incident began: they are told of its end.
    told: BTreeMap<String, BTreeSet<String>>,
    notifiers: BTreeMap<String, Standing>,
    sent: (SyncSender<Sent>, Receiver<Sent>),
    runtime: Handle,
    /// When the dead man's switch is pressed next.
    press_at: Timestamp,
    /// Letters and incidents whose rows on disk are old.
    pub(super) dirty: BTreeSet<u64>,
    pub(super) dirty_told: BTreeSet<String>,
}

/// How a notifier stands.
#[derive(Default)]
struct Standing {
    is_busy: bool,
    failures: u32,
    /// Until when it is left alone.
    rests_until: Timestamp,
    /// When it was sent something, in the last minute.
    recent: std::collections::VecDeque<Timestamp>,
}

/// What came of a message.
struct Sent {
    notifier: String,
    letters: Vec<u64>,
    outcome: Outcome,
}

impl Post {
    /// Takes back what waits. Numbers begin with the time: one that was given before a restart, to a letter that has been
    /// delivered since, is not given again.
    pub(super) fn new(
        letters: Vec<Letter>,
        told: BTreeMap<String, BTreeSet<String>>,
        runtime: Handle,
        now: Timestamp,
    ) -> Self {
        let next = letters.iter().map(|letter| letter.number + 1).max().unwrap_or(1);
        let next = next.max(now.as_millis());
        Self {
            letters: letters.into_iter().map(|letter| (letter.number, letter)).collect(),
            next,
            told,
            notifiers: BTreeMap::new(),
            sent: sync_channel(SENT_MAX),
            runtime,
            press_at: Timestamp::default(),
            dirty: BTreeSet::new(),
            dirty_told: BTreeSet::new(),
        }
    }

    pub(super) fn letter(&self, number: u64) -> Option<&Letter> {
        self.letters.get(&number)
    }

    pub(super) fn told(&self, incident: &str) -> Option<&BTreeSet<String>> {
        self.told.get(incident)
    }

    /// Forgets who was told of incidents that are forgotten.
    pub(super) fn forget(&mut self, incidents: &[String]) {
        for id in incidents {
            self.told.remove(id);
            self.dirty_told.insert(id.clone());
        }
    }

    /// Puts a letter to the others. Returns how many were thrown away for it.
    fn put(&mut self, letter: Letter) -> u64 {
        self.next = self.next.max(letter.number + 1);
        self.dirty.insert(letter.number);
        self.letters.insert(letter.number, letter);
        let mut thrown_away = 0;
        while self.letters.len() > LETTERS_MAX {
            let order = |letter: &&Letter| (letter.priority, letter.number);
            let least = self.letters.values().min_by_key(order).map(|one| one.number);
            let Some(number) = least else { break };
            self.drop_letter(number);
            thrown_away += 1;
        }
        thrown_away
    }

    fn drop_letter(&mut self, number: u64) {
        self.letters.remove(&number);
        self.dirty.insert(number);
    }
}

fn by_name(priorities: &[&str], priority: Priority) -> bool {
    priorities.contains(&priority.as_str())
}

impl Working {
    /// Writes the letters that a change asks for.
    pub(super) fn write_letters(&mut self, change: &Change, now: Timestamp) {
        let Some(incident) = self.correlator.find(&change.incident) else { return };
        let Some(notice) = Notice::of(change, incident) else { return };
        let config = Arc::clone(&self.shared.snapshot.load().config);
        let mut told = self.post.told.get(&incident.id).cloned().unwrap_or_default();
        let mut letters = Vec::new();
        for (name, notifier) in &config.incidents.notifiers {
            let is_for = match notice.kind {
                NoticeKind::Trigger => by_name(&notifier.priorities, notice.priority),
                NoticeKind::Acknowledge | NoticeKind::Resolve => told.contains(name),
            };
            if is_for {
                told.insert(name.clone());
                let due = now.plus(collects_for(notifier, notice.priority));
                let number = self.post.next + letters.len() as u64;
                letters.push(Letter::new(number, name, &notice, incident, due, now));
            }
        }
        if letters.is_empty() {
            return;
        }
        self.post.told.insert(change.incident.clone(), told);
        self.post.dirty_told.insert(change.incident.clone());
        for letter in letters {
            let thrown_away = self.post.put(letter);
            self.count_letters("dropped", thrown_away);
        }
    }

    /// Takes note of what was sent, and sends what is due.
    pub(super) fn deliver(&mut self) {
        let now = self.shared.clock.now();
        while let Ok(sent) = self.post.sent.1.try_recv() {
            self.note_sent(&sent, now);
        }
        let waiting = i64::try_from(self.post.letters.len()).unwrap_or(i64::MAX);
        self.shared.metrics.notices_waiting.set(waiting);
        // What is sent is on disk before, so that it is sent again after a kill. Where the disk refuses, being told is
        // worth more than that.
        let is_kept = self.post.dirty.is_empty() || self.is_store_failing;
        if !is_kept || self.store.is_none() {
            return;
        }
        let config = Arc::clone(&self.shared.snapshot.load().config);
        self.press(&config.incidents, now);
        for (name, notifier) in &config.incidents.notifiers {
            self.send_next(name, notifier, &config.incidents, now);
        }
        self.drop_stale(&config.incidents, now);
    }

    fn send_next(&mut self, name: &str, notifier: &Notifier, config: &Incidents, now: Timestamp) {
        let standing = self.post.notifiers.entry(name.to_owned()).or_default();
        while standing.recent.front().is_some_and(|at| now.since(*at).as_secs() >= 60) {
            standing.recent.pop_front();
        }
        let is_full = standing.recent.len() >= usize::try_from(notifier.rate).unwrap_or(usize::MAX);
        if standing.is_busy || is_full || now < standing.rests_until {
            return;
        }
        // Of one incident in the order of its changes: an end never comes before its beginning.
        let mut heads: BTreeMap<&str, &Letter> = BTreeMap::new();
        for letter in self.post.letters.values().filter(|letter| letter.notifier == name) {
            heads.entry(letter.incident.as_str()).or_insert(letter);
        }
        let order = |letter: &&Letter| (std::cmp::Reverse(letter.priority), letter.number);
        let first = heads.into_values().filter(|letter| letter.due <= now).min_by_key(order);
        let Some(first) = first else { return };
        let letters = self.post.with(first, notifier);
        standing_of(&mut self.post.notifiers, name, now);
        let sending = Sending {
            egress: Arc::clone(&self.shared.snapshot.load().egress),
            notifier: notifier.clone(),
            runbooks: config.runbooks.clone(),
            letters,
            now,
        };
        let numbers = sending.letters.iter().map(|letter| letter.number).collect();
        let (reply, notifier) = (self.post.sent.0.clone(), name.to_owned());
        drop(self.post.runtime.spawn(async move {
            let outcome = sending.send().await;
            // The desk may have stopped: the letter waits on disk.
            drop(reply.try_send(Sent { notifier, letters: numbers, outcome }));
        }));
    }

    fn note_sent(&mut self, sent: &Sent, now: Timestamp) {
        let standing = self.post.notifiers.entry(sent.notifier.clone()).or_default();
        standing.is_busy = false;
        match &sent.outcome {
            Outcome::Delivered => {
                standing.failures = 0;
                for number in &sent.letters {
                    self.post.drop_letter(*number);
                    self.count_letter("delivered");
                }
            }
            Outcome::Later(why, after) => {
                standing.failures += 1;
                if standing.failures >= BREAKS_AFTER {
                    standing.rests_until = now.plus(BROKEN_FOR.max(after.unwrap_or_default()));
                }
                tracing::warn!(notifier = sent.notifier, "nobody is told yet: {why}");
                for number in &sent.letters {
                    self.try_again(*number, *after, now);
                }
            }
            Outcome::Refused(why) => {
                standing.failures += 1;
                tracing::error!(notifier = sent.notifier, "the notifier refuses: {why}");
                for number in &sent.letters {
                    self.count_letter("refused");
                    self.fall_back(*number, now);
                    self.post.drop_letter(*number);
                }
            }
        }
        self.is_urgent = true;
    }

    fn try_again(&mut self, number: u64, after: Option<Duration>, now: Timestamp) {
        self.count_letter("failed");
        let Some(letter) = self.post.letters.get_mut(&number) else { return };
        letter.attempts += 1;
        let step = usize::try_from(letter.attempts - 1).unwrap_or(usize::MAX);
        let step = STEPS.get(step).or(STEPS.last()).copied().unwrap_or_default();
        letter.due = now.plus(step.max(after.unwrap_or_default()));
        let fails = letter.attempts >= FALLS_BACK_AFTER;
        self.post.dirty.insert(number);
        if fails {
            self.fall_back(number, now);
        }
    }

    /// Writes the same to the fallback, once.
    fn fall_back(&mut self, number: u64, now: Timestamp) {
        let config = Arc::clone(&self.shared.snapshot.load().config);
        let Some(letter) = self.post.letters.get_mut(&number) else { return };
        let notifier = config.incidents.notifiers.get(&letter.notifier);
        let Some(fallback) = notifier.and_then(|one| one.fallback.clone()) else { return };
        if std::mem::replace(&mut letter.has_fallen_back, true) {
            return;
        }
        let (attempts, next) = (0, self.post.next);
        let copy = Letter {
            number: next,
            notifier: fallback.clone(),
            attempts,
            due: now,
            ..letter.clone()
        };
        let incident = copy.incident.clone();
        self.post.dirty.insert(number);
        let thrown_away = self.post.put(copy);
        self.count_letters("dropped", thrown_away);
        self.post.told.entry(incident.clone()).or_default().insert(fallback);
        self.post.dirty_told.insert(incident);
    }

    /// Throws away what nobody needs to be told any more, or can be.
    fn drop_stale(&mut self, config: &Incidents, now: Timestamp) {
        let is_stale = |letter: &&Letter| {
            now.since(letter.at) >= LETTER_LIVES || !config.notifiers.contains_key(&letter.notifier)
        };
        let stale: Vec<u64> =
            self.post.letters.values().filter(is_stale).map(|letter| letter.number).collect();
        for number in stale {
            tracing::error!(
                number,
                "what was to be told is thrown away: it is two days old, or its notifier is gone"
            );
            self.count_letter("dropped");
            self.post.drop_letter(number);
            self.is_urgent = true;
        }
    }

    fn press(&mut self, config: &Incidents, now: Timestamp) {
        let Some(heartbeat) = &config.heartbeat else { return };
        if now < self.post.press_at {
            return;
        }
        self.post.press_at = now.plus(heartbeat.every);
        let (url, egress) =
            (heartbeat.url.clone(), Arc::clone(&self.shared.snapshot.load().egress));
        let pressed = self.shared.metrics.heartbeats.clone();
        drop(self.post.runtime.spawn(async move {
            let outcome = press(&egress, &url).await;
            let word = if outcome == Outcome::Delivered { "delivered" } else { "failed" };
            pressed.with_label_values(&[word]).inc();
        }));
    }

    fn count_letter(&self, outcome: &str) {
        self.count_letters(outcome, 1);
    }

    fn count_letters(&self, outcome: &str, letters: u64) {
        self.shared.metrics.notices.with_label_values(&[outcome]).inc_by(letters);
    }
}

impl Post {
    /// A letter alone, or with everything that goes into one digest with it.
    fn with(&self, first: &Letter, notifier: &Notifier) -> Vec<Letter> {
        let is_mail = matches!(notifier.way, NotifierWay::Smtp(_));
        if !is_mail || first.priority != Priority::P3 {
            return vec![first.clone()];
        }
        let alike = self
            .letters
            .values()
            .filter(|one| one.notifier == first.notifier && one.priority == Priority::P3);
        alike.take(DIGEST_MAX).cloned().collect()
    }
}

fn standing_of(notifiers: &mut BTreeMap<String, Standing>, name: &str, now: Timestamp) {
    if let Some(standing) = notifiers.get_mut(name) {
        standing.is_busy = true;
        standing.recent.push_back(now);
    }
}

/// Mails about P3 are collected.
fn collects_for(notifier: &Notifier, priority: Priority) -> Duration {
    match &notifier.way {
        NotifierWay::Smtp(smtp) if priority == Priority::P3 => smtp.digest,
        NotifierWay::Smtp(_)
        | NotifierWay::PagerDuty { .. }
        | NotifierWay::Slack { .. }
        | NotifierWay::Webhook { .. } => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn letters_wait_up_to_the_cap_and_the_urgent_stay() {
        let now = Timestamp::from_secs(1);
        for (what, letters, thrown_away) in [
            ("one under", LETTERS_MAX - 1, 0),
            ("at it", LETTERS_MAX, 0),
            ("one over", LETTERS_MAX + 1, 1),
        ] {
            let mut post = Post::new(Vec::new(), BTreeMap::new(), Handle::current(), now);
            let mut dropped = 0;
            for number in 0..letters as u64 {
                let priority = if number == 0 { Priority::P0 } else { Priority::P3 };
                dropped += post.put(Letter { number, priority, ..Letter::test("a", now) });
            }
            assert_eq!(dropped, thrown_away, "{what}");
            assert_eq!(post.letters.len(), letters.min(LETTERS_MAX), "{what}");
            assert!(post.letter(0).is_some(), "the urgent one stays");
        }
    }
}
