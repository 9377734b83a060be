//! `POST /api/v1/license/validate`: what a license key is worth, without a seat being taken. A verdict, not an
//! enforcement: a license that may not be used is answered 200 with `valid: false` and the reason's code.

use super::gate::Member;
use super::request::{Reply, Sent, wrong};
use super::{Api, answer, licenses};
use crate::domain::key::LicenseKey;
use crate::domain::names::LicenseName;
use crate::reason::{Reason, Refusal};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ENTITLEMENTS_MAX: usize = 100;

/// A key, and what is asked of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Validate")]
pub(super) struct Body {
    license_key: String,
    #[schemars(length(min = 1, max = 128))]
    product: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    entitlements: Vec<String>,
}

/// What a license key is worth.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verdict {
    valid: bool,
    code: &'static str,
    license: licenses::View,
    entitlements: Vec<String>,
    missing_entitlements: Vec<String>,
}

/// Answers 200 with the verdict, 403 alike for another tenant's key and for nobody's.
pub(super) async fn validate(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Sent(body): Sent<Body>,
) -> Reply {
    let key = LicenseKey::parse(&body.license_key).map_err(|_| Reason::InvalidLicenseKey)?;
    if body.entitlements.len() > ENTITLEMENTS_MAX {
        return Err(Refusal::field("entitlements", "there are more than 100"));
    }
    for name in body.entitlements.iter().chain(&body.product) {
        name.parse::<LicenseName>().map_err(wrong("entitlements"))?;
    }
    let opened = api.store.opened(member.scope(), member.subject.clone(), key.hash()).await?;
    let opened = opened.ok_or(Reason::TenantAccess)?;
    let is_missing = |name: &&String| !opened.entitlements.contains(name);
    let missing: Vec<String> = body.entitlements.iter().filter(is_missing).cloned().collect();
    let code = match opened.footing.admits(opened.now) {
        Err(denial) => Refusal::from(denial).reason.row().code,
        Ok(())
            if body.product.as_ref().is_some_and(|product| *product != opened.license.product) =>
        {
            "product_mismatch"
        }
        Ok(()) if !missing.is_empty() => "entitlements_missing",
        Ok(()) => "valid",
    };
    let verdict = Verdict {
        valid: code == "valid",
        code,
        license: licenses::view(opened.license, opened.seats),
        entitlements: opened.entitlements,
        missing_entitlements: missing,
    };
    Ok(answer::json(StatusCode::OK, &verdict))
}
