//! What operators do, on SQLite.

use super::Sqlite;
use super::leases::seats_used;
use super::rows;
use crate::clock::Timestamp;
use crate::domain::key::KeyHash;
use crate::domain::lease::Session;
use crate::domain::license::{License, NewLicense, Standing};
use crate::domain::names::{LicenseName, SubjectId, TenantId};
use crate::store::rows::{license_columns, session_columns};
use crate::store::{Administration, Change, Conflict, Seats, StoreError, fresh_id, unavailable};
use async_trait::async_trait;
use sqlx::SqliteConnection;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

#[async_trait]
impl Administration for Sqlite {
    async fn create_tenant(&self, tenant: TenantId) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let made = sqlx::query("INSERT INTO tenant (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                        .bind(tenant.as_str())
                        .bind(now.to_column())
                        .execute(connection)
                        .await?;
                    Ok(made.rows_affected() > 0)
                })
            })
            .await
    }

    async fn set_tenant(
        &self,
        tenant: TenantId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let set = sqlx::query("UPDATE tenant SET standing = ?2 WHERE id = ?1")
                        .bind(tenant.as_str())
                        .bind(standing.as_str())
                        .execute(connection)
                        .await?;
                    Ok(some(set.rows_affected(), Conflict::NoTenant))
                })
            })
            .await
    }

    async fn set_subject(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let set = sqlx::query(
                        "INSERT INTO subject (tenant_id, id, standing) SELECT id, ?2, ?3 FROM tenant WHERE id = ?1 \
                         ON CONFLICT (tenant_id, id) DO UPDATE SET standing = excluded.standing",
                    )
                    .bind(tenant.as_str())
                    .bind(subject.as_str())
                    .bind(standing.as_str())
                    .execute(connection)
                    .await?;
                    Ok(some(set.rows_affected(), Conflict::NoTenant))
                })
            })
            .await
    }

    async fn create_license(
        &self,
        new: NewLicense,
        key: KeyHash,
    ) -> Result<Result<Uuid, Conflict>, StoreError> {
        self.writer
            .write(move |connection, now| Box::pin(create_license(connection, new, key, now)))
            .await
    }

    async fn find_license(
        &self,
        tenant: TenantId,
        name: LicenseName,
    ) -> Result<Option<License>, StoreError> {
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = ?1 AND l.name = ?2"
        ))
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        found.as_ref().map(rows::license).transpose().map_err(unavailable)
    }

    async fn licenses(&self, tenant: TenantId) -> Result<Vec<(License, Seats)>, StoreError> {
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = ?1 ORDER BY l.name LIMIT 10000"
        ))
        .bind(tenant.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        let now = self.clock.now();
        let mut licenses = Vec::with_capacity(found.len());
        for row in &found {
            let license = rows::license(row).map_err(unavailable)?;
            let used = seats_used(&self.readers, &license, now).await.map_err(unavailable)?;
            let total = license.seats_at(now);
            licenses.push((license, Seats { used, total }));
        }
        Ok(licenses)
    }

    async fn change_license(
        &self,
        tenant: TenantId,
        id: Uuid,
        change: Change,
    ) -> Result<Result<(), Conflict>, StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let changed = match change {
                        Change::Seats(seats) => sqlx::query(
                            "UPDATE license SET seats = ?3 WHERE tenant_id = ?1 AND id = ?2",
                        )
                        .bind(tenant.as_str())
                        .bind(id.to_string())
                        .bind(seats),
                        Change::Standing(standing) => sqlx::query(
                            "UPDATE license SET standing = ?3 WHERE tenant_id = ?1 AND id = ?2",
                        )
                        .bind(tenant.as_str())
                        .bind(id.to_string())
                        .bind(standing.as_str()),
                    };
                    let changed = changed.execute(connection).await?;
                    Ok(some(changed.rows_affected(), Conflict::NoLicense))
                })
            })
            .await
    }

    async fn sessions(&self, tenant: TenantId, license: Uuid) -> Result<Vec<Session>, StoreError> {
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM session s WHERE s.tenant_id = ?1 AND s.license_id = ?2 AND s.ended_at IS NULL \
             AND s.expires_at > ?3 ORDER BY s.started_at, s.id LIMIT 10000"
        ))
        .bind(tenant.as_str())
        .bind(license.to_string())
        .bind(self.clock.now().to_column())
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        found.iter().map(rows::session).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn backup(&self, file: PathBuf) -> Result<Option<()>, StoreError> {
        // SQLite writes the copy from one snapshot; the writer goes on meanwhile.
        sqlx::query("VACUUM INTO ?1")
            .bind(file.display().to_string())
            .execute(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(Some(()))
    }

    async fn restored(
        &self,
        hold: Option<Duration>,
        longest: Duration,
    ) -> Result<Timestamp, StoreError> {
        self.writer
            .write(move |connection, now| Box::pin(restored(connection, hold, longest, now)))
            .await
    }

    async fn revoke_session(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let ended = sqlx::query(
                        "UPDATE session SET ended_at = ?3, ending = 'revoked' \
                         WHERE tenant_id = ?1 AND id = ?2 AND ended_at IS NULL AND expires_at > ?3",
                    )
                    .bind(tenant.as_str())
                    .bind(id.to_string())
                    .bind(now.to_column())
                    .execute(connection)
                    .await?;
                    Ok(ended.rows_affected() > 0)
                })
            })
            .await
    }
}

async fn restored(
    connection: &mut SqliteConnection,
    hold: Option<Duration>,
    longest: Duration,
    now: Timestamp,
) -> Result<Timestamp, sqlx::Error> {
    let policies: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(max(coalesce(ttl_secs, 0), coalesce(offline_max_secs, 0))), 0) FROM policy",
    )
    .fetch_one(&mut *connection)
    .await?;
    let policies = Duration::from_secs(u64::try_from(policies).unwrap_or(0));
    let until = now.plus(hold.unwrap_or_else(|| longest.max(policies)));
    // More grants than can be lost between two backups.
    sqlx::query("UPDATE license SET epoch = epoch + 4294967296").execute(&mut *connection).await?;
    for statement in [
        "UPDATE memory SET value = ?1 WHERE name = 'held_until'",
        "INSERT INTO audit_event (tenant_id, at, kind, actor, detail) \
         SELECT t.id, m.value, 'store.restored', 'operator', json_object('held_until', ?1) \
         FROM tenant t, memory m WHERE m.name = 'now'",
    ] {
        sqlx::query(statement).bind(until.to_column()).execute(&mut *connection).await?;
    }
    Ok(until)
}

const fn some(rows: u64, none: Conflict) -> Result<(), Conflict> {
    if rows > 0 { Ok(()) } else { Err(none) }
}

async fn create_license(
    connection: &mut SqliteConnection,
    new: NewLicense,
    key: KeyHash,
    now: Timestamp,
) -> Result<Result<Uuid, Conflict>, sqlx::Error> {
    let tenant = new.tenant.as_str();
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tenant WHERE id = ?1)")
        .bind(tenant)
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Ok(Err(Conflict::NoTenant));
    }
    let id = fresh_id(now);
    let made = sqlx::query(
        "INSERT INTO license (tenant_id, id, name, product, key_hash, seats, leasing, expires_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (tenant_id, name) DO NOTHING",
    )
    .bind(tenant)
    .bind(id.to_string())
    .bind(new.name.as_str())
    .bind(new.product.as_str())
    .bind(key.as_bytes().as_slice())
    .bind(new.seats)
    .bind(new.leasing.as_str())
    .bind(new.expires_at.map(Timestamp::to_column))
    .bind(now.to_column())
    .execute(connection)
    .await?;
    Ok(if made.rows_affected() > 0 { Ok(id) } else { Err(Conflict::NameTaken) })
}
