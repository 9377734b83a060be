//! The body of a refusal, in the one shape that the edge and the license service share.

use serde::Serialize;

use super::Reason;

/// Writes the JSON body for `reason`; `details` is an object of public facts such as the remaining seconds of a limit.
#[must_use]
pub fn error_body(
    reason: Reason,
    request_id: &str,
    details: &serde_json::Map<String, serde_json::Value>,
) -> Vec<u8> {
    let row = reason.row();
    let body = Body {
        error: row.code,
        message: row.message,
        detail: row.message,
        request_id,
        source: "edge",
        retryable: row.retryable,
        conclusive: row.conclusive,
        details,
    };
    let mut text = serde_json::to_vec(&body).expect("strings, booleans and a JSON map serialise");
    text.push(b'\n');
    text
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    message: &'static str,
    /// Repeats `message` for clients that read this name.
    detail: &'static str,
    request_id: &'a str,
    source: &'static str,
    retryable: bool,
    conclusive: bool,
    details: &'a serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_shared_shape() {
        let details = serde_json::Map::from_iter([("limit".to_owned(), 5.into())]);
        let text = error_body(Reason::RateLimited, "r-1", &details);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "{\"error\":\"rate_limited\",\"message\":\"too many requests\",\"detail\":\"too many requests\",\
             \"request_id\":\"r-1\",\"source\":\"edge\",\"retryable\":true,\"conclusive\":false,\
             \"details\":{\"limit\":5}}\n"
        );
    }
}
