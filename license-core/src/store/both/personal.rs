//! Personal columns as they stand, to be sealed anew.

use super::Connection;
use crate::clock::Timestamp;
use crate::store::office::{PersonalRow, Scope};
use sqlx::Row as _;

pub(in crate::store) async fn personal_rows(
    connection: &mut Connection,
    scope: &Scope,
    after: String,
    limit: u32,
    _now: Timestamp,
) -> Result<Vec<PersonalRow>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id, subject, hardware, user_email, metadata FROM session WHERE tenant_id = $1 AND id > $2 \
         AND (user_email IS NOT NULL OR metadata <> '{}') ORDER BY id LIMIT $3",
    )
    .bind(scope.tenant.as_str())
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    found
        .iter()
        .map(|row| {
            Ok(PersonalRow {
                id: row.try_get("id")?,
                subject: row.try_get("subject")?,
                hardware: row.try_get("hardware")?,
                user_email: row.try_get("user_email")?,
                metadata: row.try_get("metadata")?,
            })
        })
        .collect()
}

pub(in crate::store) async fn reseal(
    connection: &mut Connection,
    scope: &Scope,
    was: PersonalRow,
    user_email: Option<String>,
    metadata: String,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    // A client that says something new meanwhile is not undone.
    let resealed = sqlx::query(
        "UPDATE session SET user_email = $3, metadata = $4 WHERE tenant_id = $1 AND id = $2 \
         AND metadata = $5 AND coalesce(user_email, '') = coalesce($6, '')",
    )
    .bind(scope.tenant.as_str())
    .bind(was.id)
    .bind(user_email)
    .bind(metadata)
    .bind(was.metadata)
    .bind(was.user_email)
    .execute(connection)
    .await?;
    Ok(resealed.rows_affected() > 0)
}
