//! What a line of the event log says, whichever of the three it is: a security event, what an origin said of a sign-in,
//! or a browser's report.

use serde_json::Value;

use crate::category::{Category, Priority};

/// A line that is read.
pub(super) struct Said<'a> {
    line: &'a Value,
    /// The event's `type`, the sign-in's `event`, or `csp_violation`.
    pub(super) kind: &'a str,
    /// The category of a security event.
    pub(super) category: Option<Category>,
    /// How urgent it is; what has no priority is the least urgent.
    pub(super) priority: Priority,
}

impl<'a> Said<'a> {
    pub(super) fn of(line: &'a Value) -> Self {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        Self {
            line,
            kind: text("type").or_else(|| text("event")).unwrap_or("event"),
            category: text("category").and_then(Category::by_name),
            priority: text("priority").and_then(Priority::by_name).unwrap_or(Priority::P3),
        }
    }

    /// Returns how grave it is, from 0 to 10 as the Common Event Format has it.
    pub(super) const fn severity(&self) -> u8 {
        match self.priority {
            Priority::P0 => 10,
            Priority::P1 => 8,
            Priority::P2 => 6,
            Priority::P3 => 3,
        }
    }

    /// Returns what stands at a JSON pointer; `null` where nothing does.
    pub(super) fn at(&self, pointer: &str) -> Value {
        self.line.pointer(pointer).cloned().unwrap_or_default()
    }

    /// Returns the text at a JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.line.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns the first text that stands at one of the pointers.
    pub(super) fn first(&self, pointers: &[&str]) -> Option<&'a str> {
        pointers.iter().find_map(|pointer| self.text(pointer))
    }

    /// Whether it is a sign-in, a registration or a change of a password.
    pub(super) fn is_sign_in(&self) -> bool {
        self.line.get("event").is_some()
    }

    /// Whether a sign-in failed.
    pub(super) fn is_failure(&self) -> bool {
        self.kind.ends_with("_failed") || self.kind.ends_with("_conflict")
    }

    /// Whether the request was refused.
    pub(super) fn is_blocked(&self) -> bool {
        self.text("/response/action") == Some("BLOCKED")
    }

    /// The status of the answer, where there was one.
    pub(super) fn status(&self) -> Option<u64> {
        self.at("/response/status_code").as_u64().filter(|status| *status != 0)
    }

    pub(super) fn source(&self) -> Option<&'a str> {
        self.first(&["/source_ip", "/ip", "/clientIp"])
    }

    pub(super) fn user(&self) -> Option<&'a str> {
        self.first(&["/user_id", "/userId"])
    }

    pub(super) fn request_id(&self) -> Option<&'a str> {
        self.first(&["/request/id", "/requestId"])
    }

    /// One line for people.
    pub(super) fn title(&self) -> String {
        if let Some(message) = self.text("/msg") {
            return message.to_owned();
        }
        let mut words = self.kind.replace('_', " ");
        if let Some(first) = words.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        words
    }

    /// The rule, the signature or the scenario that found it.
    pub(super) fn rule(&self) -> Option<&'a str> {
        self.first(&["/rule/id", "/scenario"])
    }

    /// What has no field of its own in the other system, by the name that it is put under.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        const OTHERS: [(&str, &str); 13] = [
            ("incident_id", "/incident_id"),
            ("dedup_key", "/dedup_key"),
            ("priority", "/priority"),
            ("route", "/request/route"),
            ("payload", "/request/payload"),
            ("account", "/actor/account"),
            ("provider", "/actor/provider"),
            ("token_id", "/actor/token_id"),
            ("attempted_tenant", "/attempted_tenant"),
            ("last_location", "/last_location"),
            ("current_location", "/current_location"),
            ("preview_rule", "/preview_rule"),
            ("automated_response", "/automated_response/action"),
        ];
        let line = self.line;
        OTHERS.into_iter().filter_map(move |(name, pointer)| {
            Some((name, line.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?))
        })
    }
}
