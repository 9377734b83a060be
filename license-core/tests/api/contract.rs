//! Answers held to the served OpenAPI document: what these tests get is what it says, and nothing that it does not say.

use http::Method;
use serde_json::Value;
use std::fmt::Write as _;

/// Holds an answer to the document; says what is wrong with it.
pub(crate) fn hold(
    document: &Value,
    method: &Method,
    target: &str,
    status: u16,
    body: &Value,
) -> Result<(), String> {
    let path = target.split('?').next().unwrap_or_default();
    let Some(operation) = operation(document, method, path) else { return Ok(()) };
    let response = &operation["responses"][status.to_string()];
    if response.is_null() {
        return Err(format!("{method} {path} answers {status}, which is not documented"));
    }
    let schema = &response["content"]["application/json"]["schema"];
    match (schema.is_null(), body.is_null()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("{method} {path} {status} has a body that is not documented")),
        (false, _) => {
            let mut problems = String::new();
            Walk { document, problems: &mut problems }.value(schema, body, "");
            match problems.is_empty() {
                true => Ok(()),
                false => Err(format!("{method} {path} {status}: {problems}")),
            }
        }
    }
}

/// Finds the operation of a path, by its canonical spelling; the plural aliases and trailing slashes are not documented.
fn operation<'a>(document: &'a Value, method: &Method, path: &str) -> Option<&'a Value> {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == parts.len()
            && wanted.iter().zip(&parts).all(|(wanted, part)| {
                wanted == part || wanted.starts_with('{') || format!("{wanted}s") == *part
            })
    };
    // A fixed path goes before one with a parameter.
    let mut found: Vec<_> =
        document["paths"].as_object()?.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let methods = found.first()?.1;
    methods.get(method.as_str().to_lowercase())
}

struct Walk<'a> {
    document: &'a Value,
    problems: &'a mut String,
}

impl<'a> Walk<'a> {
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.resolved(self.document.pointer(pointer).unwrap())
            }
            None => schema,
        }
    }

    fn wrong(&mut self, at: &str, what: &str) {
        write!(self.problems, "`{at}` {what}; ").unwrap();
    }

    fn value(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let schema = self.resolved(schema);
        // A refusal's own codes stand beside the one shape.
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.partial(part, value, at);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let fits = any.iter().any(|one| {
                let mut problems = String::new();
                Walk { document: self.document, problems: &mut problems }.value(one, value, at);
                problems.is_empty()
            });
            if !fits {
                self.wrong(at, "is none of what it may be");
            }
        }
        self.partial(schema, value, at);
    }

    fn partial(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let schema = self.resolved(schema);
        let kinds: Vec<&str> = match schema["type"].as_array() {
            Some(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            None => schema["type"].as_str().into_iter().collect(),
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
            self.wrong(at, &format!("is not {kinds:?}"));
        }
        if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
            self.wrong(at, "is not one of its words");
        }
        if schema.get("const").is_some_and(|only| only != value) {
            self.wrong(at, "is not its word");
        }
        if schema["format"] == "date-time"
            && value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err())
        {
            self.wrong(at, "is no moment");
        }
        for item in value.as_array().into_iter().flatten() {
            if !schema["items"].is_null() {
                self.value(&schema["items"], item, &format!("{at}[]"));
            }
        }
        if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
            for required in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(required.as_str().unwrap()) {
                    self.wrong(at, &format!("has no {required}"));
                }
            }
            let is_whole = schema["type"] == "object" && schema["additionalProperties"].is_null();
            for (name, value) in fields {
                match known.get(name) {
                    Some(schema) => self.value(schema, value, &format!("{at}.{name}")),
                    None if is_whole => {
                        self.wrong(at, &format!("has `{name}`, which is not documented"))
                    }
                    None => {}
                }
            }
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn an_answer_that_is_not_what_the_document_says_is_told() {
    let document = serde_json::json!({
        "paths": {"/a/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema":
            {"$ref": "#/components/schemas/A"}}}}, "204": {"description": "gone"}}}}},
        "components": {"schemas": {"A": {"type": "object", "required": ["id"], "properties":
            {"id": {"type": "string"}, "kind": {"type": ["string", "null"], "enum": ["b", null]}}}}},
    });
    let hold = |status: u16, body: Value| hold(&document, &Method::GET, "/a/1?x=y", status, &body);
    for good in [serde_json::json!({"id": "1"}), serde_json::json!({"id": "1", "kind": null})] {
        hold(200, good).unwrap();
    }
    hold(204, Value::Null).unwrap();
    for (status, bad, says) in [
        (200, serde_json::json!({"kind": "b"}), "has no \"id\""),
        (200, serde_json::json!({"id": 1}), "is not [\"string\"]"),
        (200, serde_json::json!({"id": "1", "kind": "c"}), "is not one of its words"),
        (200, serde_json::json!({"id": "1", "more": 1}), "`more`, which is not documented"),
        (201, serde_json::json!({"id": "1"}), "answers 201, which is not documented"),
        (204, serde_json::json!({"id": "1"}), "a body that is not documented"),
    ] {
        let said = hold(status, bad).unwrap_err();
        assert!(said.contains(says), "{said}");
    }
}
