//! `GET /api/v1/licenses/{id}/`: a license and how many of its seats are leased.

use super::gate::Member;
use super::sessions::Id;
use super::{Api, answer};
use crate::clock::Timestamp;
use crate::domain::license::License;
use crate::reason::Refusal;
use crate::store::Seats;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
struct LicenseView {
    id: Uuid,
    tenant_id: String,
    name: String,
    product: String,
    status: &'static str,
    leasing: &'static str,
    seats_total: u32,
    seats_used: u32,
    created_at: String,
    expires_at: Option<String>,
}

impl LicenseView {
    fn new(license: License, seats: Seats) -> Self {
        Self {
            id: license.id,
            tenant_id: license.tenant.as_str().to_owned(),
            name: license.name,
            product: license.product,
            status: license.standing.as_str(),
            leasing: license.leasing.as_str(),
            seats_total: seats.total,
            seats_used: seats.used,
            created_at: license.created_at.to_rfc3339(),
            expires_at: license.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// Answers 200, or 403 alike for another tenant's license and for none.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
) -> Response {
    let answer = async {
        let (license, seats) = api.store.license(member.tenant, id).await??;
        Ok::<_, Refusal>(answer::json(StatusCode::OK, &LicenseView::new(license, seats)))
    };
    answer.await.unwrap_or_else(answer::refuse)
}
