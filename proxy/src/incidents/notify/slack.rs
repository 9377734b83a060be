//! Slack's incoming webhooks: one text, in which attacker's words are no markup.

use portcullis_config::secret::SecretRef;
use portcullis_incident::notice::NoticeKind;
use serde_json::json;

use super::{Letter, Outcome, Sending, secret};

pub(super) async fn send(sending: &Sending, letter: &Letter, key: &SecretRef) -> Outcome {
    let url = match secret(key) {
        Ok(url) => url,
        Err(outcome) => return outcome,
    };
    let body = json!({ "text": text(letter, sending.link(letter)) });
    sending.post(&url, &[], body.to_string().into_bytes()).await
}

fn text(letter: &Letter, link: Option<String>) -> String {
    let word = match letter.kind {
        NoticeKind::Trigger => "",
        NoticeKind::Acknowledge => "acknowledged: ",
        NoticeKind::Resolve => "resolved: ",
    };
    let runbook = link.unwrap_or_else(|| format!("docs/runbooks/{}", letter.runbook()));
    let command = format!("portcullis incidents show {}", letter.incident);
    let text = format!("{word}{}\nnext: `{command}`, runbook: {runbook}", letter.summary);
    // `<!channel>`, `<@user>` and links are markup of angle brackets.
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use portcullis_config::Timestamp;

    use super::*;

    #[test]
    fn nobody_is_called_by_an_attackers_words() {
        let letter = Letter {
            summary: "<!channel> & <@all>".to_owned(),
            kind: NoticeKind::Resolve,
            ..Letter::test("team", Timestamp::from_secs(0))
        };
        let said = text(&letter, None);
        assert!(said.starts_with("resolved: &lt;!channel&gt; &amp; &lt;@all&gt;\n"), "{said}");
        assert!(said.ends_with("runbook: docs/runbooks/scanner.md"), "{said}");
    }
}
