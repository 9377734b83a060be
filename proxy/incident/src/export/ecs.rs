//! The Elastic Common Schema 8.11: <https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html>.

use serde_json::{Value, json};

use super::said::Said;
use super::{PRODUCT, VERSION, put};
use crate::category::Category;

pub(super) fn event(said: &Said<'_>) -> Value {
    let mut o = json!({
        "ecs": { "version": "8.11.0" },
        "event": { "module": "portcullis", "dataset": "portcullis.events" },
        "observer": { "vendor": PRODUCT, "product": PRODUCT, "type": "waf", "version": VERSION },
    });
    put(&mut o, "@timestamp", said.at("/timestamp"));
    put(&mut o, "message", said.title());
    put(&mut o, "tags", said.at("/tags"));
    what(&mut o, said);
    put(&mut o, "source.ip", said.source());
    put(&mut o, "source.geo.country_iso_code", said.at("/actor/country"));
    put(&mut o, "source.as.number", said.at("/actor/asn"));
    put(&mut o, "user.id", said.user());
    put(&mut o, "user.email", said.at("/email"));
    put(&mut o, "organization.id", said.at("/tenant_id"));
    put(&mut o, "http.request.id", said.request_id());
    put(&mut o, "http.request.method", said.text("/request/method"));
    put(&mut o, "http.response.status_code", said.status());
    put(&mut o, "http.response.body.bytes", said.at("/response/bytes_out"));
    put(&mut o, "url.path", said.text("/request/path"));
    put(&mut o, "user_agent.original", said.at("/actor/user_agent"));
    put(&mut o, "rule.id", said.rule());
    for (name, text) in said.others() {
        put(&mut o, &format!("labels.{name}"), text);
    }
    put(&mut o, "labels.objects", said.at("/objects"));
    put(&mut o, "labels.ja4", said.text("/actor/fingerprint"));
    o
}

fn what(o: &mut Value, said: &Said<'_>) {
    let (categories, kind) = classes(said);
    // An alert is what somebody was to look at: what stands in an incident.
    let is_alert = said.text("/incident_id").is_some();
    put(o, "event.kind", if is_alert { "alert" } else { "event" });
    put(o, "event.category", categories);
    put(o, "event.type", kind);
    put(o, "event.action", said.kind);
    put(o, "event.id", said.first(&["/event_id", "/requestId"]));
    put(o, "event.severity", said.severity());
    put(o, "event.reason", said.at("/reason"));
    if said.is_sign_in() {
        put(o, "event.outcome", if said.is_failure() { "failure" } else { "success" });
    }
}

/// `event.category` and `event.type`, of those that the schema expects together.
fn classes(said: &Said<'_>) -> (Vec<&'static str>, Vec<&'static str>) {
    if said.is_sign_in() {
        return match said.kind {
            "login_failed" | "login_success" => (vec!["authentication"], vec!["start"]),
            "register_conflict" | "register_success" => (vec!["iam"], vec!["user", "creation"]),
            _ => (vec!["iam"], vec!["user", "change"]), // a password
        };
    }
    let taken = if said.is_blocked() { "denied" } else { "info" };
    let Some(category) = said.category else { return (vec!["web"], vec!["info"]) };
    match category.tag() {
        _ if category == Category::Unavailable => (vec!["web"], vec!["error"]),
        "dependency" => (vec!["web"], vec!["error"]),
        "integrity" => (vec!["configuration"], vec!["change"]),
        "credentials" => (vec!["authentication", "intrusion_detection"], vec![taken]),
        "policy" | "availability" => (vec!["network", "web"], vec![taken]),
        _ => (vec!["intrusion_detection", "web"], vec![taken]), // attacks, and what is near to them
    }
}
