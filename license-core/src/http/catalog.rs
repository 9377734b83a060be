//! Products.

use super::request::{Admin, Asked, Moment, Name, Part, Plain, Reply, Sent, listed};
use super::{Api, answer};
use crate::domain::names::LicenseName;
use crate::reason::{Reason, Refusal};
use crate::store::office::Product;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What licenses are for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub(super) struct View {
    name: String,
    description: String,
    created_at: Moment,
}

fn view(product: Product) -> View {
    let created_at = product.created_at.into();
    View { name: product.name, description: product.description, created_at }
}

/// Answers 200 with the tenant's products.
pub(super) async fn products(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.products(scope, page).await?;
    Ok(answer::found(&listed(found, limit, |row| row.name.clone(), view)))
}

/// Answers 200 with the product.
pub(super) async fn product(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let product = api.store.product(scope, name).await?.ok_or(Reason::NotFound)?;
    Ok(answer::found(&view(product)))
}

/// How a product is described.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProductText")]
pub(super) struct Described {
    #[serde(default)]
    #[schemars(length(max = 1024))]
    description: String,
}

const DESCRIPTION_BYTES_MAX: usize = 1024;

/// Answers 201 when the product was created, 200 when it was described anew.
pub(super) async fn put_product(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
    Sent(Described { description }): Sent<Described>,
) -> Reply {
    if description.len() > DESCRIPTION_BYTES_MAX || description.contains('\0') {
        return Err(Refusal::field("description", "it is longer than 1024 bytes or holds a NUL"));
    }
    let made = api.store.put_product(scope.clone(), name.clone(), description).await?;
    let status =
        if made.ok_or(Reason::TenantAccess)? { StatusCode::CREATED } else { StatusCode::OK };
    let product = api.store.product(scope, name).await?.ok_or(Reason::NotFound)?;
    Ok(answer::json(status, &view(product)))
}

/// Answers 204 when the product is gone, 409 while licenses are of it.
pub(super) async fn delete_product(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
) -> Reply {
    api.store.delete_product(scope, name).await??;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
