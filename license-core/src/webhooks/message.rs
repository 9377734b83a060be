//! What a webhook is sent: the body, and the signatures by Standard Webhooks (HMAC-SHA256 over `id.timestamp.body`).

use crate::clock::Timestamp;
use crate::domain::names::TenantId;
use crate::domain::webhook::Delivery;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
const SECRET_PREFIX: &str = "whsec_";

/// Makes a secret, and its text as receivers are given it. `None` where the system gives no randomness.
pub(crate) fn new_secret() -> Option<(Zeroizing<Vec<u8>>, Zeroizing<String>)> {
    let mut secret = Zeroizing::new(vec![0_u8; SECRET_BYTES]);
    SystemRandom::new().fill(&mut secret).ok()?;
    let text = Zeroizing::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(secret.as_slice())));
    Some((secret, text))
}

/// The name under which a webhook's secret is sealed: a row that is copied to another tenant opens nothing.
pub(crate) fn secret_name(tenant: &TenantId, webhook: Uuid) -> String {
    format!("webhook {tenant} {webhook}")
}

/// A message as it is sent.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: String,
}

impl Message {
    /// Writes and signs a message, once with each secret. `sent` is the wall time of this attempt, which receivers
    /// compare with their own.
    pub(super) fn new(
        tenant: &TenantId,
        delivery: &Delivery,
        secrets: &[Zeroizing<Vec<u8>>],
        sent: Timestamp,
    ) -> Self {
        let (id, timestamp) = (format!("msg_{}", delivery.id), sent.as_secs().to_string());
        let body = body(tenant, delivery);
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = |secret: &Zeroizing<Vec<u8>>| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            format!("v1,{}", STANDARD.encode(tag))
        };
        let signature = secrets.iter().map(signature).collect::<Vec<_>>().join(" ");
        Self { id, timestamp, signature, body }
    }
}

fn body(tenant: &TenantId, delivery: &Delivery) -> String {
    let mut data: Value = serde_json::from_str(&delivery.data).unwrap_or_else(|_| json!({}));
    if let Some(fields) = data.as_object_mut() {
        fields.insert("tenant_id".to_owned(), json!(tenant.as_str()));
        if let Some(millis) = fields.get("expires_at").and_then(Value::as_i64) {
            fields.insert(
                "expires_at".to_owned(),
                json!(Timestamp::from_column(millis).to_rfc3339()),
            );
        }
    }
    json!({"type": delivery.event, "timestamp": delivery.at.to_rfc3339(), "data": data}).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Message, new_secret};
    use crate::clock::Timestamp;
    use crate::domain::webhook::Delivery;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use uuid::Uuid;
    use zeroize::Zeroizing;

    fn delivery() -> Delivery {
        Delivery {
            id: "p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            webhook: Uuid::nil(),
            url: String::new(),
            event: "license.expired".to_owned(),
            at: Timestamp::from_millis(1_800_000_000_000),
            data: r#"{"license_id":"l","expires_at":1800000000000}"#.to_owned(),
            attempts: 1,
            secrets: vec![],
        }
    }

    #[test]
    fn a_message_is_signed_with_every_secret() {
        let first = Zeroizing::new(vec![7_u8; 32]);
        let second = Zeroizing::new(vec![8_u8; 32]);
        let tenant = "acme".parse().unwrap();
        let sent = Timestamp::from_millis(1_614_265_330_000);
        let both = Message::new(&tenant, &delivery(), &[first.clone(), second], sent);
        let one = Message::new(&tenant, &delivery(), &[first], sent);
        assert_eq!(both.timestamp, "1614265330");
        assert_eq!(both.id, "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert!(both.signature.starts_with(&format!("{} v1,", one.signature)));
        assert_eq!(
            one.body,
            r#"{"data":{"expires_at":"2027-01-15T08:00:00.000Z","license_id":"l","tenant_id":"acme"},"timestamp":"2027-01-15T08:00:00.000Z","type":"license.expired"}"#
        );
    }

    #[test]
    fn a_secret_reads_as_receivers_expect_it() {
        let (secret, text) = new_secret().unwrap();
        let encoded = text.strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), *secret);
    }
}
