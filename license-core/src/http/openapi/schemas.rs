//! The schemas of what is sent and answered.

use crate::domain::webhook::EVENTS;
use serde_json::{Map, Value, json};

/// Every schema by its name.
pub(super) fn all() -> Value {
    let groups = [leasing(), licenses(), webhooks(), others()];
    let all: Map<String, Value> =
        groups.into_iter().filter_map(|group| group.as_object().cloned()).flatten().collect();
    Value::Object(all)
}

fn leasing() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let id = json!({"type": "string", "format": "uuid"});
    let count = json!({"type": "integer", "minimum": 0});
    let names = json!({"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 256}});
    let maybe_time = json!({"type": ["string", "null"], "format": "date-time"});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let name = json!({"type": "string", "minLength": 1, "maxLength": 128});
    let machine =
        json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"});
    let session = json!({
        "id": id, "session_id": id, "license_id": id, "user_id": text, "hardware_id": text, "machine_id": text,
        "user_email": {"type": ["string", "null"]}, "metadata": names, "lease_epoch": count, "started_at": time,
        "last_heartbeat_at": time, "expires_at": time, "is_active": {"type": "boolean"}, "lease_ttl": count,
        "heartbeat_interval": count, "borrowed_until": maybe_time, "receipt": text,
    });
    json!({
        "Acquire": {"type": "object", "required": ["license_key"], "additionalProperties": false,
            "anyOf": [{"required": ["hardware_id"]}, {"required": ["machine_id"]}],
            "properties": {"license_key": text, "hardware_id": machine, "machine_id": machine,
                "user_email": {"type": ["string", "null"], "maxLength": 254}, "metadata": names, "take_over": {"type": ["string", "null"], "format": "uuid"},
                "receipt": {"type": ["string", "null"]},
                "ip_address": {"description": "Neither believed nor kept"},
                "user_agent": {"description": "Neither believed nor kept"}}},
        "Session": {"type": "object", "properties": session,
            "required": ["id", "session_id", "license_id", "expires_at", "lease_epoch"]},
        "Grant": {"allOf": [{"$ref": "#/components/schemas/Session"}, {"type": "object",
            "properties": {"seats_used": count, "seats_total": count}, "required": ["seats_used", "seats_total"]}]},
        "Validate": {"type": "object", "required": ["license_key"], "additionalProperties": false,
            "properties": {"license_key": text, "product": name,
                "entitlements": {"type": "array", "items": name, "maxItems": 100}}},
        "Verdict": {"type": "object", "required": ["valid", "code", "license"], "properties": {"valid": {"type": "boolean"},
            "code": text, "license": {"$ref": "#/components/schemas/License"}, "entitlements": texts,
            "missing_entitlements": texts}},
        "Reconnect": {"type": "object", "required": ["old_session_id", "hardware_id"], "additionalProperties": false,
            "properties": {"old_session_id": id, "hardware_id": machine}},
        "Borrow": {"type": "object", "required": ["duration_secs"], "additionalProperties": false,
            "properties": {"duration_secs": {"type": "integer", "minimum": 3600, "maximum": 604_800}}},
        "Receipt": {"type": "object", "required": ["session_id", "receipt"],
            "properties": {"session_id": id, "receipt": text}},
        "Erased": {"type": "object", "required": ["pseudonym", "sessions", "events", "kept_events"],
            "properties": {"pseudonym": text, "sessions": count, "events": count, "kept_events": count}},
        "Borrowed": {"type": "object", "required": ["session_id", "borrow_token", "borrowed_until", "sequence"],
            "properties": {"session_id": id, "license_id": id, "sequence": count, "borrowed_until": time, "borrow_token": text}},
        "Returned": {"type": "object", "required": ["session_id", "sequence", "ending", "return_receipt"],
            "properties": {"session_id": id, "license_id": id, "sequence": count, "ending": text,
                "return_receipt": {"type": ["string", "null"]}}},
        "Holder": {"allOf": [{"$ref": "#/components/schemas/Session"}, {"type": "object",
            "properties": {"ending": {"enum": ["expired", "released", "revoked", null]}, "idle_secs": count},
            "required": ["ending", "idle_secs"]}]},
        "SessionList": list("Holder"),
    })
}

fn licenses() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let id = json!({"type": "string", "format": "uuid"});
    let count = json!({"type": "integer", "minimum": 0});
    let maybe_time = json!({"type": ["string", "null"], "format": "date-time"});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let name = json!({"type": "string", "minLength": 1, "maxLength": 128});
    let seats = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    json!({
        "License": license(),
        "CreatedLicense": {"allOf": [{"$ref": "#/components/schemas/License"}, {"type": "object",
            "properties": {"license_key": text}, "required": ["license_key"]}]},
        "LicenseList": list("License"),
        "LicenseFile": {"type": "object", "required": ["license_id", "algorithm", "license_file"],
            "properties": {"license_id": id, "algorithm": {"const": "RS512"}, "license_file": text}},
        "NewLicense": {"type": "object", "required": ["name", "product", "seats"], "additionalProperties": false,
            "properties": {"name": name, "product": name, "seats": seats, "leasing": {"enum": ["per_machine", "per_user"]},
                "key_prefix": {"type": "string", "pattern": "^[A-Z][A-Z0-9]{1,11}$"}, "expires_at": maybe_time}},
        "LicenseChange": {"type": "object", "additionalProperties": false, "properties": {"seats": seats,
            "status": {"enum": ["active", "suspended", "revoked"]}, "product": name, "expires_at": maybe_time,
            "policy": {"type": ["string", "null"], "minLength": 1, "maxLength": 128},
            "burst": {"type": "object", "required": ["seats", "secs"], "additionalProperties": false,
                "properties": {"seats": seats, "secs": {"type": "integer", "minimum": 0, "maximum": 2_678_400}}}}},
        "Usage": {"type": "object", "required": ["license_id", "seats_total", "seats_used", "peak_sessions", "denied"],
            "properties": {"license_id": id, "name": text, "from": time, "to": time, "seats_total": count,
                "seats_used": count, "peak_sessions": count, "sessions_started": count, "denied": count,
                "suggested_seats": count}},
        "Denial": {"type": "object", "required": ["hour", "code", "times"],
            "properties": {"hour": time, "code": text, "times": count}},
        "DenialList": list("Denial"),
        "Released": {"type": "object", "required": ["released"], "properties": {"released": count}},
        "Names": {"type": "object", "required": ["items"], "properties": {"items": texts}},
    })
}

fn webhooks() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let maybe = json!({"type": ["string", "null"]});
    let url = json!({"type": "string", "format": "uri", "maxLength": 2048});
    let status = json!({"enum": ["active", "disabled"]});
    let events = json!({"type": "array", "minItems": 1, "items": {"enum": EVENTS.iter().chain(&["*"]).collect::<Vec<_>>()}});
    json!({
        "Webhook": {"type": "object", "required": ["id", "url", "events", "status", "created_at", "waiting"],
            "properties": {"id": {"type": "string", "format": "uuid"}, "url": text, "events": {"type": "array", "items": text},
                "status": status, "reason": maybe, "created_at": time, "delivered_at": maybe, "failed_at": maybe,
                "failure": maybe, "waiting": {"type": "integer", "minimum": 0}}},
        "WebhookList": list("Webhook"),
        "WebhookSecret": {"allOf": [{"$ref": "#/components/schemas/Webhook"}, {"type": "object",
            "properties": {"secret": text, "former_secret_until": time}, "required": ["secret"]}]},
        "NewWebhook": {"type": "object", "required": ["url"], "additionalProperties": false,
            "properties": {"url": url, "events": events}},
        "WebhookChange": {"type": "object", "additionalProperties": false,
            "properties": {"url": url, "events": events, "status": status}},
        "SecretRotation": {"type": "object", "additionalProperties": false,
            "properties": {"overlap_secs": {"type": ["integer", "null"], "minimum": 0, "maximum": 604_800}}},
    })
}

fn others() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let count = json!({"type": "integer", "minimum": 0});
    json!({
        "Product": {"type": "object", "required": ["name", "description", "created_at"],
            "properties": {"name": text, "description": text, "created_at": time}},
        "ProductList": list("Product"),
        "ProductText": {"type": "object", "additionalProperties": false,
            "properties": {"description": {"type": "string", "maxLength": 1024}}},
        "Tenant": {"type": "object", "required": ["id", "status", "created_at", "licenses"],
            "properties": {"id": text, "status": {"enum": ["active", "suspended"]}, "created_at": time,
                "licenses": count, "seats_total": count, "seats_used": count}},
        "Standing": {"type": "object", "required": ["status"], "additionalProperties": false,
            "properties": {"status": {"enum": ["active", "suspended"]}}},
        "Policy": {"type": "object", "required": ["name", "overdraft_percent", "take_over", "expiry", "queue"],
            "properties": policy_fields(true)},
        "PolicyText": {"type": "object", "additionalProperties": false, "properties": policy_fields(false)},
        "PolicyList": list("Policy"),
        "Subject": {"type": "object", "required": ["id", "status"],
            "properties": {"id": text, "status": {"enum": ["active", "suspended"]}}},
        "SubjectList": list("Subject"),
        "Event": {"type": "object", "required": ["head", "at", "kind", "actor"], "properties": {"head": text, "at": time,
            "kind": text, "actor": text, "license_id": {"type": ["string", "null"]},
            "session_id": {"type": ["string", "null"]}, "detail": {}}},
        "EventList": list("Event"),
        "Checkpoint": {"type": "object", "required": ["head", "at", "checkpoint"],
            "properties": {"head": text, "at": time, "checkpoint": text}},
        "CheckpointList": list("Checkpoint"),
        "KeySet": {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array"}}},
        "Status": {"type": "object", "required": ["status"], "properties": {"status": text}},
        "Error": {"type": "object",
            "required": ["error", "message", "detail", "request_id", "source", "retryable", "conclusive", "details"],
            "properties": {"error": text, "message": text, "detail": text, "request_id": text,
                "source": {"const": "license"}, "retryable": {"type": "boolean"}, "conclusive": {"type": "boolean"},
                "details": {"type": "object"}}},
    })
}

fn policy_fields(named: bool) -> Value {
    let secs = |least: u32, most: u32| json!({"type": ["integer", "null"], "minimum": least, "maximum": most});
    let mut fields = json!({
        "ttl_secs": secs(60, 86_400), "age_max_secs": secs(60, 31_622_400), "offline_max_secs": secs(0, 604_800),
        "overdraft_percent": {"type": "integer", "minimum": 0, "maximum": 1000},
        "take_over": {"enum": ["never", "own", "any"]}, "expiry": {"enum": ["restrict", "maintain", "allow"]},
        "queue": {"type": "boolean"},
    });
    if named {
        fields["name"] = json!({"type": "string"});
    }
    fields
}

fn license() -> Value {
    let (text, count) = (json!({"type": "string"}), json!({"type": "integer", "minimum": 0}));
    json!({"type": "object",
        "required": ["id", "tenant_id", "name", "product", "status", "leasing", "seats_total", "seats_used", "revision"],
        "properties": {"id": {"type": "string", "format": "uuid"}, "tenant_id": text, "name": text, "product": text,
            "status": {"enum": ["active", "suspended", "revoked"]}, "leasing": {"enum": ["per_machine", "per_user"]},
            "seats_total": count, "seats_used": count, "created_at": {"type": "string", "format": "date-time"},
            "expires_at": {"type": ["string", "null"], "format": "date-time"}, "revision": count, "policy": {"type": ["string", "null"]}, "burst_seats": count,
            "burst_until": {"type": "string", "format": "date-time"}}})
}

fn list(of: &str) -> Value {
    json!({"type": "object", "required": ["items", "next_cursor"], "properties": {
        "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{of}")}},
        "next_cursor": {"type": ["string", "null"]}}})
}
