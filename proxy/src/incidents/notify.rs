//! Telling people: one letter, or a digest of several, to one notifier. Everything goes out through the guard of
//! `egress`.

mod pagerduty;
mod slack;
mod smtp;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http_body_util::Full;
use portcullis_config::Timestamp;
use portcullis_config::model::{Notifier, NotifierWay, Url};
use portcullis_config::secret::SecretRef;

use super::letter::Letter;
use crate::egress::{Egress, EgressError};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an exchange may take.
pub(super) const TIME_MAX: Duration = Duration::from_secs(20);

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It was taken.
    Delivered,
    /// It may be taken later: at the earliest after this time, if the receiver says so.
    Later(String, Option<Duration>),
    /// It will never be taken.
    Refused(String),
}

/// A message that is being sent.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) egress: Arc<Egress>,
    pub(crate) notifier: Notifier,
    /// Where the runbooks stand.
    pub(crate) runbooks: Option<Url>,
    /// At least one.
    pub(crate) letters: Vec<Letter>,
    pub(crate) now: Timestamp,
}

impl Sending {
    /// Sends it once.
    pub(crate) async fn send(&self) -> Outcome {
        let Some(letter) = self.letters.last() else { return Outcome::Delivered };
        match &self.notifier.way {
            NotifierWay::PagerDuty { url, key } => pagerduty::send(self, letter, url, key).await,
            NotifierWay::Slack { key } => slack::send(self, letter, key).await,
            NotifierWay::Webhook { url, key } => webhook::send(self, letter, url, key).await,
            NotifierWay::Smtp(smtp) => smtp::send(self, smtp).await,
        }
    }

    /// The link to a letter's runbook.
    fn link(&self, letter: &Letter) -> Option<String> {
        self.runbooks.as_ref().map(|base| format!("{}{}", base.as_str(), letter.runbook()))
    }

    /// Posts JSON and says what the answer means.
    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Outcome {
        let request = http::Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else {
            return Outcome::Refused("the URL or a header is not one".to_owned());
        };
        match self.egress.ask(request, ANSWER_BYTES_MAX, TIME_MAX).await {
            Ok(answer) => {
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                judge(answer.status(), after.and_then(|secs| secs.trim().parse().ok()))
            }
            Err(error) => of_error(&error),
        }
    }
}

/// What a status means: a request that is wrong will not be right the next time.
pub(crate) fn judge(status: StatusCode, retry_after_secs: Option<u64>) -> Outcome {
    let said = format!("it answered with status {}", status.as_u16());
    match status {
        _ if status.is_success() => Outcome::Delivered,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Outcome::Later(said, retry_after_secs.map(Duration::from_secs))
        }
        _ if status.is_client_error() => Outcome::Refused(said),
        _ => Outcome::Later(said, retry_after_secs.map(Duration::from_secs)),
    }
}

pub(crate) fn of_error(error: &EgressError) -> Outcome {
    match error {
        // The URL may be the secret itself.
        EgressError::NoUrl(..) => Outcome::Refused("the URL is none".to_owned()),
        // What a redirect names is a stranger's word, and none is followed.
        EgressError::PlainHttp(_) | EgressError::Redirect(_) => Outcome::Refused(error.to_string()),
        EgressError::Forbidden { .. }
        | EgressError::Unresolved(_)
        | EgressError::Connect { .. }
        | EgressError::Tls { .. }
        | EgressError::NoAuthorities
        | EgressError::Status(_)
        | EgressError::TooLarge(_)
        | EgressError::Broken(_)
        | EgressError::TimedOut(_) => Outcome::Later(error.to_string(), None),
    }
}

/// Reads a secret as text; one that cannot be had now may be there later.
pub(crate) fn secret(key: &SecretRef) -> Result<String, Outcome> {
    let later = |why: String| Outcome::Later(why, None);
    let secret = key.read().map_err(|error| later(error.to_string()))?;
    let text = std::str::from_utf8(secret.expose());
    let text = text.map_err(|_| later(format!("`{key}` is no text")))?;
    Ok(text.trim().to_owned())
}

/// Presses a dead man's switch.
pub(crate) async fn press(egress: &Egress, url: &Url) -> Outcome {
    let request = http::Request::post(url.as_str()).body(Full::new(Bytes::new()));
    let Ok(request) = request else {
        return Outcome::Refused("the URL is none".to_owned());
    };
    match egress.ask(request, ANSWER_BYTES_MAX, TIME_MAX).await {
        Ok(answer) => judge(answer.status(), None),
        Err(error) => of_error(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_done_later_or_never() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap(), Some(7));
        for status in [200, 202, 204] {
            assert_eq!(judged(status), Outcome::Delivered, "{status}");
        }
        for status in [400, 401, 403, 404, 410, 413] {
            assert!(matches!(judged(status), Outcome::Refused(_)), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            let Outcome::Later(_, after) = judged(status) else { panic!("{status}") };
            assert_eq!(after, Some(Duration::from_secs(7)));
        }
        assert!(matches!(of_error(&EgressError::Redirect(302)), Outcome::Refused(_)));
        let slow = EgressError::TimedOut(TIME_MAX);
        assert!(matches!(of_error(&slow), Outcome::Later(_, None)));
    }
}
