//! Licenses as administrators see them.

use super::{Connection, policies, rows};
use crate::clock::Timestamp;
use crate::domain::key::KeyHash;
use crate::domain::license::{License, NewLicense, Standing};
use crate::domain::names::{LicenseName, SubjectId};
use crate::store::office::{LicenseChange, Opened, Page, Scope};
use crate::store::rows::{footing_columns, license_columns, policy_columns};
use crate::store::{Conflict, Seats, fresh_id};
use uuid::Uuid;

/// Counts the seats of license `l` that are leased at `$2`.
macro_rules! used_column {
    () => {
        "(SELECT count(DISTINCT s.holder) FROM session s WHERE s.tenant_id = l.tenant_id AND s.license_id = l.id \
          AND s.ended_at IS NULL AND s.expires_at > $2) AS used"
    };
}

pub(in crate::store) async fn list_licenses(
    connection: &mut Connection,
    scope: &Scope,
    page: Page,
    now: Timestamp,
) -> Result<Vec<(License, Seats)>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        license_columns!(),
        ", ",
        used_column!(),
        " FROM license l WHERE l.tenant_id = $1 AND l.id > $3 ORDER BY l.id LIMIT $4"
    ))
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    found.iter().map(|row| rows::license_with_seats(row, now)).collect()
}

/// Reads a license and its seats.
pub(super) async fn license(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<(License, Seats)>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        license_columns!(),
        ", ",
        used_column!(),
        " FROM license l WHERE l.tenant_id = $1 AND l.id = $3"
    ))
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(id.to_string())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(|row| rows::license_with_seats(row, now)).transpose()
}

pub(in crate::store) async fn opened(
    connection: &mut Connection,
    scope: &Scope,
    subject: SubjectId,
    key: KeyHash,
    now: Timestamp,
) -> Result<Option<Opened>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        license_columns!(),
        ", ",
        footing_columns!(),
        ", ",
        used_column!(),
        " FROM license l JOIN tenant t ON t.id = l.tenant_id \
         LEFT JOIN subject u ON u.tenant_id = l.tenant_id AND u.id = $3 \
         LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy \
         WHERE l.tenant_id = $1 AND l.key_hash = $4"
    ))
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(subject.as_str())
    .bind(key.as_bytes().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let (license, seats) = rows::license_with_seats(&row, now)?;
    let entitlements = names(connection, scope, license.id).await?;
    Ok(Some(Opened { license, seats, footing: rows::footing(&row)?, entitlements, now }))
}

pub(in crate::store) async fn add_license(
    connection: &mut Connection,
    scope: &Scope,
    new: NewLicense,
    key: KeyHash,
    now: Timestamp,
) -> Result<Result<Uuid, Conflict>, sqlx::Error> {
    let known: Option<String> = sqlx::query_scalar("SELECT id FROM tenant WHERE id = $1")
        .bind(scope.tenant.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_none() {
        return Ok(Err(Conflict::NoTenant));
    }
    let id = fresh_id(now);
    let made = sqlx::query(
        "INSERT INTO license (tenant_id, id, name, product, key_hash, seats, leasing, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, name) DO NOTHING",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(new.name.as_str())
    .bind(new.product.as_str())
    .bind(key.as_bytes().as_slice())
    .bind(i64::from(new.seats))
    .bind(new.leasing.as_str())
    .bind(new.expires_at.map(Timestamp::to_column))
    .bind(now.to_column())
    .execute(connection)
    .await?;
    Ok(if made.rows_affected() > 0 { Ok(id) } else { Err(Conflict::NameTaken) })
}

pub(in crate::store) async fn amend_license(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    change: LicenseChange,
    now: Timestamp,
) -> Result<Result<(License, Seats), Conflict>, sqlx::Error> {
    if let Some(Some(policy)) = &change.policy
        && policies::policy(connection, scope, policy.clone(), now).await?.is_none()
    {
        return Ok(Err(Conflict::NoPolicy));
    }
    if let Some(burst) = change.burst {
        sqlx::query("UPDATE license SET burst_seats = $3, burst_until = $4 WHERE tenant_id = $1 AND id = $2")
            .bind(scope.tenant.as_str())
            .bind(id.to_string())
            .bind(i64::from(burst.seats))
            .bind(now.plus(burst.lasts).to_column())
            .execute(&mut *connection)
            .await?;
    }
    let changed = sqlx::query(
        "UPDATE license SET seats = coalesce($3, seats), standing = coalesce($4, standing), \
         product = coalesce($5, product), expires_at = CASE WHEN $6 = 1 THEN $7 ELSE expires_at END, \
         policy = CASE WHEN $9 = 1 THEN $10 ELSE policy END, revision = revision + 1 \
         WHERE tenant_id = $1 AND id = $2 AND (CAST($8 AS BIGINT) IS NULL OR revision = $8)",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(change.seats.map(i64::from))
    .bind(change.standing.map(Standing::as_str))
    .bind(change.product.as_ref().map(LicenseName::as_str))
    .bind(i64::from(change.expires_at.is_some()))
    .bind(change.expires_at.flatten().map(Timestamp::to_column))
    .bind(change.revision)
    .bind(i64::from(change.policy.is_some()))
    .bind(change.policy.flatten().as_ref().map(LicenseName::as_str))
    .execute(&mut *connection)
    .await?;
    let found = license(connection, scope, id, now).await?;
    Ok(match found {
        None => Err(Conflict::NoLicense),
        Some(_) if changed.rows_affected() == 0 => Err(Conflict::Changed),
        Some(found) => Ok(found),
    })
}

pub(in crate::store) async fn entitlements(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    if license(connection, scope, id, now).await?.is_none() {
        return Ok(None);
    }
    names(connection, scope, id).await.map(Some)
}

async fn names(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT name FROM entitlement WHERE tenant_id = $1 AND license_id = $2 ORDER BY name LIMIT 1000",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .fetch_all(connection)
    .await
}

pub(in crate::store) async fn entitle(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    name: LicenseName,
    now: Timestamp,
) -> Result<Option<bool>, sqlx::Error> {
    if license(connection, scope, id, now).await?.is_none() {
        return Ok(None);
    }
    let given = sqlx::query(
        "INSERT INTO entitlement (tenant_id, license_id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(name.as_str())
    .execute(connection)
    .await?;
    Ok(Some(given.rows_affected() > 0))
}

pub(in crate::store) async fn disentitle(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    name: LicenseName,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query(
        "DELETE FROM entitlement WHERE tenant_id = $1 AND license_id = $2 AND name = $3",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(name.as_str())
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() > 0)
}
