//! Reports: what buyers and auditors ask.

use super::licenses::license;
use super::{Connection, rows};
use crate::clock::Timestamp;
use crate::domain::audit::Linked;
use crate::domain::license::License;
use crate::store::office::{Denied, Page, Scope, Usage};
use crate::store::rows::{audit_columns, count};
use sqlx::Row as _;
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;

pub(in crate::store) async fn usage(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Result<Option<Usage>, sqlx::Error> {
    let Some((license, seats)) = license(connection, scope, id, now).await? else {
        return Ok(None);
    };
    // The peak walks the beginnings and ends of the period's sessions; at one moment ends come first.
    let row = sqlx::query(
        "WITH held AS (SELECT started_at, coalesce(ended_at, expires_at) AS ended FROM session \
             WHERE tenant_id = $1 AND license_id = $2 AND started_at < $4 AND coalesce(ended_at, expires_at) > $3), \
         steps AS (SELECT started_at AS at, 1 AS step FROM held UNION ALL SELECT ended, -1 FROM held), \
         counted AS (SELECT CAST(sum(step) OVER (ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS BIGINT) AS live \
             FROM steps WHERE at < $4) \
         SELECT (SELECT coalesce(max(live), 0) FROM counted) AS peak, \
         (SELECT count(*) FROM held WHERE started_at >= $3) AS acquired, \
         (SELECT CAST(coalesce(sum(times), 0) AS BIGINT) FROM denial WHERE tenant_id = $1 AND license_id = $2 \
          AND hour >= $3 - $5 AND hour < $4) AS denied",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(from.to_column())
    .bind(to.to_column())
    .bind(from.to_column().rem_euclid(HOUR_MS))
    .fetch_one(connection)
    .await?;
    Ok(Some(Usage {
        license,
        seats,
        peak_sessions: count(row.try_get("peak")?)?,
        acquired: count(row.try_get("acquired")?)?,
        denied: count(row.try_get("denied")?)?,
    }))
}

pub(in crate::store) async fn denials(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    page: Page,
    now: Timestamp,
) -> Result<Option<Vec<Denied>>, sqlx::Error> {
    if license(connection, scope, id, now).await?.is_none() {
        return Ok(None);
    }
    let after: i64 = page.after.parse().unwrap_or(-1);
    let found = sqlx::query(
        "SELECT hour, code, times FROM denial WHERE tenant_id = $1 AND license_id = $2 AND hour > $3 \
         ORDER BY hour, code LIMIT $4",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    let mut denied = Vec::with_capacity(found.len());
    for row in &found {
        denied.push(Denied {
            hour: Timestamp::from_column(row.try_get("hour")?),
            code: row.try_get("code")?,
            times: count(row.try_get("times")?)?,
        });
    }
    Ok(Some(denied))
}

/// Counts a denial in its hour.
pub(in crate::store) async fn denied(
    connection: &mut Connection,
    license: &License,
    code: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let now = now.to_column();
    sqlx::query(
        "INSERT INTO denial (tenant_id, license_id, hour, code, times) VALUES ($1, $2, $3, $4, 1) \
         ON CONFLICT (tenant_id, license_id, hour, code) DO UPDATE SET times = denial.times + 1",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(now - now.rem_euclid(HOUR_MS))
    .bind(code)
    .execute(connection)
    .await?;
    Ok(())
}

pub(in crate::store) async fn events(
    connection: &mut Connection,
    scope: &Scope,
    after: i64,
    limit: u32,
    _now: Timestamp,
) -> Result<Vec<Linked>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        audit_columns!(),
        ", position, hash FROM audit_event WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3"
    ))
    .bind(scope.tenant.as_str())
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    found.iter().map(rows::linked).collect()
}
