//! `GET /api/v1/license/{id}/file`: the license, signed (with RSA-4096 and SHA-512 unless the settings say otherwise).

use super::gate::Member;
use super::request::{Asked, Id, Plain, Reply};
use super::{Api, answer};
use crate::reason::Reason;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A license, signed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LicenseFile")]
pub(super) struct View {
    license_id: Uuid,
    #[schemars(extend("enum" = ["EdDSA", "ES256", "RS512"]))]
    algorithm: &'static str,
    license_file: String,
}

/// Answers 200 with the file, 503 where nothing can be signed.
pub(super) async fn show(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let (license, _) = api.store.license(member.tenant.clone(), id).await??;
    let entitlements = api.store.entitlements(member.scope(), id).await?;
    let signer = api.signer.as_ref().ok_or(Reason::SigningUnavailable)?;
    let now = api.store.now().await?;
    let file = signer.license_file(license, entitlements.unwrap_or_default(), now).await;
    let (algorithm, file) = file.map_err(|error| {
        let error = error.with_causes();
        tracing::error!(error, "no license file was signed");
        Reason::SigningUnavailable
    })?;
    Ok(answer::json(
        StatusCode::OK,
        &View { license_id: id, algorithm: algorithm.as_str(), license_file: file },
    ))
}
