//! Checkpoints: signed heads of the tenant's audit chain.

use super::{Connection, rows};
use crate::clock::Timestamp;
use crate::domain::audit::Head;
use crate::store::office::{Checkpoint, Scope};
use sqlx::Row as _;

pub(in crate::store) async fn head(
    connection: &mut Connection,
    scope: &Scope,
    now: Timestamp,
) -> Result<Option<(Head, Timestamp)>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT position, hash FROM audit_event WHERE tenant_id = $1 AND position IS NOT NULL \
         ORDER BY position DESC LIMIT 1",
    )
    .bind(scope.tenant.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(found.as_ref().map(rows::head).transpose()?.map(|head| (head, now)))
}

pub(in crate::store) async fn beginning(
    connection: &mut Connection,
    scope: &Scope,
    _now: Timestamp,
) -> Result<Option<Head>, sqlx::Error> {
    let found = sqlx::query("SELECT position, hash FROM audit_beginning WHERE tenant_id = $1")
        .bind(scope.tenant.as_str())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(rows::head).transpose()
}

pub(in crate::store) async fn add_checkpoint(
    connection: &mut Connection,
    scope: &Scope,
    head: Head,
    signed: String,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO checkpoint (tenant_id, position, hash, at, signed) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(scope.tenant.as_str())
    .bind(head.position)
    .bind(head.hash.as_slice())
    .bind(now.to_column())
    .bind(signed)
    .execute(connection)
    .await?;
    Ok(())
}

pub(in crate::store) async fn checkpoints(
    connection: &mut Connection,
    scope: &Scope,
    after: i64,
    limit: u32,
    _now: Timestamp,
) -> Result<Vec<Checkpoint>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT position, hash, at, signed FROM checkpoint WHERE tenant_id = $1 AND position > $2 \
         ORDER BY position LIMIT $3",
    )
    .bind(scope.tenant.as_str())
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    let mut checkpoints = Vec::with_capacity(found.len());
    for row in &found {
        checkpoints.push(Checkpoint {
            head: rows::head(row)?,
            at: Timestamp::from_column(row.try_get("at")?),
            signed: row.try_get("signed")?,
        });
    }
    Ok(checkpoints)
}
