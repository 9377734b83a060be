//! The outbox of webhooks over all tenants: who has deliveries that are due, terms of licenses that are to be told of, and
//! the bound of what waits. What is in it is read tenant by tenant (`both/webhooks.rs`).

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{StoreError, unavailable};
use crate::domain::names::TenantId;
use crate::domain::webhook::{EXPIRING, WAITING_MAX};
use async_trait::async_trait;

/// The most terms that are told of in one transaction.
const TERMS_MAX: i64 = 1000;

/// What the deliverer needs beside a tenant's own operations.
#[async_trait]
pub(crate) trait Outbox: Send + Sync {
    /// Returns tenants with deliveries that are due, of the `limit` deliveries that are due longest.
    async fn delivery_tenants(&self, limit: u32) -> Result<Vec<TenantId>, StoreError>;
    /// Tells of licenses whose term is over or will be within a week, each once. Returns how many.
    async fn announce_terms(&self) -> Result<u64, StoreError>;
    /// Disables webhooks that too much waits for, and drops that. Returns how many deliveries were dropped.
    async fn cap_outbox(&self) -> Result<u64, StoreError>;
}

fn expiring_ms() -> i64 {
    i64::try_from(EXPIRING.as_millis()).unwrap_or(i64::MAX)
}

fn tenants(found: &[String]) -> Vec<TenantId> {
    found.iter().filter_map(|tenant| tenant.parse().ok()).collect()
}

fn number(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

#[async_trait]
impl Outbox for Postgres {
    async fn delivery_tenants(&self, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar("SELECT delivery_tenants($1)")
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(tenants(&found))
    }

    async fn announce_terms(&self) -> Result<u64, StoreError> {
        let told: i64 = sqlx::query_scalar("SELECT announce_terms($1, $2)")
            .bind(expiring_ms())
            .bind(TERMS_MAX)
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(number(told))
    }

    async fn cap_outbox(&self) -> Result<u64, StoreError> {
        let dropped: i64 = sqlx::query_scalar("SELECT cap_outbox($1)")
            .bind(WAITING_MAX)
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(number(dropped))
    }
}

#[async_trait]
impl Outbox for Sqlite {
    async fn delivery_tenants(&self, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT tenant_id FROM (SELECT tenant_id FROM webhook_outbox WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2)",
        )
        .bind(self.clock.now().to_column())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok(tenants(&found))
    }

    async fn announce_terms(&self) -> Result<u64, StoreError> {
        self.writer
            .write(|connection, now| {
                Box::pin(async move {
                    let told = sqlx::query(
                        "INSERT INTO license_notice (tenant_id, license_id, kind, term) \
                         SELECT l.tenant_id, l.id, CASE WHEN l.expires_at <= ?1 THEN 'expired' ELSE 'expiring' END, l.expires_at \
                         FROM license l WHERE l.expires_at <= ?1 + ?2 AND l.standing <> 'revoked' \
                         AND NOT EXISTS (SELECT 1 FROM license_notice n WHERE n.tenant_id = l.tenant_id \
                             AND n.license_id = l.id AND n.term = l.expires_at \
                             AND n.kind = CASE WHEN l.expires_at <= ?1 THEN 'expired' ELSE 'expiring' END) \
                         ORDER BY l.expires_at LIMIT ?3 ON CONFLICT DO NOTHING",
                    )
                    .bind(now.to_column())
                    .bind(expiring_ms())
                    .bind(TERMS_MAX)
                    .execute(connection)
                    .await?;
                    Ok(told.rows_affected())
                })
            })
            .await
    }

    async fn cap_outbox(&self) -> Result<u64, StoreError> {
        self.writer
            .write(|connection, _| {
                Box::pin(async move {
                    let full = "SELECT webhook_id FROM webhook_outbox GROUP BY tenant_id, webhook_id HAVING count(*) > ?1";
                    let full: Vec<String> =
                        sqlx::query_scalar(full).bind(WAITING_MAX).fetch_all(&mut *connection).await?;
                    let mut dropped = 0;
                    for webhook in full {
                        sqlx::query("UPDATE webhook SET standing = 'disabled', reason = 'backlog' WHERE id = ?1")
                            .bind(&webhook)
                            .execute(&mut *connection)
                            .await?;
                        let gone = sqlx::query("DELETE FROM webhook_outbox WHERE webhook_id = ?1")
                            .bind(&webhook)
                            .execute(&mut *connection)
                            .await?;
                        dropped += gone.rows_affected();
                    }
                    Ok(dropped)
                })
            })
            .await
    }
}
