//! A refusal on its way to the client: what REASONS says of it, and the few facts that go with it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::reason::Reason;

/// Why the edge answers itself. The client reads the row of [`Reason`]; `detail` is for the log only.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// The operator's own status, if a policy rule gave one.
    pub(super) status: Option<u16>,
    /// For the log: never sent.
    pub(super) detail: Option<Cow<'static, str>>,
    /// `Retry-After`, in seconds.
    pub(super) retry_after_secs: Option<u32>,
    /// `Location`.
    pub(super) location: Option<String>,
    /// Cookies that are set with it.
    pub(super) cookies: Vec<String>,
    /// The scopes that the route asks for, with spaces between, where the token lacks one.
    pub(super) scope: Option<String>,
    /// Whether the connection is closed behind the answer.
    pub(super) closes: bool,
    /// The JSON that a policy rule gives in place of the usual body.
    pub(super) body: Option<Arc<str>>,
}

impl Refusal {
    /// A refusal as its row says.
    pub(super) const fn of(reason: Reason) -> Self {
        Self {
            reason,
            status: None,
            detail: None,
            retry_after_secs: None,
            location: None,
            cookies: Vec::new(),
            scope: None,
            closes: false,
            body: None,
        }
    }

    /// A refusal with a word for the log.
    pub(super) fn because(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..Self::of(reason) }
    }

    /// The status that the client gets.
    pub(super) fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.reason.status())
    }

    /// The public facts of the error body.
    pub(super) fn details(&self) -> Map<String, Value> {
        let seconds = self
            .retry_after_secs
            .map(|seconds| ("retry_after_seconds".to_owned(), Value::from(seconds)));
        seconds.into_iter().collect()
    }
}
