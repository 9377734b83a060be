//! What people are told, and where: one page per incident, not one per event. The shell sends; its outbox repeats.

use crate::category::Priority;
use crate::correlator::{Change, ChangeKind};
use crate::incident::Incident;

/// The longest summary that a pager takes.
const SUMMARY_CHARS_MAX: usize = 1024;
/// The longest key that a pager takes.
const DEDUP_KEY_CHARS_MAX: usize = 255;

/// Where a notice goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// The whole security team's pager.
    PageTeam,
    /// Whoever is on call.
    PageOnCall,
    /// The team's chat.
    Chat,
    /// Mail, now.
    Mail,
    /// Mail, collected.
    Digest,
}

/// What a pager is to do (Events API v2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoticeKind {
    /// Begin, or repeat under the same key.
    Trigger,
    /// Somebody answers.
    Acknowledge,
    /// It is over.
    Resolve,
}

impl NoticeKind {
    /// Returns the pager's `event_action`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }
}

/// One notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The incident's id.
    pub incident: String,
    /// Equal for all notices of one incident, at most 255 characters.
    pub dedup_key: String,
    /// What to do.
    pub kind: NoticeKind,
    /// How urgent.
    pub priority: Priority,
    /// One line, at most 1024 characters, with how many customers are affected.
    pub summary: String,
    /// Where to.
    pub channels: &'static [Channel],
}

impl Notice {
    /// Makes the notice of a change; `None` where nobody needs to be told.
    #[must_use]
    pub fn of(change: &Change, incident: &Incident) -> Option<Self> {
        let (kind, priority) = match &change.kind {
            ChangeKind::Joined | ChangeKind::Lowered(_) | ChangeKind::Contained(_) => return None,
            ChangeKind::Opened | ChangeKind::Reopened => (NoticeKind::Trigger, incident.priority),
            ChangeKind::Raised(to) | ChangeKind::Unanswered(to) => (NoticeKind::Trigger, *to),
            ChangeKind::Acknowledged(_) => (NoticeKind::Acknowledge, incident.priority),
            ChangeKind::Resolved(_) => (NoticeKind::Resolve, incident.priority),
        };
        Some(Self {
            incident: incident.id.clone(),
            dedup_key: cut(&format!("{}/{}", incident.id, incident.dedup_key), DEDUP_KEY_CHARS_MAX),
            kind,
            priority,
            summary: cut(&format!("{} {}", incident.id, incident.summary()), SUMMARY_CHARS_MAX),
            channels: channels(priority),
        })
    }
}

/// The seed's table of who is told.
const fn channels(priority: Priority) -> &'static [Channel] {
    match priority {
        Priority::P0 => &[Channel::PageTeam, Channel::Mail],
        Priority::P1 => &[Channel::PageOnCall],
        Priority::P2 => &[Channel::Chat],
        Priority::P3 => &[Channel::Digest],
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_config::Timestamp;

    use super::*;
    use crate::{Category, Correlator, Event};

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_764_460_800 + secs)
    }

    #[test]
    fn one_incident_is_one_page_with_its_end() {
        let mut correlator = Correlator::new(10);
        let mut told = Vec::new();
        let mut tell = |correlator: &Correlator, changes: Vec<Change>| {
            for change in changes {
                let incident = correlator.find(&change.incident).unwrap();
                told.extend(Notice::of(&change, incident));
            }
        };
        for secs in 0..900 {
            let mut flood = Event::new("e", Category::Ddos, None, at(secs));
            flood.route = "/api/".to_owned();
            let (changes, _) = correlator.observe(&flood, at(secs));
            tell(&correlator, changes);
        }
        let id = correlator.incidents()[0].id.clone();
        let change = correlator.acknowledge(&id, "ann", at(890)).unwrap();
        tell(&correlator, vec![change]);
        let changes = correlator.tick(at(900 + 7200));
        tell(&correlator, changes);
        let kinds: Vec<_> = told.iter().map(|notice| notice.kind.as_str()).collect();
        assert_eq!(kinds, ["trigger", "acknowledge", "resolve"]);
        assert!(told.iter().all(|notice| notice.dedup_key == told[0].dedup_key));
        assert_eq!(told[0].channels, [Channel::PageOnCall]);
        assert!(told[0].summary.contains("tenants affected"));
    }

    #[test]
    fn who_is_told_follows_the_priority() {
        assert_eq!(channels(Priority::P0), [Channel::PageTeam, Channel::Mail]);
        assert_eq!(channels(Priority::P2), [Channel::Chat]);
        assert_eq!(channels(Priority::P3), [Channel::Digest]);
        assert_eq!(Priority::P0.pager_severity(), "critical");
    }

    #[test]
    fn an_unanswered_incident_is_told_to_more() {
        let mut correlator = Correlator::new(10);
        let sqli =
            Event::new("e", Category::SqlInjection, Some("192.0.2.1".parse().unwrap()), at(0));
        correlator.observe(&sqli, at(0));
        let changes = correlator.tick(at(3600));
        let notice = Notice::of(&changes[0], &correlator.incidents()[0]).unwrap();
        assert_eq!((notice.kind, notice.channels), (NoticeKind::Trigger, channels(Priority::P1)));
    }
}
