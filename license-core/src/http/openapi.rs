//! `GET /openapi.json`: the API as OpenAPI 3.1, made from the table of operations, the table of refusals and the types
//! that handlers read and answer with, so that no answer is undocumented.

use super::answer;
use super::operations::{Access, OPERATIONS, Operation};
use crate::reason::{REASONS, Reason, Row};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const GATE: &[Reason] = &[
    Reason::MissingAssertion,
    Reason::InvalidAssertion,
    Reason::MissingTenant,
    Reason::InvalidRequest,
    Reason::BodyTooLarge,
    Reason::StoreUnavailable,
];
/// Refusals of those that take an `Idempotency-Key`.
const KEYED: &[Reason] =
    &[Reason::IdempotencyInHand, Reason::IdempotencyMismatch, Reason::TooManyKeys];

/// Answers 200 with the document.
pub(super) async fn show() -> Response {
    answer::bytes(StatusCode::OK, TEXT.clone())
}

/// It is the same for as long as the program runs.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| document().to_string().into_bytes());

/// The schemas of what is read and of what is answered: what may be left out of the one stands in the other.
struct Schemas {
    read: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    /// Returns every schema by its name. A type is either read or answered with.
    fn all(mut self) -> Map<String, Value> {
        self.answered.subschema_for::<answer::Refused<'_>>();
        let mut all = self.read.take_definitions(true);
        all.extend(self.answered.take_definitions(true));
        all
    }
}

pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut schemas = Schemas::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.method.to_owned(), described(operation, &mut schemas));
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
            "parameters": {"AcceptSignature": {"name": "Accept-Signature", "in": "header", "required": false,
                "description": "Asks for a signature of the answer (RFC 9421 §5): `sig=();nonce=\"…\"` covers the status, the body's digest (RFC 9530), its type and this request's method, path and query. What cannot be signed as it was asked goes out unsigned",
                "schema": {"type": "string"}}},
            "headers": {
                "Signature-Input": {"description": "What the signature covers, its time and its key in `/.well-known/jwks.json`, where the request asks for one", "schema": {"type": "string"}},
                "Signature": {"description": "The signature, by the algorithm of its key", "schema": {"type": "string"}},
                "Content-Digest": {"description": "SHA-256 of the body, where the request asks for a signature", "schema": {"type": "string"}},
            },
            "schemas": schemas.all(),
        },
    })
}

fn described(operation: &Operation, schemas: &mut Schemas) -> Value {
    let responses = responses(operation, &mut schemas.answered);
    let mut value =
        json!({"operationId": operation.id, "summary": operation.summary, "responses": responses});
    if operation.access != Access::Open {
        value["security"] = json!([{"edge": []}]);
    }
    match operation.access {
        Access::Open | Access::Member => {}
        Access::Admin => {
            value["description"] = json!("For the role `license-admin` or `license-operator`.")
        }
        Access::Operator => value["description"] = json!("For the role `license-operator`."),
    }
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        value["parameters"] = json!(parameters);
    }
    if let Some(body) = operation.body {
        let schema = body(&mut schemas.read);
        value["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    value
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut parameters = vec![];
    if operation.path.contains("{id}") {
        parameters.push(json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}));
    }
    if operation.path.contains("{name}") {
        parameters.push(json!({"name": "name", "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128}}));
    }
    for (name, kind, description) in operation.query {
        parameters.push(
            json!({"name": name, "in": "query", "required": false, "description": description,
            "schema": {"type": kind}}),
        );
    }
    if operation.takes_key {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same request under the same key is carried out once, for a day",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}}));
    }
    if operation.id == "change_license" {
        parameters.push(json!({"name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` of the state that is changed",
            "schema": {"type": "string", "pattern": "^[!-~]+$"}}));
    }
    parameters.push(json!({"$ref": "#/components/parameters/AcceptSignature"}));
    parameters
}

/// The headers that an answer has when it is signed.
fn signed_headers() -> Value {
    let headers = ["Signature-Input", "Signature", "Content-Digest"];
    headers
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
        .collect::<Map<_, _>>()
        .into()
}

fn responses(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    // Things that are read have a tag, by which a client asks whether they changed.
    if operation.method == "get"
        && operation.access != Access::Open
        && operation.id != "license_file"
    {
        responses.insert(
            "304".to_owned(),
            json!({"description": "The client has it already (`If-None-Match`)"}),
        );
    }
    for (status, description, schema) in operation.success {
        let mut response = json!({ "description": description });
        if let Some(schema) = schema {
            let schema = schema(schemas);
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
    for response in responses.values_mut() {
        response["headers"] = signed_headers();
    }
    Value::Object(responses)
}

/// The refusals that an operation can answer with.
pub(super) fn refusals(operation: &Operation) -> impl Iterator<Item = &'static Row> {
    REASONS.iter().filter(move |row| {
        let own = operation.refusals.contains(&row.reason);
        let scoped = match operation.access {
            Access::Open => return own,
            Access::Member => false,
            Access::Admin | Access::Operator => row.reason == Reason::InsufficientScope,
        };
        own || scoped
            || GATE.contains(&row.reason)
            || operation.takes_key && KEYED.contains(&row.reason)
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
        let described: usize = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(described, OPERATIONS.len());
        let acquire = &document["paths"]["/api/v1/license/acquire"]["post"]["responses"];
        let statuses: Vec<&str> = acquire.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            statuses,
            ["200", "201", "400", "401", "403", "409", "413", "415", "422", "429", "503"]
        );
    }
}
