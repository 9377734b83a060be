//! The audit chain on SQLite.

use super::{Sqlite, rows};
use crate::domain::audit::{Head, Linked};
use crate::domain::names::TenantId;
use crate::store::rows::audit_columns;
use crate::store::{Audit, StoreError, unavailable, veiled};
use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};
use std::collections::HashMap;
use std::time::Duration;

#[async_trait]
impl Audit for Sqlite {
    async fn link(&self, limit: u32) -> Result<u64, StoreError> {
        self.writer.write(move |connection, _| Box::pin(link(connection, limit))).await
    }

    async fn checkpoints_due(&self, age: Duration) -> Result<Vec<TenantId>, StoreError> {
        let before = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT t.id FROM tenant t \
             WHERE coalesce((SELECT max(c.at) FROM checkpoint c WHERE c.tenant_id = t.id), 0) <= ?1 - ?2 \
             AND EXISTS (SELECT 1 FROM audit_event e WHERE e.tenant_id = t.id AND e.position > \
                 coalesce((SELECT max(c.position) FROM checkpoint c WHERE c.tenant_id = t.id), 0)) \
             ORDER BY t.id LIMIT 1000",
        )
        .bind(self.clock.now().to_column())
        .bind(before)
        .fetch_all(&self.readers)
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
        let found = sqlx::query(concat!(
            "SELECT ",
            audit_columns!(),
            ", position, hash FROM audit_event WHERE tenant_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
        ))
        .bind(tenant.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        found.iter().map(rows::linked).collect::<Result<_, _>>().map_err(unavailable)
    }
}

async fn link(connection: &mut SqliteConnection, limit: u32) -> Result<u64, sqlx::Error> {
    let due = sqlx::query(concat!(
        "SELECT tenant_id, ",
        audit_columns!(),
        " FROM audit_event WHERE position IS NULL ORDER BY id LIMIT ?1"
    ))
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut heads: HashMap<String, Head> = HashMap::new();
    for row in &due {
        let tenant: String = row.try_get("tenant_id")?;
        let event = veiled(rows::event(row)?)?;
        let head = match heads.get(&tenant) {
            Some(head) => *head,
            None => head_of(connection, &tenant).await?,
        };
        let next = head.then(&tenant, &event);
        sqlx::query("UPDATE audit_event SET position = ?2, hash = ?3, salt = ?4, commitment = ?5 WHERE id = ?1")
            .bind(event.id)
            .bind(next.position)
            .bind(next.hash.as_slice())
            .bind(event.veil.as_ref().and_then(|veil| veil.salt.clone()))
            .bind(event.veil.as_ref().map(|veil| veil.commitment.to_vec()))
            .execute(&mut *connection)
            .await?;
        heads.insert(tenant, next);
    }
    Ok(u64::try_from(due.len()).unwrap_or(u64::MAX))
}

async fn head_of(connection: &mut SqliteConnection, tenant: &str) -> Result<Head, sqlx::Error> {
    let last = sqlx::query(
        "SELECT position, hash FROM audit_event WHERE tenant_id = ?1 AND position IS NOT NULL \
         ORDER BY position DESC LIMIT 1",
    )
    .bind(tenant)
    .fetch_optional(connection)
    .await?;
    last.as_ref().map_or(Ok(Head::START), rows::head)
}
