//! PagerDuty's Events API v2: `trigger`, `acknowledge` and `resolve` under one `dedup_key`.

use portcullis_config::model::Url;
use portcullis_config::secret::SecretRef;
use portcullis_incident::notice::NoticeKind;
use serde_json::{Value, json};

use super::{Letter, Outcome, Sending, secret};
use crate::log::rfc3339;

pub(super) async fn send(
    sending: &Sending,
    letter: &Letter,
    url: &Url,
    key: &SecretRef,
) -> Outcome {
    let key = match secret(key) {
        Ok(key) => key,
        Err(outcome) => return outcome,
    };
    let body = body(letter, &key, sending.link(letter));
    sending.post(url.as_str(), &[], body.to_string().into_bytes()).await
}

fn body(letter: &Letter, key: &str, link: Option<String>) -> Value {
    let links: Vec<Value> =
        link.into_iter().map(|href| json!({ "href": href, "text": "runbook" })).collect();
    let mut body = json!({
        "routing_key": key,
        "event_action": letter.kind.as_str(),
        "dedup_key": letter.dedup_key,
    });
    if letter.kind == NoticeKind::Trigger {
        body["client"] = json!("Portcullis");
        body["links"] = json!(links);
        body["payload"] = json!({
            "summary": letter.summary,
            "source": letter.sources.first().map_or("portcullis", String::as_str),
            "severity": letter.priority.pager_severity(),
            "timestamp": rfc3339(letter.at),
            "component": "edge",
            "group": letter.tenants.first(),
            "class": letter.category.kind(),
            "custom_details": letter.details(),
        });
    }
    body
}

#[cfg(test)]
mod tests {
    use portcullis_config::Timestamp;

    use super::*;

    #[test]
    fn a_trigger_has_what_the_api_asks_for_and_an_end_has_its_key() {
        let letter = Letter::test("pager", Timestamp::from_secs(1_764_460_800));
        let sent = body(&letter, "key", Some("https://wiki.test/scanner.md".to_owned()));
        assert_eq!(sent["event_action"], "trigger");
        assert_eq!(sent["payload"]["severity"], "info");
        assert_eq!(sent["payload"]["timestamp"], "2025-11-30T00:00:00.000Z");
        assert_eq!(sent["links"][0]["href"], "https://wiki.test/scanner.md");
        assert!(sent["payload"]["summary"].as_str().unwrap().contains("tenants affected"));
        let end = Letter { kind: NoticeKind::Resolve, ..letter };
        let sent = body(&end, "key", None);
        assert_eq!(
            sent,
            json!({ "routing_key": "key", "event_action": "resolve", "dedup_key": "portcullis-test" })
        );
    }
}
