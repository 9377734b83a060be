//! Signed webhooks, as Standard Webhooks 1.0 has them: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` one
//! HMAC-SHA256 per key over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_config::Timestamp;
use portcullis_config::model::Url;
use portcullis_config::secret::SecretRef;
use serde_json::json;

use super::{Letter, Outcome, Sending, secret};
use crate::log::rfc3339;

/// How many keys may sign: an old one and a new one, and some more.
const KEYS_MAX: usize = 4;

pub(super) async fn send(
    sending: &Sending,
    letter: &Letter,
    url: &Url,
    key: &SecretRef,
) -> Outcome {
    let keys = match secret(key) {
        Ok(keys) => keys,
        Err(outcome) => return outcome,
    };
    let body = json!({
        "type": format!("incident.{}", letter.kind.as_str()),
        "timestamp": rfc3339(letter.at),
        "data": {
            "dedup_key": letter.dedup_key,
            "summary": letter.summary,
            "runbook": sending.link(letter),
            "incident": letter.details(),
        },
    });
    let body = body.to_string();
    let id = letter.id();
    let Some(signature) = sign(&keys, &id, sending.now, &body) else {
        let why = "a key of a webhook is `whsec_` and 24 to 64 bytes in base64";
        return Outcome::Later(why.to_owned(), None);
    };
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", sending.now.as_secs().to_string()),
        ("webhook-signature", signature),
    ];
    sending.post(url.as_str(), &headers, body.into_bytes()).await
}

/// Signs with every key; `None` where one is none.
fn sign(keys: &str, id: &str, now: Timestamp, body: &str) -> Option<String> {
    let signed = format!("{id}.{}.{body}", now.as_secs());
    let signature = |key: &str| {
        let bytes = STANDARD.decode(key.strip_prefix("whsec_")?).ok()?;
        if !(24..=64).contains(&bytes.len()) {
            return None;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let tag = hmac::sign(&key, signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
    };
    let signatures: Option<Vec<_>> =
        keys.split_whitespace().take(KEYS_MAX).map(signature).collect();
    signatures.filter(|all| !all.is_empty()).map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_the_specifications() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp::from_secs(1_614_265_330));
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let signed = |keys: &str| sign(keys, id, at, "{\"test\": 2432232314}");
        assert_eq!(signed(key).as_deref(), Some(expected));
        assert_eq!(signed(&format!("{key}\n{key}")), Some(format!("{expected} {expected}")));
        for bad in ["", "secret", "whsec_c2hvcnQ=", "whsec_?"] {
            assert_eq!(signed(bad), None, "{bad}");
        }
    }
}
