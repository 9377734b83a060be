//! Responses that are signed because the client asks (`Accept-Signature`, RFC 9421 §5). What cannot be signed as it was
//! asked goes out unsigned, as the RFC says: the client sees that.

use super::Api;
use super::gate::Admitted;
use crate::signing::{Algorithm, CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT};
use crate::signing::{Component, Exchange, Input, Value};
use crate::signing::{base, digest_of, signature_field};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};

const ACCEPT_SIGNATURE: &str = "accept-signature";
/// Far more than any answer has.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Signs the answer, where the request asks for it.
pub(super) async fn sign(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(asked) = asked(request.headers()) else { return next.run(request).await };
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let (mut parts, body) = next.run(request).await.into_parts();
    let is_admitted = parts.extensions.get::<Admitted>().is_some();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        tracing::error!("an answer that was to be signed could not be read");
        return super::answer::refuse(crate::reason::Reason::StoreUnavailable);
    };
    let body = body.to_bytes();
    if let Ok(digest) = HeaderValue::from_str(&digest_of(&body)) {
        parts.headers.insert(CONTENT_DIGEST, digest);
    }
    let exchange = Exchange {
        method: method.as_str(),
        target: &target,
        status: parts.status.as_u16(),
        headers: &parts.headers,
        body: &body,
    };
    let signed = signed(&api, asked, exchange, is_admitted).await;
    if let Some((input, signature)) = signed {
        parts.headers.insert(SIGNATURE_INPUT, input);
        parts.headers.insert(SIGNATURE, signature);
    }
    Response::from_parts(parts, Body::from(body))
}

/// Reads what the client asks for; `None` where it asks for nothing, or not in the field's form.
fn asked(headers: &HeaderMap) -> Option<Input> {
    let mut given = headers.get_all(ACCEPT_SIGNATURE).iter();
    match (given.next(), given.next()) {
        (Some(field), None) => Input::parse(field.to_str().ok()?),
        (_, _) => None,
    }
}

async fn signed(
    api: &Api,
    asked: Input,
    exchange: Exchange<'_>,
    is_admitted: bool,
) -> Option<(HeaderValue, HeaderValue)> {
    let signer = api.signer.as_ref()?;
    let now = api.clock.now().as_secs();
    let (input, signature) = signer
        .response(is_admitted, |kid, algorithm| {
            let input = agreed(asked, kid, algorithm, now, exchange.headers)?;
            let base = base(&input, exchange)?;
            Some((input, base))
        })
        .await?;
    let field = HeaderValue::from_str(&input.field()).ok()?;
    let signature = HeaderValue::from_str(&signature_field(&input.label, &signature)).ok()?;
    Some((field, signature))
}

/// Makes of what was asked what is signed; `None` where the client asks for what is not done here. An empty list asks
/// for everything that a client needs.
fn agreed(
    asked: Input,
    kid: &str,
    algorithm: Algorithm,
    now_secs: u64,
    headers: &HeaderMap,
) -> Option<Input> {
    let alg = algorithm.in_http_signatures();
    let mut parameters = vec![
        ("created".to_owned(), Value::Number(i64::try_from(now_secs).ok()?)),
        ("keyid".to_owned(), Value::Text(kid.to_owned())),
    ];
    // Without a registered name the key says it (RFC 9421 §2.3: `alg` is optional).
    parameters.extend(alg.map(|alg| ("alg".to_owned(), Value::Text(alg.to_owned()))));
    for (name, value) in asked.parameters {
        match (name.as_str(), &value) {
            ("created", Value::Flag) => {}
            ("alg", Value::Text(wanted)) if Some(wanted.as_str()) == alg => {}
            ("keyid", Value::Text(wanted)) if wanted == kid => {}
            ("nonce" | "tag", Value::Text(_)) => parameters.push((name, value)),
            (_, _) => return None,
        }
    }
    let mut components = asked.components;
    if components.is_empty() {
        components = vec![Component::response("@status"), Component::response(CONTENT_DIGEST)];
        if headers.contains_key(CONTENT_TYPE) {
            components.push(Component::response(CONTENT_TYPE.as_str()));
        }
        components.extend(["@method", "@path", "@query"].map(Component::request));
    }
    Some(Input { label: asked.label, components, parameters })
}
