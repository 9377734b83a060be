//! Policies: how the leases of a license behave where it says otherwise than the settings.

use super::request::{Admin, Asked, Name, Part, Plain, Reply, Sent, listed};
use super::{Api, answer};
use crate::domain::names::LicenseName;
use crate::domain::policy::{Expiry, Policy, TakeOver};
use crate::reason::{Reason, Refusal};
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How leases are to behave.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyText")]
pub(super) struct Body {
    #[schemars(range(min = 60, max = 86_400))]
    ttl_secs: Option<u64>,
    #[schemars(range(min = 60, max = 31_622_400))]
    age_max_secs: Option<u64>,
    #[schemars(range(max = 604_800))]
    offline_max_secs: Option<u64>,
    #[serde(default)]
    #[schemars(range(max = 1000))]
    overdraft_percent: u32,
    #[schemars(extend("enum" = ["never", "own", "any", null]))]
    take_over: Option<String>,
    #[schemars(extend("enum" = ["restrict", "maintain", "allow", null]))]
    expiry: Option<String>,
    #[serde(default)]
    queue: bool,
}

/// How leases behave. What is `null` follows the settings.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(super) struct View {
    name: String,
    ttl_secs: Option<u64>,
    age_max_secs: Option<u64>,
    offline_max_secs: Option<u64>,
    overdraft_percent: u32,
    #[schemars(extend("enum" = ["never", "own", "any"]))]
    take_over: &'static str,
    #[schemars(extend("enum" = ["restrict", "maintain", "allow"]))]
    expiry: &'static str,
    queue: bool,
}

fn view(name: &str, policy: &Policy) -> View {
    let secs = |time: Option<Duration>| time.map(|time| time.as_secs());
    View {
        name: name.to_owned(),
        ttl_secs: secs(policy.ttl),
        age_max_secs: secs(policy.age_max),
        offline_max_secs: secs(policy.offline_max),
        overdraft_percent: policy.overdraft_percent,
        take_over: policy.take_over.as_str(),
        expiry: policy.expiry.as_str(),
        queue: policy.queue,
    }
}

/// Reads a whole number of seconds within bounds.
fn secs(
    field: &'static str,
    given: Option<u64>,
    least: u64,
    most: u64,
) -> Result<Option<Duration>, Refusal> {
    match given {
        Some(secs) if !(least..=most).contains(&secs) => {
            Err(Refusal::field(field, &format!("it is not between {least} and {most}")))
        }
        Some(secs) => Ok(Some(Duration::from_secs(secs))),
        None => Ok(None),
    }
}

impl Body {
    fn policy(&self) -> Result<Policy, Refusal> {
        let ttl = secs("ttl_secs", self.ttl_secs, 60, 86_400)?;
        let age_least = ttl.map_or(60, |ttl| ttl.as_secs());
        if self.overdraft_percent > 1000 {
            return Err(Refusal::field("overdraft_percent", "it is more than 1000"));
        }
        let take_over = self.take_over.as_deref().unwrap_or("never");
        let expiry = self.expiry.as_deref().unwrap_or("restrict");
        Ok(Policy {
            ttl,
            age_max: secs("age_max_secs", self.age_max_secs, age_least, 366 * 86_400)?,
            // Keys verify for eight days after they were used last.
            offline_max: secs("offline_max_secs", self.offline_max_secs, 0, 7 * 86_400)?,
            overdraft_percent: self.overdraft_percent,
            take_over: TakeOver::from_column(take_over)
                .ok_or_else(|| Refusal::field("take_over", "it must be `never`, `own` or `any`"))?,
            expiry: Expiry::from_column(expiry).ok_or_else(|| {
                Refusal::field("expiry", "it must be `restrict`, `maintain` or `allow`")
            })?,
            queue: self.queue,
        })
    }
}

/// Answers 200 with the tenant's policies.
pub(super) async fn list(
    State(api): State<Api>,
    Admin(scope): Admin,
    Asked(part): Asked<Part>,
) -> Reply {
    let page = part.page()?;
    let limit = page.limit;
    let found = api.store.policies(scope, page).await?;
    let view = |(name, policy): (String, Policy)| view(&name, &policy);
    Ok(answer::found(&listed(found, limit, |(name, _)| name.clone(), view)))
}

/// Answers 200 with the policy.
pub(super) async fn show(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let policy = api.store.policy(scope, name.clone()).await?.ok_or(Reason::NotFound)?;
    Ok(answer::found(&view(name.as_str(), &policy)))
}

/// Answers 201 when the policy was created, 200 when it was changed. Leases follow it with their next heartbeat.
pub(super) async fn put(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
    Sent(body): Sent<Body>,
) -> Reply {
    let policy = body.policy()?;
    let made = api.store.put_policy(scope, name.clone(), policy).await?;
    let status =
        if made.ok_or(Reason::TenantAccess)? { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &view(name.as_str(), &policy)))
}

/// Answers 204 when the policy is gone, 409 while licenses follow it.
pub(super) async fn delete(
    State(api): State<Api>,
    Admin(scope): Admin,
    Name(name): Name<LicenseName>,
) -> Reply {
    api.store.delete_policy(scope, name).await??;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
