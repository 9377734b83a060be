//! Policies by their names.

use super::{Connection, rows};
use crate::clock::Timestamp;
use crate::domain::names::LicenseName;
use crate::domain::policy::Policy;
use crate::store::office::{Kept, Page, Scope};
use crate::store::rows::policy_columns;
use sqlx::Row as _;
use std::time::Duration;
use uuid::Uuid;

pub(in crate::store) async fn policies(
    connection: &mut Connection,
    scope: &Scope,
    page: Page,
    _now: Timestamp,
) -> Result<Vec<(String, Policy)>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT p.name, ",
        policy_columns!(),
        " FROM policy p WHERE p.tenant_id = $1 AND p.name > $2 ORDER BY p.name LIMIT $3"
    ))
    .bind(scope.tenant.as_str())
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    let mut policies = Vec::with_capacity(found.len());
    for row in &found {
        policies.push((row.try_get("name")?, rows::policy(row)?));
    }
    Ok(policies)
}

pub(in crate::store) async fn policy(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    _now: Timestamp,
) -> Result<Option<Policy>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        policy_columns!(),
        " FROM policy p WHERE p.tenant_id = $1 AND p.name = $2"
    ))
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(rows::policy).transpose()
}

pub(in crate::store) async fn policy_of(
    connection: &mut Connection,
    scope: &Scope,
    license: Uuid,
    _now: Timestamp,
) -> Result<Policy, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        policy_columns!(),
        " FROM license l JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy \
         WHERE l.tenant_id = $1 AND l.id = $2"
    ))
    .bind(scope.tenant.as_str())
    .bind(license.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(found.as_ref().map(rows::policy).transpose()?.unwrap_or_default())
}

pub(in crate::store) async fn put_policy(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    policy: Policy,
    _now: Timestamp,
) -> Result<Option<bool>, sqlx::Error> {
    let there: Option<String> =
        sqlx::query_scalar("SELECT name FROM policy WHERE tenant_id = $1 AND name = $2")
            .bind(scope.tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let secs =
        |time: Option<Duration>| time.map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let put = sqlx::query(
        "INSERT INTO policy (tenant_id, name, ttl_secs, age_max_secs, offline_max_secs, overdraft_percent, take_over, \
         expiry, queue) SELECT id, $2, $3, $4, $5, $6, $7, $8, $9 FROM tenant WHERE id = $1 \
         ON CONFLICT (tenant_id, name) DO UPDATE SET ttl_secs = excluded.ttl_secs, \
         age_max_secs = excluded.age_max_secs, offline_max_secs = excluded.offline_max_secs, \
         overdraft_percent = excluded.overdraft_percent, take_over = excluded.take_over, expiry = excluded.expiry, \
         queue = excluded.queue",
    )
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .bind(secs(policy.ttl))
    .bind(secs(policy.age_max))
    .bind(secs(policy.offline_max))
    .bind(i64::from(policy.overdraft_percent))
    .bind(policy.take_over.as_str())
    .bind(policy.expiry.as_str())
    .bind(i64::from(policy.queue))
    .execute(connection)
    .await?;
    Ok((put.rows_affected() > 0).then_some(there.is_none()))
}

pub(in crate::store) async fn delete_policy(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    now: Timestamp,
) -> Result<Result<(), Kept>, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM policy WHERE tenant_id = $1 AND name = $2 \
         AND NOT EXISTS (SELECT 1 FROM license l WHERE l.tenant_id = $1 AND l.policy = $2)",
    )
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .execute(&mut *connection)
    .await?;
    if gone.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    let there = policy(connection, scope, name, now).await?;
    Ok(Err(if there.is_some() { Kept::InUse } else { Kept::Missing }))
}
