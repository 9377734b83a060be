//! Sessions as administrators see them, and sessions that are taken offline.

use super::{Connection, rows};
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::domain::names::SubjectId;
use crate::store::office::{Page, Scope, Which};
use crate::store::rows::session_columns;
use std::time::Duration;
use uuid::Uuid;

pub(in crate::store) async fn live_sessions(
    connection: &mut Connection,
    scope: &Scope,
    which: Which,
    page: Page,
    now: Timestamp,
) -> Result<Vec<Session>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        " FROM session s WHERE s.tenant_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 \
         AND (CAST($3 AS TEXT) IS NULL OR s.license_id = $3) AND (CAST($4 AS TEXT) IS NULL OR s.subject = $4) \
         AND s.id > $5 ORDER BY s.id LIMIT $6"
    ))
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(which.license.map(|id| id.to_string()))
    .bind(which.subject.as_ref().map(SubjectId::as_str))
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    found.iter().map(rows::session).collect()
}

pub(in crate::store) async fn session(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<(Session, Timestamp)>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        " FROM session s WHERE s.tenant_id = $1 AND s.id = $2"
    ))
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(found.as_ref().map(rows::session).transpose()?.map(|session| (session, now)))
}

pub(in crate::store) async fn force_release(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query(
        "UPDATE session SET ended_at = $3, ending = 'revoked' \
         WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND expires_at > $3 \
         AND (borrowed_until IS NULL OR borrowed_until <= $3)",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(now.to_column())
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() > 0)
}

pub(in crate::store) async fn release_all(
    connection: &mut Connection,
    scope: &Scope,
    which: Which,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query(
        "UPDATE session SET ended_at = $2, ending = 'revoked' \
         WHERE tenant_id = $1 AND ended_at IS NULL AND expires_at > $2 \
         AND (borrowed_until IS NULL OR borrowed_until <= $2) \
         AND (CAST($3 AS TEXT) IS NULL OR license_id = $3) AND (CAST($4 AS TEXT) IS NULL OR subject = $4)",
    )
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(which.license.map(|id| id.to_string()))
    .bind(which.subject.as_ref().map(SubjectId::as_str))
    .execute(connection)
    .await?;
    Ok(ended.rows_affected())
}

/// Reserves the fencing epoch of a borrow token, and returns the session as it will be when [`borrow`] takes it
/// offline: what can be signed before anything happens. An epoch that is not used is a gap, which nobody minds.
pub(in crate::store) async fn reserve(
    connection: &mut Connection,
    scope: &Scope,
    subject: SubjectId,
    id: Uuid,
    offline_secs: u64,
    now: Timestamp,
) -> Result<Option<Session>, sqlx::Error> {
    // The license's row is locked by this, as by an acquire.
    let epoch: Option<i64> = sqlx::query_scalar(
        "UPDATE license SET epoch = epoch + 1 WHERE tenant_id = $1 AND id = \
         (SELECT license_id FROM session WHERE tenant_id = $1 AND id = $2 AND subject = $3 \
          AND ended_at IS NULL AND expires_at > $4) RETURNING epoch",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(subject.as_str())
    .bind(now.to_column())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(epoch) = epoch else { return Ok(None) };
    let until = now.plus(Duration::from_secs(offline_secs));
    let found = session(connection, scope, id, now).await?;
    Ok(found.map(|(session, _)| Session {
        epoch,
        last_heartbeat_at: now,
        expires_at: until,
        borrowed_until: Some(until),
        ..session
    }))
}

/// Takes a session offline as [`reserve`] said, unless it ended meanwhile or was taken offline under a later epoch.
pub(in crate::store) async fn borrow(
    connection: &mut Connection,
    scope: &Scope,
    reserved: Session,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let borrowed = sqlx::query(
        "UPDATE session SET borrowed_until = $5, expires_at = $5, epoch = $6, last_heartbeat_at = $4 \
         WHERE tenant_id = $1 AND id = $2 AND subject = $3 AND ended_at IS NULL AND expires_at > $4 \
         AND epoch < $6 AND $5 > $4",
    )
    .bind(scope.tenant.as_str())
    .bind(reserved.id.to_string())
    .bind(reserved.subject)
    .bind(now.to_column())
    .bind(reserved.expires_at.to_column())
    .bind(reserved.epoch)
    .execute(&mut *connection)
    .await?;
    Ok(borrowed.rows_affected() > 0)
}
