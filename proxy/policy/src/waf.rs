//! What a policy asks of a rule set. `portcullis_rulesets::RuleSet` answers; a test answers with what it likes.
//!
//! Inspect once, ask many: one run per rule set and request collects every match of every rule that is loaded,
//! refusing nothing; each `evaluatePreconfiguredWaf` is a question to what was collected.

mod body_shape;
mod response;
mod rule_set;

pub(crate) use body_shape::{Shape, readings};
pub use response::{AnswerFinding, AnswerHead, AnswerRefusal, AnswerRules};

use std::fmt::Debug;

use portcullis_config::expr::WafSet;

use crate::request::{BodyEnd, RequestHead};
use crate::state::Memory;

/// A loaded rule set.
pub trait WafRules: Debug + Send + Sync {
    /// Returns the name that the configuration gives it.
    fn name(&self) -> &str;

    /// Says how well it serves a set: `None` not at all, else higher is closer (the same version before another).
    fn serves(&self, set: &WafSet) -> Option<u8>;

    /// Returns the signatures of a preconfigured set, with their levels.
    fn signatures(&self, set: &WafSet) -> Vec<Signature>;

    /// Returns the highest level that is loaded.
    fn level(&self) -> u8;

    /// Starts a run: the head is inspected. The rules know of other requests what `memory` does.
    fn begin(&self, head: &RequestHead<'_>, memory: Memory) -> Box<dyn WafRun>;
}

/// One signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// The rule's id.
    pub id: u32,
    /// Its level, 1 to 4.
    pub level: u8,
    /// What a match adds to an anomaly score.
    pub score: u32,
}

/// One request's run over one rule set.
pub trait WafRun: Debug + Send + Sync {
    /// Inspects the body, empty where there is none. Called once.
    fn body(&mut self, head: &RequestHead<'_>, body: &[u8], end: BodyEnd);

    /// Returns what matched so far.
    fn matches(&self) -> &[WafMatch];

    /// Whether a limit kept it from inspecting everything. Every question is answered with yes then: what could not be
    /// inspected is not let through.
    fn gave_up(&self) -> bool;
}

/// One rule's match of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WafMatch {
    /// The rule's id.
    pub id: u32,
    /// Where.
    pub field: WafField,
    /// The name of the pair, else empty.
    pub name: Vec<u8>,
    /// The beginning of the part that matched.
    pub value: Vec<u8>,
    /// The length of the whole field.
    pub length: usize,
    /// Where in the field the match starts.
    pub offset: usize,
    /// How long the match is.
    pub matched_length: usize,
    /// Which link of its chain the match is of, the first being 0.
    pub link: u8,
    /// Whether the rule is a chain.
    pub is_chained: bool,
}

/// The kinds of field that a rule looks at, as far as exclusions and the log tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WafField {
    /// A parameter's value, of the query or the body.
    ArgValue,
    /// A parameter's name.
    ArgName,
    /// A cookie's value.
    CookieValue,
    /// A cookie's name.
    CookieName,
    /// A header's value.
    HeaderValue,
    /// A header's name.
    HeaderName,
    /// The path and query, whole.
    Uri,
    /// The request line.
    RequestLine,
    /// The path or its last part.
    Filename,
    /// The body, whole.
    Body,
    /// The method.
    Method,
    /// Anything else.
    Other,
}

impl WafField {
    /// Returns the log's `matchedFieldType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ArgValue => "ARG_VALUES",
            Self::ArgName => "ARG_NAMES",
            Self::CookieValue => "COOKIE_VALUES",
            Self::CookieName => "COOKIE_NAMES",
            Self::HeaderValue => "HEADER_VALUES",
            Self::HeaderName => "HEADER_NAMES",
            Self::Uri => "RAW_URI",
            Self::RequestLine => "REQUEST_LINE",
            Self::Filename => "FILENAME",
            Self::Body => "BODY",
            Self::Method => "REQUEST_METHOD",
            Self::Other => "OTHER",
        }
    }
}
