//! What operators do, on PostgreSQL.

use super::super::accelerator::Ended;
use super::leases::seats_of;
use super::{Postgres, millis, rows};
use crate::clock::Timestamp;
use crate::domain::key::KeyHash;
use crate::domain::lease::Session;
use crate::domain::license::{License, NewLicense, Standing};
use crate::domain::names::{LicenseName, SubjectId, TenantId};
use crate::store::rows::{license_columns, session_columns};
use crate::store::{Administration, Change, Conflict, Seats, StoreError, fresh_id, unavailable};
use async_trait::async_trait;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

impl Postgres {
    /// Runs one statement for a tenant and returns how many rows it touched.
    async fn execute(
        &self,
        tenant: &TenantId,
        statement: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin(tenant).await?;
        let done = statement.execute(&mut *transaction).await.map_err(unavailable)?;
        self.end(Ended::AnyOf(tenant)).await?;
        transaction.commit().await.map_err(unavailable)?;
        self.end(Ended::AnyOf(tenant)).await?;
        Ok(done.rows_affected())
    }
}

#[async_trait]
impl Administration for Postgres {
    async fn create_tenant(&self, tenant: TenantId) -> Result<bool, StoreError> {
        let made = sqlx::query(
            "INSERT INTO tenant (id, created_at) VALUES ($1, now_ms()) ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str());
        Ok(self.execute(&tenant, made).await? > 0)
    }

    async fn set_tenant(
        &self,
        tenant: TenantId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError> {
        let set = sqlx::query("UPDATE tenant SET standing = $2 WHERE id = $1")
            .bind(tenant.as_str())
            .bind(standing.as_str());
        Ok(some(self.execute(&tenant, set).await?, Conflict::NoTenant))
    }

    async fn set_subject(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        standing: Standing,
    ) -> Result<Result<(), Conflict>, StoreError> {
        let set = sqlx::query(
            "INSERT INTO subject (tenant_id, id, standing) SELECT id, $2, $3 FROM tenant WHERE id = $1 \
             ON CONFLICT (tenant_id, id) DO UPDATE SET standing = excluded.standing",
        )
        .bind(tenant.as_str())
        .bind(subject.as_str())
        .bind(standing.as_str());
        Ok(some(self.execute(&tenant, set).await?, Conflict::NoTenant))
    }

    async fn create_license(
        &self,
        new: NewLicense,
        key: KeyHash,
    ) -> Result<Result<Uuid, Conflict>, StoreError> {
        let mut transaction = self.begin(&new.tenant).await?;
        let now: Option<i64> = sqlx::query_scalar("SELECT now_ms() FROM tenant WHERE id = $1")
            .bind(new.tenant.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let Some(now) = now else {
            return Ok(Err(Conflict::NoTenant));
        };
        let id = fresh_id(Timestamp::from_column(now));
        let made = sqlx::query(
            "INSERT INTO license (tenant_id, id, name, product, key_hash, seats, leasing, expires_at, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, name) DO NOTHING",
        )
        .bind(new.tenant.as_str())
        .bind(id.to_string())
        .bind(new.name.as_str())
        .bind(new.product.as_str())
        .bind(key.as_bytes().as_slice())
        .bind(i64::from(new.seats))
        .bind(new.leasing.as_str())
        .bind(new.expires_at.map(Timestamp::to_column))
        .bind(now)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(if made.rows_affected() > 0 { Ok(id) } else { Err(Conflict::NameTaken) })
    }

    async fn find_license(
        &self,
        tenant: TenantId,
        name: LicenseName,
    ) -> Result<Option<License>, StoreError> {
        let mut transaction = self.begin(&tenant).await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = $1 AND l.name = $2"
        ))
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable)?;
        found.as_ref().map(rows::license).transpose().map_err(unavailable)
    }

    async fn licenses(&self, tenant: TenantId) -> Result<Vec<(License, Seats)>, StoreError> {
        let mut transaction = self.begin(&tenant).await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = $1 ORDER BY l.name LIMIT 10000"
        ))
        .bind(tenant.as_str())
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let mut licenses = Vec::with_capacity(found.len());
        for row in &found {
            let license = rows::license(row).map_err(unavailable)?;
            let seats = seats_of(&mut transaction, &license).await.map_err(unavailable)?;
            licenses.push((license, seats));
        }
        Ok(licenses)
    }

    async fn change_license(
        &self,
        tenant: TenantId,
        id: Uuid,
        change: Change,
    ) -> Result<Result<(), Conflict>, StoreError> {
        let changed = match change {
            Change::Seats(seats) => {
                sqlx::query("UPDATE license SET seats = $3 WHERE tenant_id = $1 AND id = $2")
                    .bind(tenant.as_str())
                    .bind(id.to_string())
                    .bind(i64::from(seats))
            }
            Change::Standing(standing) => {
                sqlx::query("UPDATE license SET standing = $3 WHERE tenant_id = $1 AND id = $2")
                    .bind(tenant.as_str())
                    .bind(id.to_string())
                    .bind(standing.as_str())
            }
        };
        Ok(some(self.execute(&tenant, changed).await?, Conflict::NoLicense))
    }

    async fn sessions(&self, tenant: TenantId, license: Uuid) -> Result<Vec<Session>, StoreError> {
        let mut transaction = self.begin(&tenant).await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM session s WHERE s.tenant_id = $1 AND s.license_id = $2 AND s.ended_at IS NULL \
             AND s.expires_at > now_ms() ORDER BY s.started_at, s.id LIMIT 10000"
        ))
        .bind(tenant.as_str())
        .bind(license.to_string())
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable)?;
        found.iter().map(rows::session).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn backup(&self, _file: PathBuf) -> Result<Option<()>, StoreError> {
        Ok(None)
    }

    async fn restored(
        &self,
        hold: Option<Duration>,
        longest: Duration,
    ) -> Result<Timestamp, StoreError> {
        let until: i64 = sqlx::query_scalar("SELECT restored($1, $2)")
            .bind(hold.map(millis))
            .bind(millis(longest))
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(Timestamp::from_column(until))
    }

    async fn revoke_session(&self, tenant: TenantId, id: Uuid) -> Result<bool, StoreError> {
        let ended = sqlx::query(
            "UPDATE session SET ended_at = now_ms(), ending = 'revoked' \
             WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND expires_at > now_ms()",
        )
        .bind(tenant.as_str())
        .bind(id.to_string());
        Ok(self.execute(&tenant, ended).await? > 0)
    }
}

const fn some(rows: u64, none: Conflict) -> Result<(), Conflict> {
    if rows > 0 { Ok(()) } else { Err(none) }
}
