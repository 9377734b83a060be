//! What an origin's answer to a sign-in tells beside its status: kept as it passes, held back by nothing.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use portcullis_config::model::{AnswerField, SignIn};

use crate::sign_in::field;

/// The most of an answer's body that is kept.
pub(crate) const TOLD_BYTES_MAX: usize = 16 * 1024;
/// The longest word that is taken out of it.
const WORD_BYTES_MAX: usize = 128;

/// What one answer tells.
#[derive(Debug)]
pub(super) struct Told {
    rule: Arc<SignIn>,
    kept: Mutex<Kept>,
}

#[derive(Default, Debug)]
struct Kept {
    body: Vec<u8>,
    reason: Option<String>,
    user: Option<String>,
}

impl Told {
    pub(super) fn of(rule: &Arc<SignIn>) -> Self {
        Self { rule: Arc::clone(rule), kept: Mutex::default() }
    }

    /// Whether the body has to come in plain.
    pub(super) fn reads_body(&self) -> bool {
        self.rule.reads_answers()
    }

    /// Keeps what the headers say.
    pub(super) fn head(&self, headers: &HeaderMap) {
        let said = |place: &Option<AnswerField>| match place {
            Some(AnswerField::Header(name)) => {
                headers.get(name)?.to_str().ok().and_then(|word| bounded(word.to_owned()))
            }
            Some(AnswerField::Json(_)) | None => None,
        };
        let (reason, user) = (said(&self.rule.reason), said(&self.rule.user));
        let mut kept = self.kept();
        (kept.reason, kept.user) = (reason, user);
    }

    /// Keeps the beginning of the body.
    pub(super) fn body(&self, bytes: &Bytes) {
        if !self.reads_body() {
            return;
        }
        let mut kept = self.kept();
        let room = TOLD_BYTES_MAX.saturating_sub(kept.body.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        kept.body.extend_from_slice(part);
    }

    /// Why it failed, if the answer says it.
    pub(super) fn reason(&self) -> Option<String> {
        let kept = self.kept();
        kept.reason.clone().or_else(|| member(self.rule.reason.as_ref(), &kept.body))
    }

    /// Whose account it is, if the answer says it.
    pub(super) fn user(&self) -> Option<String> {
        let kept = self.kept();
        kept.user.clone().or_else(|| member(self.rule.user.as_ref(), &kept.body))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn member(place: Option<&AnswerField>, body: &[u8]) -> Option<String> {
    let Some(AnswerField::Json(path)) = place else { return None };
    field(path, body).ok().flatten().and_then(bounded)
}

fn bounded(word: String) -> Option<String> {
    (1..=WORD_BYTES_MAX).contains(&word.len()).then_some(word)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_config::model::SignInKind;

    use super::*;

    #[test]
    fn an_answer_is_looked_at_up_to_its_bytes() {
        let rule = Arc::new(SignIn {
            kind: SignInKind::SignIn,
            account: Vec::new(),
            failed: vec![401],
            succeeded: vec![200],
            conflict: vec![409],
            reason: Some(AnswerField::Json(vec!["reason".to_owned()])),
            user: None,
            account_failures: 3,
            address_failures: 5,
            window: Duration::from_secs(60),
            stuffing_accounts: 4,
        });
        for (what, length, reason) in [
            ("one under", TOLD_BYTES_MAX - 1, Some("locked")),
            ("at it", TOLD_BYTES_MAX, Some("locked")),
            ("one over", TOLD_BYTES_MAX + 1, None),
        ] {
            let told = Told::of(&rule);
            let start = r#"{"reason":"locked","x":""#;
            let body = format!("{start}{}\"}}", "x".repeat(length - start.len() - 2));
            assert_eq!(body.len(), length);
            told.body(&Bytes::from(body));
            assert_eq!(told.reason().as_deref(), reason, "{what}");
        }
    }
}
