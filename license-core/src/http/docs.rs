//! `GET /docs`: the OpenAPI document as a page to read, without a script and without anything from elsewhere.

use super::openapi::document;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// It is the same for as long as the program runs. Its one link leaves the page by an absolute path, so that it is right
/// with a trailing slash and without.
static PAGE: LazyLock<String> = LazyLock::new(|| page(&document()));

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Answers 200 with the page.
pub(super) async fn show() -> Response {
    ([(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, POLICY)], PAGE.as_str()).into_response()
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width\">\n<title>license-core</title>\n\
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left;\
vertical-align:top}code{font-size:.95em}h3{margin-top:2rem}</style>\n";

fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let info = &document["info"];
    write!(
        page,
        "<h1>{} {}</h1>\n<p>{}. The same for programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1). \
         <code>license</code>, <code>product</code>, <code>tenant</code>, <code>subject</code>, <code>policy</code> and \
         <code>webhook</code> may be written in the plural, and every path may end in a slash.</p>\n<h2>Operations</h2>\n",
        escaped(text(&info["title"])),
        escaped(text(&info["version"])),
        escaped(text(&info["summary"]))
    )
    .expect("a string takes what is written");
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            show_operation(&mut page, path, method, operation);
        }
    }
    page.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        show_schema(&mut page, name, schema);
    }
    page.push_str("</html>\n");
    page
}

fn show_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    page.push_str(&format!(
        "<h3 id=\"{}\"><code>{} {}</code></h3>\n<p>{}. {}</p>\n",
        escaped(id),
        escaped(&method.to_uppercase()),
        escaped(path),
        escaped(text(&operation["summary"])),
        escaped(text(&operation["description"]))
    ));
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        page.push_str(&format!("<p>Body: {}</p>\n", kind(body)));
    }
    let named = |one: &&Value| !one["name"].is_null();
    let rows: Vec<[String; 3]> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(named)
        .map(|one| {
            [
                format!(
                    "<code>{}</code> ({})",
                    escaped(text(&one["name"])),
                    escaped(text(&one["in"]))
                ),
                kind(&one["schema"]),
                escaped(text(&one["description"])),
            ]
        })
        .collect();
    table(page, ["Parameter", "Type", "Meaning"], &rows);
    let rows: Vec<[String; 3]> = operation["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, answer)| {
            let schema = &answer["content"]["application/json"]["schema"];
            // Every refusal has the one shape.
            let shape = if schema["allOf"].is_null() { schema } else { &schema["allOf"][0] };
            [escaped(status), kind(shape), escaped(text(&answer["description"]))]
        })
        .collect();
    table(page, ["Status", "Body", "Meaning"], &rows);
}

fn show_schema(page: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    let about = escaped(text(&schema["description"]));
    page.push_str(&format!("<h3 id=\"schema-{name}\">{name}</h3>\n<p>{about}</p>\n"));
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let rows: Vec<[String; 3]> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let always = if is_required(name) { "" } else { " (may be absent)" };
            let field_name = format!("<code>{}</code>{always}", escaped(name));
            [field_name, kind(field), escaped(text(&field["description"]))]
        })
        .collect();
    table(page, ["Field", "Type", "Meaning"], &rows);
}

fn table(page: &mut String, head: [&str; 3], rows: &[[String; 3]]) {
    if rows.is_empty() {
        return;
    }
    let [one, two, three] = head;
    page.push_str(&format!("<table><tr><th>{one}<th>{two}<th>{three}</tr>\n"));
    for [one, two, three] in rows {
        page.push_str(&format!("<tr><td>{one}<td>{two}<td>{three}</tr>\n"));
    }
    page.push_str("</table>\n");
}

/// Says in a few words what a schema allows.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(any) = schema["anyOf"].as_array().filter(|_| schema["type"].is_null()) {
        return any.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let mut words = match schema["type"].as_array() {
        Some(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        None => text(&schema["type"]).to_owned(),
    };
    if !schema["items"].is_null() {
        return format!("{} of {}", escaped(&words), kind(&schema["items"]));
    }
    for bound in ["format", "pattern", "minimum", "maximum", "minLength", "maxLength", "maxItems"] {
        let value = &schema[bound];
        let number = || value.is_number().then(|| value.to_string());
        if let Some(value) = value.as_str().map(str::to_owned).or_else(number) {
            words.push_str(&format!(", {bound} {value}"));
        }
    }
    if let Some(words_allowed) = schema["enum"].as_array() {
        let all: Vec<String> = words_allowed.iter().map(Value::to_string).collect();
        words.push_str(&format!(": {}", all.join(", ")));
    }
    escaped(&words)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{PAGE, escaped};
    use crate::http::openapi::document;

    #[test]
    fn every_operation_and_schema_is_on_the_page_and_every_link_leads_somewhere() {
        let (page, document) = (PAGE.as_str(), document());
        let mut operations = 0;
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(page.contains(&format!("<h3 id=\"{id}\">")), "{id}");
                operations += 1;
            }
        }
        assert!(operations > 40, "{operations}");
        let links = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut led = 0;
        for link in links {
            assert!(page.contains(&format!("<h3 id=\"{link}\">")), "{link}");
            led += 1;
        }
        assert!(led > 60, "{led}");
        assert!(!page.contains("<script") && !page.contains("http"), "nothing is from elsewhere");
    }

    #[test]
    fn what_would_be_markup_is_text() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
