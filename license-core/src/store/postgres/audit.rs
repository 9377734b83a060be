//! The audit chain on PostgreSQL.

use super::{Postgres, millis, rows};
use crate::domain::audit::{Head, Linked};
use crate::domain::names::TenantId;
use crate::store::rows::audit_columns;
use crate::store::{Audit, StoreError, unavailable, veiled};
use async_trait::async_trait;
use sqlx::PgConnection;
use std::time::Duration;

#[async_trait]
impl Audit for Postgres {
    async fn link(&self, limit: u32) -> Result<u64, StoreError> {
        let tenants: Vec<String> = sqlx::query_scalar("SELECT unlinked_tenants()")
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        let mut linked = 0;
        for tenant in tenants {
            let Ok(tenant) = tenant.parse::<TenantId>() else { continue };
            let mut transaction = self.begin(&tenant).await?;
            linked += link(&mut transaction, &tenant, limit).await.map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
        }
        Ok(linked)
    }

    async fn checkpoints_due(&self, age: Duration) -> Result<Vec<TenantId>, StoreError> {
        let due: Vec<String> = sqlx::query_scalar("SELECT checkpoint_due($1)")
            .bind(millis(age))
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(due.iter().filter_map(|tenant| tenant.parse().ok()).collect())
    }

    async fn linked(
        &self,
        tenant: TenantId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError> {
        let mut transaction = self.begin(&tenant).await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            audit_columns!(),
            ", position, hash FROM audit_event WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3"
        ))
        .bind(tenant.as_str())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable)?;
        found.iter().map(rows::linked).collect::<Result<_, _>>().map_err(unavailable)
    }
}

/// Links the tenant's events. One process at a time does; the lock ends with the transaction.
async fn link(
    connection: &mut PgConnection,
    tenant: &TenantId,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('audit ' || $1, 0))")
        .bind(tenant.as_str())
        .execute(&mut *connection)
        .await?;
    let due = sqlx::query(concat!(
        "SELECT ",
        audit_columns!(),
        " FROM audit_event WHERE tenant_id = $1 AND position IS NULL ORDER BY id LIMIT $2"
    ))
    .bind(tenant.as_str())
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    let last = sqlx::query(
        "SELECT position, hash FROM audit_event WHERE tenant_id = $1 AND position IS NOT NULL \
         ORDER BY position DESC LIMIT 1",
    )
    .bind(tenant.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let mut head = last.as_ref().map_or(Ok(Head::START), rows::head)?;
    let (mut ids, mut positions, mut hashes) = (vec![], vec![], vec![]);
    let (mut salts, mut commitments) = (vec![], vec![]);
    for row in &due {
        let event = veiled(rows::event(row)?)?;
        head = head.then(tenant.as_str(), &event);
        ids.push(event.id);
        positions.push(head.position);
        hashes.push(head.hash.to_vec());
        salts.push(event.veil.as_ref().and_then(|veil| veil.salt.clone()));
        commitments.push(event.veil.as_ref().map(|veil| veil.commitment.to_vec()));
    }
    sqlx::query(
        "UPDATE audit_event e SET position = n.position, hash = n.hash, salt = n.salt, commitment = n.commitment \
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[]) \
         AS n (id, position, hash, salt, commitment) WHERE e.id = n.id",
    )
    .bind(&ids)
    .bind(&positions)
    .bind(&hashes)
    .bind(&salts)
    .bind(&commitments)
    .execute(connection)
    .await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}
