//! The answers that repeated requests get again.

use super::Connection;
use crate::clock::Timestamp;
use crate::store::KEYS_MAX;
use crate::store::office::{Claim, Scope};
use sqlx::Row as _;

/// A request that is in hand for longer than this was lost with its process.
const IN_HAND_MS: i64 = 60_000;
/// How long an answer counts at most; `retention.answers` may say less.
const KEPT_MS: i64 = 86_400_000;

pub(in crate::store) async fn claim(
    connection: &mut Connection,
    scope: &Scope,
    key: String,
    request: Vec<u8>,
    now: Timestamp,
) -> Result<Claim, sqlx::Error> {
    let now = now.to_column();
    // Takes a free key, one whose process was lost, and one whose answer is too old.
    let taken = sqlx::query(
        "INSERT INTO idempotency (tenant_id, subject, key, request, created_at) \
         SELECT id, $2, $3, $4, $5 FROM tenant WHERE id = $1 \
         AND (SELECT count(*) FROM idempotency o WHERE o.tenant_id = $1 AND o.subject = $2 AND o.key <> $3) < $8 \
         ON CONFLICT (tenant_id, subject, key) DO UPDATE SET request = excluded.request, \
         created_at = excluded.created_at, status = NULL, body = NULL \
         WHERE (idempotency.status IS NULL AND idempotency.created_at <= $5 - $6) OR idempotency.created_at <= $5 - $7",
    )
    .bind(scope.tenant.as_str())
    .bind(&scope.actor)
    .bind(&key)
    .bind(&request)
    .bind(now)
    .bind(IN_HAND_MS)
    .bind(KEPT_MS)
    .bind(KEYS_MAX)
    .execute(&mut *connection)
    .await?;
    if taken.rows_affected() > 0 {
        return Ok(Claim::New);
    }
    let found = sqlx::query(
        "SELECT request, status, body FROM idempotency WHERE tenant_id = $1 AND subject = $2 AND key = $3",
    )
    .bind(scope.tenant.as_str())
    .bind(&scope.actor)
    .bind(&key)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else { return without_row(connection, scope).await };
    if row.try_get::<Vec<u8>, _>("request")? != request {
        return Ok(Claim::Other);
    }
    let status: Option<i64> = row.try_get("status")?;
    let body: Option<Vec<u8>> = row.try_get("body")?;
    Ok(match status.and_then(|status| u16::try_from(status).ok()).zip(body) {
        Some((status, body)) => Claim::Answered { status, body },
        None => Claim::InHand,
    })
}

/// A key that was not taken and is not there: its user has too many, or there is no such tenant, which the request
/// itself will be told.
async fn without_row(connection: &mut Connection, scope: &Scope) -> Result<Claim, sqlx::Error> {
    let tenant: Option<String> = sqlx::query_scalar("SELECT id FROM tenant WHERE id = $1")
        .bind(scope.tenant.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(if tenant.is_some() { Claim::Full } else { Claim::New })
}

pub(in crate::store) async fn answered(
    connection: &mut Connection,
    scope: &Scope,
    key: String,
    answer: Option<(u16, Vec<u8>)>,
    _now: Timestamp,
) -> Result<(), sqlx::Error> {
    // Without an answer the claim is dated back, so that the next request takes it.
    let (status, body) = answer.unzip();
    sqlx::query(
        "UPDATE idempotency SET status = $4, body = $5, \
         created_at = CASE WHEN CAST($4 AS BIGINT) IS NULL THEN 0 ELSE created_at END \
         WHERE tenant_id = $1 AND subject = $2 AND key = $3",
    )
    .bind(scope.tenant.as_str())
    .bind(&scope.actor)
    .bind(&key)
    .bind(status.map(i64::from))
    .bind(body)
    .execute(connection)
    .await?;
    Ok(())
}
