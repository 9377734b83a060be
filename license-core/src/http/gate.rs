//! The gate: no request reaches the API without the edge's word on who is asking.

use super::answer::{Route, refuse, route_of};
use super::{Api, idempotency, rates};
use crate::assertion::{self, Caller, Received};
use crate::domain::names::{SubjectId, TenantId};
use crate::reason::Reason;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// The largest body that is read: the same as the edge lets through.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A caller with a tenant, put into the request's extensions for the handlers.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) subject: SubjectId,
    pub(super) tenant: TenantId,
    pub(super) roles: Roles,
}

/// What the edge says that the caller may do beyond leasing seats. Other roles mean nothing here.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Roles {
    /// `license-admin`: administers the tenant's licenses.
    pub(super) admin: bool,
    /// `license-operator`: creates and suspends the tenant itself, and all that an administrator does.
    pub(super) operator: bool,
}

impl Roles {
    fn of(roles: &[String]) -> Self {
        let has = |name: &str| roles.iter().any(|role| role == name);
        let operator = has("license-operator");
        Self { admin: operator || has("license-admin"), operator }
    }
}

/// Stands in the answers to requests that the edge vouched for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted;

/// Verifies the assertion, reads the body it binds, and lets the request in.
pub(super) async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = route_of(&request);
    let mut response = match check(&api, request).await {
        Ok((request, body)) => {
            let mut response = admitted(&api, request, &body, route.as_ref(), next).await;
            response.extensions_mut().insert(Admitted);
            response
        }
        Err(reason) => refuse(reason),
    };
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// Counts the request and hands it on.
async fn admitted(
    api: &Api,
    request: Request,
    body: &Bytes,
    route: Option<&Route>,
    next: Next,
) -> Response {
    let counted = match (route, request.extensions().get::<Member>()) {
        (Some(route), Some(member)) => {
            rates::count(api, request.method().as_str(), &route.0, member)
        }
        (None, _) | (_, None) => None,
    };
    let mut response = match counted.and_then(rates::Stand::refusal) {
        Some(refusal) => refuse(refusal),
        None => idempotency::once(api, request, body, next).await,
    };
    if let Some(stand) = counted {
        stand.tell(response.headers_mut());
    }
    response
}

async fn check(api: &Api, request: Request) -> Result<(Request, Bytes), Reason> {
    let (mut parts, body) = request.into_parts();
    let mut assertions = parts.headers.get_all(assertion::HEADER).iter();
    let (Some(assertion), None) = (assertions.next(), assertions.next()) else {
        return Err(Reason::MissingAssertion);
    };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let received = Received { method: parts.method.as_str(), target };
    let pending =
        assertion::verify(assertion.as_bytes(), &api.keys.current(), received, api.clock.now())
            .map_err(unbelieved)?;
    let body = read(body).await?;
    let Caller { subject, tenant, roles } = pending.with_body(&body).map_err(unbelieved)?;
    let tenant = tenant.ok_or(Reason::MissingTenant)?;
    parts.extensions.insert(Member { subject, tenant, roles: Roles::of(&roles) });
    Ok((Request::from_parts(parts, Body::from(body.clone())), body))
}

fn unbelieved(why: assertion::Unbelieved) -> Reason {
    tracing::warn!(%why, "an assertion was not believed");
    Reason::InvalidAssertion
}

async fn read(body: Body) -> Result<Bytes, Reason> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Reason::BodyTooLarge),
        Err(_) => Err(Reason::InvalidRequest),
    }
}
