//! The Open Cybersecurity Schema Framework 1.3: <https://schema.ocsf.io/1.3.0/classes/detection_finding>.
//!
//! A security event is a Detection Finding (2004), a sign-in an Authentication (3002), and what became of an account an
//! Account Change (3001).

use serde_json::{Value, json};

use super::said::Said;
use super::{PRODUCT, VERSION, put};
use crate::category::Priority;
use crate::event::millis;

/// A class, and what was done: numbers and captions.
struct Class {
    category: (u64, &'static str),
    class: (u64, &'static str),
    activity: (u64, &'static str),
}

const FINDING: Class = Class {
    category: (2, "Findings"),
    class: (2004, "Detection Finding"),
    activity: (1, "Create"),
};

pub(super) fn event(said: &Said<'_>) -> Value {
    let mut o = json!({});
    class(&mut o, &class_of(said));
    let (severity, caption) = severity(said.priority);
    put(&mut o, "severity_id", severity);
    put(&mut o, "severity", caption);
    put(&mut o, "time", said.text("/timestamp").and_then(millis));
    put(&mut o, "message", said.title());
    put(&mut o, "metadata.version", "1.3.0");
    put(
        &mut o,
        "metadata.product",
        json!({ "name": PRODUCT, "vendor_name": PRODUCT, "version": VERSION }),
    );
    put(&mut o, "metadata.uid", said.first(&["/event_id", "/requestId"]));
    put(&mut o, "metadata.correlation_uid", said.text("/incident_id"));
    if said.is_sign_in() {
        account(&mut o, said);
    } else {
        finding(&mut o, said);
    }
    put(&mut o, "unmapped.objects", said.at("/objects"));
    for (name, text) in said.others() {
        put(&mut o, &format!("unmapped.{name}"), text);
    }
    o
}

fn class(o: &mut Value, class: &Class) {
    put(o, "category_uid", class.category.0);
    put(o, "category_name", class.category.1);
    put(o, "class_uid", class.class.0);
    put(o, "class_name", class.class.1);
    put(o, "activity_id", class.activity.0);
    put(o, "activity_name", class.activity.1);
    put(o, "type_uid", class.class.0 * 100 + class.activity.0);
    put(o, "type_name", format!("{}: {}", class.class.1, class.activity.1));
}

fn class_of(said: &Said<'_>) -> Class {
    let category = (3, "Identity & Access Management");
    let change = (3001, "Account Change");
    match said.kind {
        _ if !said.is_sign_in() => FINDING,
        "login_failed" | "login_success" => {
            Class { category, class: (3002, "Authentication"), activity: (1, "Logon") }
        }
        "register_conflict" | "register_success" => {
            Class { category, class: change, activity: (1, "Create") }
        }
        _ => Class { category, class: change, activity: (3, "Password Change") },
    }
}

const fn severity(priority: Priority) -> (u64, &'static str) {
    match priority {
        Priority::P0 => (5, "Critical"),
        Priority::P1 => (4, "High"),
        Priority::P2 => (3, "Medium"),
        Priority::P3 => (2, "Low"),
    }
}

fn account(o: &mut Value, said: &Said<'_>) {
    let (status, caption) = if said.is_failure() { (2, "Failure") } else { (1, "Success") };
    put(o, "status_id", status);
    put(o, "status", caption);
    put(o, "status_detail", said.at("/reason"));
    put(o, "user.uid", said.user());
    put(o, "user.email_addr", said.at("/email"));
    put(o, "src_endpoint.ip", said.source());
    put(o, "http_request.uid", said.request_id());
}

fn finding(o: &mut Value, said: &Said<'_>) {
    // The profile that says what a control did.
    put(o, "metadata.profiles", json!(["security_control"]));
    let (action, disposition) = if said.is_blocked() {
        ((2, "Denied"), (2, "Blocked"))
    } else {
        ((1, "Allowed"), (17, "Logged"))
    };
    put(o, "action_id", action.0);
    put(o, "action", action.1);
    put(o, "disposition_id", disposition.0);
    put(o, "disposition", disposition.1);
    put(o, "status_id", 1);
    put(o, "status", "New");
    put(o, "is_alert", said.text("/incident_id").is_some());
    put(o, "count", said.at("/count"));
    put(o, "finding_info.uid", said.first(&["/event_id", "/requestId"]));
    put(o, "finding_info.title", said.title());
    put(o, "finding_info.types", json!([said.kind]));
    if let Some(rule) = said.rule() {
        put(o, "finding_info.analytic", json!({ "uid": rule, "type_id": 1, "type": "Rule" }));
    }
    put(o, "evidences", json!([evidence(said)]));
}

fn evidence(said: &Said<'_>) -> Value {
    let mut o = json!({});
    put(&mut o, "src_endpoint.ip", said.source());
    put(&mut o, "src_endpoint.location.country", said.at("/actor/country"));
    put(&mut o, "src_endpoint.autonomous_system.number", said.at("/actor/asn"));
    put(&mut o, "actor.user.uid", said.user());
    put(&mut o, "actor.user.org.uid", said.at("/tenant_id"));
    put(&mut o, "http_request.uid", said.request_id());
    put(&mut o, "http_request.http_method", said.text("/request/method"));
    put(&mut o, "http_request.url.path", said.text("/request/path"));
    put(&mut o, "http_request.user_agent", said.at("/actor/user_agent"));
    put(&mut o, "http_response.code", said.status());
    put(&mut o, "http_response.body_length", said.at("/response/bytes_out"));
    if let Some(ja4) = said.text("/actor/fingerprint") {
        put(&mut o, "ja4_fingerprint_list", json!([{ "type_id": 1, "type": "JA4", "value": ja4 }]));
    }
    // One of these has to be there.
    if o.get("src_endpoint").or_else(|| o.get("actor")).is_none() {
        put(&mut o, "data", json!({ "type": said.kind }));
    }
    o
}
