//! The optional plain listener: it answers nothing but 308 to the same target under `https`.
//!
//! A host that is not served is refused, so that the listener redirects nobody to a name of the client's choosing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::accept::Edge;
use crate::gate::{security_headers, split_authority};
use crate::reason::{Reason, error_body};

/// Serves one plain connection: one request, one answer.
pub(super) async fn serve(
    edge: &Arc<Edge>,
    status: u16,
    tcp: TcpStream,
    mut stopping: watch::Receiver<bool>,
) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(respond(edge, status, &request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.deadlines.head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), answer);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "a plain connection");
        },
        _ = stopping.changed() => {}
    }
}

fn respond(edge: &Edge, status: u16, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = match target(edge, request) {
        Ok(location) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(reason) => refusal(edge, reason),
    };
    edge.shared.metrics.answered(response.status().as_u16(), Duration::ZERO);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in security_headers() {
        headers.insert(name.clone(), value.clone());
    }
    response
}

fn refusal(edge: &Edge, reason: Reason) -> Response<Full<Bytes>> {
    edge.shared.metrics.refused(reason);
    let body = error_body(reason, "", &serde_json::Map::new());
    let mut response = Response::new(Full::default());
    *response.status_mut() =
        StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = Full::from(body);
    response
}

/// The same target under `https`, or why there is none.
fn target(edge: &Edge, request: &Request<Incoming>) -> Result<HeaderValue, Reason> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Reason::MalformedRequest);
    };
    let (name, _port) = split_authority(host.as_bytes()).ok_or(Reason::MalformedRequest)?;
    if !edge.shared.snapshot.load().router.serves(name) {
        return Err(Reason::UnknownHost);
    }
    let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut location = b"https://".to_vec();
    location.extend_from_slice(name);
    if edge.https_port != 443 {
        location.extend_from_slice(format!(":{}", edge.https_port).as_bytes());
    }
    location.extend_from_slice(path.as_bytes());
    HeaderValue::from_bytes(&location).map_err(|_| Reason::MalformedRequest)
}
