//! What a trial says of a request.

use std::sync::Arc;

use portcullis_policy::{Decision, Trace, Verdict};

use crate::reason::Reason;
use crate::router::RouteEntry;

/// What came of one request.
#[derive(Debug)]
pub struct Judged {
    /// The route that it found.
    pub route: Option<Arc<RouteEntry>>,
    /// What is known of its token, in words.
    pub token: String,
    /// The answer.
    pub answer: Answer,
    /// What came of every rule, where the trial is traced.
    pub trace: Option<Trace>,
}

/// The answer.
#[derive(Debug)]
pub enum Answer {
    /// The policy's verdict.
    Verdict(Box<Verdict>),
    /// The route has no policy, and nothing else refuses.
    NoPolicy,
    /// The route wants a token, and there is no valid one.
    Unauthenticated,
    /// The token does not grant what the route wants.
    Insufficient,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The route itself redirects.
    RouteRedirects,
    /// The route refuses a path that can be read in more than one way.
    AmbiguousPath(&'static str),
    /// The host has no such route.
    NoRoute,
    /// The host is not served.
    NoHost,
    /// A rule asked for what nobody has any more.
    Unknown(Missing),
}

/// What is missing for a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// The body: a log has none.
    Body,
    /// The token.
    Token,
    /// What the token grants.
    Grants,
}

impl Judged {
    pub(super) fn of(answer: Answer) -> Self {
        Self { route: None, token: String::new(), answer, trace: None }
    }

    /// Returns the policy's verdict, where it came to one.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.answer {
            Answer::Verdict(verdict) => Some(verdict),
            Answer::NoPolicy
            | Answer::Unauthenticated
            | Answer::Insufficient
            | Answer::BodyTooLarge
            | Answer::RouteRedirects
            | Answer::AmbiguousPath(_)
            | Answer::NoRoute
            | Answer::NoHost
            | Answer::Unknown(_) => None,
        }
    }
}

impl Answer {
    /// Says it in the words of a policy: `allow`, `deny(403)`, `redirect(302)`; or what came instead of a verdict.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Verdict(verdict) => decision(&verdict.decision),
            Self::NoPolicy => "no policy".to_owned(),
            Self::Unauthenticated => "unauthenticated".to_owned(),
            Self::Insufficient => "insufficient scope".to_owned(),
            Self::BodyTooLarge => "body too large".to_owned(),
            Self::RouteRedirects => "redirect by the route".to_owned(),
            Self::AmbiguousPath(why) => format!("refused by the route: {why}"),
            Self::NoRoute => "no route".to_owned(),
            Self::NoHost => "no host".to_owned(),
            Self::Unknown(Missing::Body) => "unknown: the body is not at hand".to_owned(),
            Self::Unknown(Missing::Token) => "unknown: the token is not at hand".to_owned(),
            Self::Unknown(Missing::Grants) => {
                "unknown: the token's roles and scopes are not at hand".to_owned()
            }
        }
    }

    /// Whether the origin would see the request; `None` where that is not known.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        match self {
            Self::Verdict(verdict) => Some(verdict.decision.passes()),
            Self::NoPolicy => Some(true),
            Self::Unauthenticated
            | Self::Insufficient
            | Self::BodyTooLarge
            | Self::RouteRedirects
            | Self::AmbiguousPath(_)
            | Self::NoRoute
            | Self::NoHost => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// The status that the edge would answer with; `None` where the origin answers, or it is not known.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Verdict(verdict) => match &verdict.decision {
                Decision::Allow => None,
                Decision::Deny { status }
                | Decision::TooMany { status, .. }
                | Decision::Redirect { status, .. } => Some(*status),
            },
            Self::NoPolicy | Self::Unknown(_) => None,
            Self::Unauthenticated => Some(Reason::MissingAuth.row().status),
            Self::Insufficient => Some(Reason::InsufficientScope.row().status),
            Self::BodyTooLarge => Some(Reason::BodyTooLarge.row().status),
            Self::RouteRedirects => Some(Reason::RedirectedByPolicy.row().status),
            Self::AmbiguousPath(_) => Some(Reason::MalformedRequest.row().status),
            Self::NoRoute => Some(Reason::UnknownRoute.row().status),
            Self::NoHost => Some(Reason::UnknownHost.row().status),
        }
    }

    /// The priority of the rule that decided.
    #[must_use]
    pub fn rule(&self) -> Option<u32> {
        if let Self::Verdict(verdict) = self { Some(verdict.enforced.priority) } else { None }
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Allow => "allow".to_owned(),
        Decision::Deny { status } | Decision::TooMany { status, .. } => format!("deny({status})"),
        Decision::Redirect { status, .. } => format!("redirect({status})"),
    }
}
