//! Lines in the body of a POST.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http_body_util::Full;
use portcullis_config::model::{EventFormat, Url};
use portcullis_config::secret::SecretRef;

use super::SinkLine;
use super::courier::TIME_MAX;
use crate::egress::Egress;
use crate::incidents::{Outcome, judge, of_error, secret};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A sink that is posted to.
pub(super) struct Http {
    url: Url,
    authorization: Option<SecretRef>,
    content_type: &'static str,
}

impl Http {
    pub(super) fn new(url: &Url, authorization: Option<&SecretRef>, format: EventFormat) -> Self {
        let content_type = match format {
            EventFormat::Json | EventFormat::Ecs | EventFormat::Ocsf => "application/x-ndjson",
            EventFormat::Cef => "text/plain; charset=utf-8",
        };
        Self { url: url.clone(), authorization: authorization.cloned(), content_type }
    }

    /// Posts all lines at once. They stay in `batch` unless the other end has taken them.
    pub(super) async fn send(&self, batch: &mut VecDeque<SinkLine>, egress: &Egress) -> Outcome {
        let mut request = http::Request::post(self.url.as_str())
            .header(CONTENT_TYPE, self.content_type)
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        if let Some(reference) = &self.authorization {
            match secret(reference) {
                Ok(value) => request = request.header(AUTHORIZATION, value),
                Err(outcome) => return outcome,
            }
        }
        let Ok(request) = request.body(Full::new(body(batch))) else {
            // What the secret holds may be put right.
            return Outcome::Later("the value of `authorization` is no header's".to_owned(), None);
        };
        let outcome = match egress.ask(request, ANSWER_BYTES_MAX, TIME_MAX).await {
            Ok(answer) => {
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                judge(answer.status(), after.and_then(|secs| secs.trim().parse().ok()))
            }
            Err(error) => of_error(&error),
        };
        if outcome == Outcome::Delivered {
            batch.clear();
        }
        outcome
    }
}

fn body(batch: &VecDeque<SinkLine>) -> Bytes {
    let bytes = batch.iter().map(|line| line.text.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes);
    for line in batch {
        body.extend_from_slice(&line.text);
        body.push(b'\n');
    }
    body.into()
}
