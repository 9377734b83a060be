//! `GET /openapi.json`: the API as OpenAPI 3.1, made from the table of operations and the table of refusals, so that
//! no answer is undocumented.

use super::answer;
use crate::reason::{REASONS, Reason, Row};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

/// One operation of the API.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Whether it stands behind the gate.
    guarded: bool,
    /// Statuses of success, each with the name of its schema or none.
    success: &'static [(u16, &'static str, Option<&'static str>)],
    /// Refusals of its own, beside those of the gate.
    refusals: &'static [Reason],
}

const LEASING: &[Reason] = &[
    Reason::InvalidRequest,
    Reason::TenantAccess,
    Reason::TenantSuspended,
    Reason::SubjectSuspended,
    Reason::LicenseSuspended,
    Reason::LicenseRevoked,
    Reason::LicenseExpired,
    Reason::StoreUnavailable,
];
const GATE: &[Reason] = &[
    Reason::MissingAssertion,
    Reason::InvalidAssertion,
    Reason::MissingTenant,
    Reason::BodyTooLarge,
];

/// Every operation.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/api/v1/license/acquire",
        id: "acquire",
        summary: "Acquire a seat for a machine, or get back the session that the caller holds there",
        guarded: true,
        success: &[
            (201, "A new session", Some("Grant")),
            (200, "The session held before, renewed", Some("Grant")),
        ],
        refusals: &[Reason::InvalidLicenseKey, Reason::NoSeats, Reason::UnsupportedMediaType],
    },
    Operation {
        method: "patch",
        path: "/api/v1/license/sessions/{id}/heartbeat",
        id: "heartbeat",
        summary: "Extend the lease of a live session",
        guarded: true,
        success: &[(200, "The extended lease", Some("Session"))],
        refusals: &[Reason::SessionExpired, Reason::SessionReleased, Reason::SessionRevoked],
    },
    Operation {
        method: "delete",
        path: "/api/v1/license/sessions/{id}",
        id: "release",
        summary: "Give a seat back; a session that ended is given back already",
        guarded: true,
        success: &[(204, "The seat is free of this session", None)],
        refusals: &[],
    },
    Operation {
        method: "get",
        path: "/api/v1/licenses/{id}/",
        id: "license",
        summary: "Read a license and how many of its seats are leased",
        guarded: true,
        success: &[(200, "The license", Some("License"))],
        refusals: &[],
    },
    Operation {
        method: "get",
        path: "/.well-known/jwks.json",
        id: "keys",
        summary: "Read the keys that receipts are verified with",
        guarded: false,
        success: &[(200, "A JSON web key set", Some("KeySet"))],
        refusals: &[Reason::NotFound, Reason::StoreUnavailable],
    },
    Operation {
        method: "get",
        path: "/health",
        id: "health",
        summary: "Ask whether the process lives",
        guarded: false,
        success: &[(200, "It does", Some("Status"))],
        refusals: &[],
    },
    Operation {
        method: "get",
        path: "/ready",
        id: "ready",
        summary: "Ask whether the store serves",
        guarded: false,
        success: &[(200, "It does", Some("Status"))],
        refusals: &[Reason::StoreUnavailable],
    },
];

/// Answers 200 with the document.
pub(super) async fn show() -> Response {
    answer::json(StatusCode::OK, &document())
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.method.to_owned(), described(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "license-core", "version": env!("CARGO_PKG_VERSION"),
            "summary": "Floating licenses whose seats are never given twice"},
        "paths": paths,
        "components": {
            "securitySchemes": {"edge": {"type": "apiKey", "in": "header", "name": "X-Edge-Assertion",
                "description": "A JWS that the edge signs for each request; clients give the edge a bearer token"}},
            "schemas": schemas(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut value = json!({"operationId": operation.id, "summary": operation.summary, "responses": responses(operation)});
    if operation.guarded {
        value["security"] = json!([{"edge": []}]);
    }
    if operation.path.contains("{id}") {
        value["parameters"] = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}]);
    }
    if operation.id == "acquire" {
        let schema = json!({"$ref": "#/components/schemas/Acquire"});
        value["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    value
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (status, description, schema) in operation.success {
        let mut response = json!({ "description": description });
        if let Some(schema) = schema {
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            response["content"] = json!({"application/json": {"schema": schema}});
        }
        responses.insert(status.to_string(), response);
    }
    for status in REASONS.iter().map(|row| row.status) {
        let codes: Vec<&str> =
            refusals(operation).filter(|row| row.status == status).map(|row| row.code).collect();
        if !codes.is_empty() {
            let schema = json!({"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": {"error": {"enum": codes}}}]});
            let description = codes.join(", ");
            let content = json!({"application/json": {"schema": schema}});
            responses.insert(
                status.to_string(),
                json!({"description": description, "content": content}),
            );
        }
    }
    Value::Object(responses)
}

/// The refusals that an operation can answer with.
pub(super) fn refusals(operation: &Operation) -> impl Iterator<Item = &'static Row> {
    REASONS.iter().filter(move |row| {
        let own = operation.refusals.contains(&row.reason);
        own || operation.guarded && (GATE.contains(&row.reason) || LEASING.contains(&row.reason))
    })
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let id = json!({"type": "string", "format": "uuid"});
    let count = json!({"type": "integer", "minimum": 0});
    let names = json!({"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 256}});
    let machine =
        json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"});
    let session = json!({
        "id": id, "session_id": id, "license_id": id, "user_id": text, "hardware_id": text, "machine_id": text,
        "user_email": {"type": ["string", "null"]}, "metadata": names, "lease_epoch": count, "started_at": time,
        "last_heartbeat_at": time, "expires_at": time, "is_active": {"type": "boolean"}, "lease_ttl": count,
        "heartbeat_interval": count, "receipt": text,
    });
    json!({
        "Acquire": {"type": "object", "required": ["license_key"], "additionalProperties": false,
            "anyOf": [{"required": ["hardware_id"]}, {"required": ["machine_id"]}],
            "properties": {"license_key": text, "hardware_id": machine, "machine_id": machine,
                "user_email": {"type": ["string", "null"], "maxLength": 254}, "metadata": names,
                "ip_address": {"description": "Neither believed nor kept"},
                "user_agent": {"description": "Neither believed nor kept"}}},
        "Session": {"type": "object", "properties": session,
            "required": ["id", "session_id", "license_id", "expires_at", "lease_epoch", "heartbeat_interval"]},
        "Grant": {"allOf": [{"$ref": "#/components/schemas/Session"}, {"type": "object",
            "properties": {"seats_used": count, "seats_total": count}, "required": ["seats_used", "seats_total"]}]},
        "License": {"type": "object", "properties": {"id": id, "tenant_id": text, "name": text, "product": text,
            "status": {"enum": ["active", "suspended", "revoked"]}, "leasing": {"enum": ["per_machine", "per_user"]},
            "seats_total": count, "seats_used": count, "created_at": time,
            "expires_at": {"type": ["string", "null"], "format": "date-time"}}},
        "KeySet": {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array"}}},
        "Status": {"type": "object", "required": ["status"], "properties": {"status": text}},
        "Error": {"type": "object",
            "required": ["error", "message", "detail", "request_id", "source", "retryable", "conclusive", "details"],
            "properties": {"error": text, "message": text, "detail": text, "request_id": text,
                "source": {"const": "license"}, "retryable": {"type": "boolean"}, "conclusive": {"type": "boolean"},
                "details": {"type": "object"}}},
    })
}

#[cfg(test)]
mod tests {
    use super::{OPERATIONS, document, refusals};
    use crate::reason::{REASONS, Reason};
    use serde_json::Value;

    #[test]
    fn every_refusal_is_documented_somewhere_but_those_of_paths_that_do_not_exist() {
        for row in &REASONS {
            let documented = OPERATIONS
                .iter()
                .any(|operation| refusals(operation).any(|known| known.code == row.code));
            assert!(documented || row.reason == Reason::MethodNotAllowed, "{}", row.code);
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| walk(value, document));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = document();
        walk(&document, &document);
        assert_eq!(document["paths"].as_object().unwrap().len(), OPERATIONS.len());
        let acquire = &document["paths"]["/api/v1/license/acquire"]["post"]["responses"];
        let statuses: Vec<&str> = acquire.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "201", "400", "401", "403", "409", "413", "415", "503"]);
    }
}
