//! Bodies that say one thing and hold another, against the shipped policy.

use super::Request;
use super::shipped::refusal;

const SQL: &str = "x' UNION SELECT password FROM users--";

#[test]
fn an_attack_is_refused_however_its_body_is_labelled() {
    let json = format!("{{\"license_key\":\"{SQL}\"}}");
    let broken = format!("{{\"license_key\":\"{SQL}\"");
    let escaped = r#"{"license_key":"x\u0027 \u0055NION \u0053ELECT password FROM users--"}"#;
    let form = "license_key=x%27+UNION+SELECT+password+FROM+users--".to_owned();
    let part = format!(
        "--b\r\nContent-Disposition: form-data; name=\"license_key\"\r\n\r\n{SQL}\r\n--b--\r\n"
    );
    let cases: Vec<(&str, Option<&str>, &str)> = vec![
        ("JSON", Some("application/json"), &json),
        ("JSON with a charset", Some("application/json; charset=utf-8"), &json),
        ("JSON of another type", Some("application/vnd.api+json"), &json),
        ("JSON without a type", None, &json),
        ("JSON as text", Some("text/plain"), &json),
        ("JSON as a form", Some("application/x-www-form-urlencoded"), &json),
        ("broken JSON", Some("application/json"), &broken),
        ("a form", Some("application/x-www-form-urlencoded"), &form),
        ("a form without a type", None, &form),
        ("a form as JSON", Some("application/json"), &form),
        ("multipart", Some("multipart/form-data; boundary=b"), &part),
        ("JSON as multipart", Some("multipart/form-data; boundary=b"), &json),
        ("a form as XML", Some("application/xml"), &form),
        ("escaped JSON as text", Some("text/plain"), escaped),
        ("escaped JSON as a form", Some("application/x-www-form-urlencoded"), escaped),
        ("an unknown type", Some("application/x-unknown"), &json),
    ];
    let mut passed = Vec::new();
    for (name, content_type, body) in cases {
        let mut request =
            Request::post("/api/v1/license/acquire", body.as_bytes()).token("acme", "alice");
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type.as_bytes());
        }
        if refusal(&request).is_none() {
            passed.push(name);
        }
    }
    assert_eq!(passed, <[&str; 0]>::default());
}

#[test]
fn a_harmless_body_passes_however_it_is_labelled() {
    let json = r#"{"license_key":"ACME-1234","note":"O'Brien & sons, a < b"}"#;
    let form = "license_key=ACME-1234&note=O%27Brien";
    for body in [json, form, "", "plain words", "{ not json"] {
        for content_type in [
            "application/json",
            "application/x-www-form-urlencoded",
            "text/plain",
            "application/xml",
        ] {
            let request = Request::post("/api/v1/license/acquire", body.as_bytes())
                .token("acme", "alice")
                .header("Content-Type", content_type.as_bytes());
            assert_eq!(refusal(&request), None, "{content_type}: {body}");
        }
    }
}
