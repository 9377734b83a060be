//! Whose objects are: learnt from the good answers to a tenant's own requests, as they go by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use pingora::http::ResponseHeader;
use portcullis_config::model::{Access, ClaimPath};
use portcullis_identity::Identity;
use portcullis_identity::places::ids_in_json;

use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// The most bytes of an answer that owners are learnt from.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What is to be learnt from one answer.
#[derive(Debug)]
pub(super) struct Learning {
    tenant: Arc<str>,
    kinds: Vec<(String, ClaimPath)>,
    /// What has come of the body, while it is one to learn from.
    body: Mutex<Option<BytesMut>>,
}

impl Learning {
    /// Says what is learnt from the answer; nothing where the route learns nothing, or nobody knows for whom.
    pub(super) fn of(
        snapshot: &Snapshot,
        access: &Access,
        identity: Option<&Identity>,
    ) -> Option<Self> {
        let tenant = identity?.tenant.as_deref()?;
        let owned = &snapshot.config.identity.owners;
        let kinds: Vec<_> = access
            .owners
            .iter()
            .filter_map(|kind| Some((kind.clone(), owned.get(kind)?.answer.clone())))
            .collect();
        let learns = !kinds.is_empty();
        learns.then(|| Self { tenant: tenant.into(), kinds, body: Mutex::new(None) })
    }

    /// Begins where the answer is good and JSON.
    pub(super) fn begin(&self, head: &ResponseHeader) {
        let is_wanted = head.status.is_success()
            && is_json(&head.headers)
            && !head.headers.contains_key(CONTENT_ENCODING);
        *self.body() = is_wanted.then(BytesMut::new);
    }

    /// Takes a part of the body; learns at its end.
    pub(super) fn take(&self, shared: &Shared, part: Option<&[u8]>, ends: bool) {
        let mut held = self.body();
        let Some(body) = held.as_mut() else { return };
        let part = part.unwrap_or_default();
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            *held = None;
            return count(shared, "too_large");
        }
        body.extend_from_slice(part);
        if ends && let Some(body) = held.take() {
            drop(held);
            count(shared, self.learn(shared, &body));
        }
    }

    fn learn(&self, shared: &Shared, body: &[u8]) -> &'static str {
        let now = shared.clock.now();
        for (kind, path) in &self.kinds {
            let Ok(ids) = ids_in_json(path, body) else { return "unreadable" };
            for id in ids.iter().filter(|id| !id.is_empty()) {
                shared.owners.learn(kind, id, &self.tenant, now);
            }
        }
        "learnt"
    }

    fn body(&self) -> MutexGuard<'_, Option<BytesMut>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(shared: &Shared, outcome: &str) {
    shared.metrics.owner_answers.with_label_values(&[outcome]).inc();
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    kind == b"application/json" || kind.ends_with(b"+json")
}
