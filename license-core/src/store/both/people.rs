//! The tenant and its subjects.

use super::{Connection, rows};
use crate::clock::Timestamp;
use crate::domain::license::Standing;
use crate::domain::names::SubjectId;
use crate::store::Seats;
use crate::store::office::{Page, Scope, Subject, Tenant};
use crate::store::rows::count;
use sqlx::Row as _;

pub(in crate::store) async fn tenant(
    connection: &mut Connection,
    scope: &Scope,
    now: Timestamp,
) -> Result<Option<Tenant>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT t.standing, t.created_at, \
         (SELECT count(*) FROM license l WHERE l.tenant_id = t.id) AS licenses, \
         (SELECT CAST(coalesce(sum(l.seats), 0) AS BIGINT) FROM license l WHERE l.tenant_id = t.id) AS total, \
         (SELECT count(DISTINCT s.license_id || s.holder) FROM session s WHERE s.tenant_id = t.id \
          AND s.ended_at IS NULL AND s.expires_at > $2) AS used FROM tenant t WHERE t.id = $1",
    )
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .fetch_optional(connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let total = row.try_get::<i64, _>("total")?.min(i64::from(u32::MAX));
    Ok(Some(Tenant {
        standing: rows::standing(&row, "standing")?,
        created_at: Timestamp::from_column(row.try_get("created_at")?),
        licenses: count(row.try_get("licenses")?)?,
        seats: Seats { used: count(row.try_get("used")?)?, total: count(total)? },
    }))
}

pub(in crate::store) async fn add_tenant(
    connection: &mut Connection,
    scope: &Scope,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let made =
        sqlx::query("INSERT INTO tenant (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(scope.tenant.as_str())
            .bind(now.to_column())
            .execute(connection)
            .await?;
    Ok(made.rows_affected() > 0)
}

pub(in crate::store) async fn tenant_standing(
    connection: &mut Connection,
    scope: &Scope,
    standing: Standing,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let set = sqlx::query("UPDATE tenant SET standing = $2 WHERE id = $1")
        .bind(scope.tenant.as_str())
        .bind(standing.as_str())
        .execute(connection)
        .await?;
    Ok(set.rows_affected() > 0)
}

pub(in crate::store) async fn subjects(
    connection: &mut Connection,
    scope: &Scope,
    page: Page,
    _now: Timestamp,
) -> Result<Vec<Subject>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id, standing FROM subject WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(scope.tenant.as_str())
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    let read = |row| {
        Ok(Subject {
            id: sqlx::Row::try_get(row, "id")?,
            standing: rows::standing(row, "standing")?,
        })
    };
    found.iter().map(read).collect()
}

pub(in crate::store) async fn subject(
    connection: &mut Connection,
    scope: &Scope,
    id: SubjectId,
    _now: Timestamp,
) -> Result<Subject, sqlx::Error> {
    let found = sqlx::query("SELECT standing FROM subject WHERE tenant_id = $1 AND id = $2")
        .bind(scope.tenant.as_str())
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    let standing = found.as_ref().map(|row| rows::standing(row, "standing")).transpose()?;
    Ok(Subject { id: id.as_str().to_owned(), standing: standing.unwrap_or(Standing::Active) })
}

pub(in crate::store) async fn subject_standing(
    connection: &mut Connection,
    scope: &Scope,
    id: SubjectId,
    standing: Standing,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let set = sqlx::query(
        "INSERT INTO subject (tenant_id, id, standing) SELECT id, $2, $3 FROM tenant WHERE id = $1 \
         ON CONFLICT (tenant_id, id) DO UPDATE SET standing = excluded.standing",
    )
    .bind(scope.tenant.as_str())
    .bind(id.as_str())
    .bind(standing.as_str())
    .execute(connection)
    .await?;
    Ok(set.rows_affected() > 0)
}
