//! Webhooks and the outbox of what is told to them.

use super::Connection;
use crate::clock::Timestamp;
use crate::domain::webhook::{
    Delivery, Events, NewWebhook, NotMade, Settled, TEST_EVENT, WEBHOOKS_MAX, Webhook,
    WebhookChange,
};
use crate::store::office::{Page, Scope};
use crate::store::rows::{count, foreign};
use sqlx::Row as _;
use std::time::Duration;
use uuid::Uuid;

type Row = <<Connection as sqlx::Connection>::Database as sqlx::Database>::Row;

/// A delivery whose process was lost is tried again after this; longer than any attempt takes.
const CLAIMED: Duration = Duration::from_secs(60);

macro_rules! webhook_columns {
    () => {
        "w.id, w.url, w.events, w.standing, w.reason, w.created_at, w.delivered_at, w.failed_at, w.failure, \
         w.former_until, (SELECT count(*) FROM webhook_outbox o WHERE o.tenant_id = w.tenant_id AND o.webhook_id = w.id) \
         AS waiting"
    };
}

fn read(row: &Row) -> Result<Webhook, sqlx::Error> {
    let time = |column| {
        Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_column))
    };
    Ok(Webhook {
        id: uuid(row, "id")?,
        url: row.try_get("url")?,
        events: Events::from_column(row.try_get("events")?),
        is_active: row.try_get::<&str, _>("standing")? == "active",
        reason: row.try_get("reason")?,
        created_at: Timestamp::from_column(row.try_get("created_at")?),
        delivered_at: time("delivered_at")?,
        failed_at: time("failed_at")?,
        failure: row.try_get("failure")?,
        former_until: Timestamp::from_column(row.try_get("former_until")?),
        waiting: count(row.try_get("waiting")?)?,
    })
}

fn uuid(row: &Row, column: &'static str) -> Result<Uuid, sqlx::Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| foreign(column))
}

pub(in crate::store) async fn webhooks(
    connection: &mut Connection,
    scope: &Scope,
    page: Page,
    _now: Timestamp,
) -> Result<Vec<Webhook>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhook w WHERE w.tenant_id = $1 AND w.id > $2 ORDER BY w.id LIMIT $3"
    ))
    .bind(scope.tenant.as_str())
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    found.iter().map(read).collect()
}

pub(in crate::store) async fn webhook(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    _now: Timestamp,
) -> Result<Option<Webhook>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhook w WHERE w.tenant_id = $1 AND w.id = $2"
    ))
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(read).transpose()
}

pub(in crate::store) async fn add_webhook(
    connection: &mut Connection,
    scope: &Scope,
    new: NewWebhook,
    now: Timestamp,
) -> Result<Result<(), NotMade>, sqlx::Error> {
    let made = sqlx::query(
        "INSERT INTO webhook (tenant_id, id, url, events, secret, created_at) SELECT t.id, $2, $3, $4, $5, $6 \
         FROM tenant t WHERE t.id = $1 AND (SELECT count(*) FROM webhook w WHERE w.tenant_id = $1) < $7",
    )
    .bind(scope.tenant.as_str())
    .bind(new.id.to_string())
    .bind(&new.url)
    .bind(new.events.to_column())
    .bind(&new.secret)
    .bind(now.to_column())
    .bind(WEBHOOKS_MAX)
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    let tenant: Option<String> = sqlx::query_scalar("SELECT id FROM tenant WHERE id = $1")
        .bind(scope.tenant.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(Err(if tenant.is_some() { NotMade::TooMany } else { NotMade::NoTenant }))
}

pub(in crate::store) async fn change_webhook(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    change: WebhookChange,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let standing = change.active.map(|active| if active { "active" } else { "disabled" });
    let changed = sqlx::query(
        "UPDATE webhook SET url = coalesce($3, url), events = coalesce($4, events), standing = coalesce($5, standing), \
         reason = CASE WHEN CAST($5 AS TEXT) IS NULL THEN reason WHEN $5 = 'active' THEN NULL ELSE 'by hand' END \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(change.url)
    .bind(change.events.as_ref().map(Events::to_column))
    .bind(standing)
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() > 0)
}

pub(in crate::store) async fn rotate_secret(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    secret: Vec<u8>,
    overlap: Duration,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE webhook SET former_secret = secret, former_until = $4, secret = $3 WHERE tenant_id = $1 AND id = $2",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(secret)
    .bind(now.plus(overlap).to_column())
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() > 0)
}

pub(in crate::store) async fn remove_webhook(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    _now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query("DELETE FROM webhook WHERE tenant_id = $1 AND id = $2")
        .bind(scope.tenant.as_str())
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(gone.rows_affected() > 0)
}

pub(in crate::store) async fn test_webhook(
    connection: &mut Connection,
    scope: &Scope,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let queued = sqlx::query(
        "INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at) \
         SELECT w.tenant_id, $3, w.id, $4, $5, '{}', $5 FROM webhook w \
         WHERE w.tenant_id = $1 AND w.id = $2 AND w.standing = 'active'",
    )
    .bind(scope.tenant.as_str())
    .bind(id.to_string())
    .bind(Uuid::new_v4().simple().to_string())
    .bind(TEST_EVENT)
    .bind(now.to_column())
    .execute(connection)
    .await?;
    Ok(queued.rows_affected() > 0)
}

/// Takes deliveries that are due, for [`CLAIMED`]. Two processes never take one: the update looks at `due_at` anew on a
/// row that it had to wait for.
pub(in crate::store) async fn claim_deliveries(
    connection: &mut Connection,
    scope: &Scope,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Delivery>, sqlx::Error> {
    let claimed = sqlx::query(
        "UPDATE webhook_outbox SET due_at = $3, attempts = attempts + 1 WHERE tenant_id = $1 AND due_at <= $2 AND id IN \
         (SELECT o.id FROM webhook_outbox o JOIN webhook w ON w.tenant_id = o.tenant_id AND w.id = o.webhook_id \
          WHERE o.tenant_id = $1 AND o.due_at <= $2 AND w.standing = 'active' ORDER BY o.due_at, o.id LIMIT $4) \
         RETURNING id, webhook_id, event, at, data, attempts, \
         (SELECT w.url FROM webhook w WHERE w.tenant_id = webhook_outbox.tenant_id AND w.id = webhook_id) AS url, \
         (SELECT w.secret FROM webhook w WHERE w.tenant_id = webhook_outbox.tenant_id AND w.id = webhook_id) AS secret, \
         (SELECT w.former_secret FROM webhook w WHERE w.tenant_id = webhook_outbox.tenant_id AND w.id = webhook_id \
          AND w.former_until > $2) AS former",
    )
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .bind(now.plus(CLAIMED).to_column())
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    // What waits for a webhook that was disabled meanwhile is dropped: who enables it again begins anew.
    sqlx::query(
        "DELETE FROM webhook_outbox WHERE tenant_id = $1 AND due_at <= $2 AND webhook_id IN \
         (SELECT w.id FROM webhook w WHERE w.tenant_id = $1 AND w.standing = 'disabled')",
    )
    .bind(scope.tenant.as_str())
    .bind(now.to_column())
    .execute(connection)
    .await?;
    claimed.iter().map(delivery).collect()
}

fn delivery(row: &Row) -> Result<Delivery, sqlx::Error> {
    let former: Option<Vec<u8>> = row.try_get("former")?;
    let mut secrets = vec![row.try_get("secret")?];
    secrets.extend(former);
    Ok(Delivery {
        id: row.try_get("id")?,
        webhook: uuid(row, "webhook_id")?,
        url: row.try_get("url")?,
        event: row.try_get("event")?,
        at: Timestamp::from_column(row.try_get("at")?),
        data: row.try_get("data")?,
        attempts: row.try_get("attempts")?,
        secrets,
    })
}

pub(in crate::store) async fn settle(
    connection: &mut Connection,
    scope: &Scope,
    webhook: Uuid,
    id: String,
    outcome: Settled,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (tenant, hook, now_ms) = (scope.tenant.as_str(), webhook.to_string(), now.to_column());
    match outcome {
        Settled::Retry(wait, failure) => {
            sqlx::query("UPDATE webhook_outbox SET due_at = $3 WHERE tenant_id = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .bind(now.plus(wait).to_column())
                .execute(&mut *connection)
                .await?;
            failed(connection, tenant, &hook, failure, now_ms).await
        }
        Settled::Delivered => {
            drop_delivery(connection, tenant, id).await?;
            let taken = "UPDATE webhook SET delivered_at = $3 WHERE tenant_id = $1 AND id = $2";
            sqlx::query(taken)
                .bind(tenant)
                .bind(hook)
                .bind(now_ms)
                .execute(connection)
                .await
                .map(drop)
        }
        Settled::GivenUp(failure) => {
            drop_delivery(connection, tenant, id).await?;
            failed(connection, tenant, &hook, failure, now_ms).await?;
            // Where nothing at all was taken for as long as this was tried, nothing more is sent.
            sqlx::query(
                "UPDATE webhook SET standing = 'disabled', reason = 'unanswered' WHERE tenant_id = $1 AND id = $2 \
                 AND standing = 'active' AND coalesce(delivered_at, 0) < $3",
            )
            .bind(tenant)
            .bind(hook)
            .bind(now_ms.saturating_sub(TRIED_MS))
            .execute(connection)
            .await
            .map(drop)
        }
        Settled::Gone => {
            drop_delivery(connection, tenant, id).await?;
            sqlx::query(
                "UPDATE webhook SET standing = 'disabled', reason = 'gone', failed_at = $3, failure = 'status 410' \
                 WHERE tenant_id = $1 AND id = $2",
            )
            .bind(tenant)
            .bind(hook)
            .bind(now_ms)
            .execute(connection)
            .await
            .map(drop)
        }
    }
}

/// How long a delivery is tried, at the least.
const TRIED_MS: i64 = 75 * 3_600_000;

async fn drop_delivery(
    connection: &mut Connection,
    tenant: &str,
    id: String,
) -> Result<(), sqlx::Error> {
    let gone = "DELETE FROM webhook_outbox WHERE tenant_id = $1 AND id = $2";
    sqlx::query(gone).bind(tenant).bind(id).execute(connection).await.map(drop)
}

async fn failed(
    connection: &mut Connection,
    tenant: &str,
    webhook: &str,
    failure: String,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE webhook SET failed_at = $3, failure = $4 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(webhook)
        .bind(now)
        .bind(failure)
        .execute(connection)
        .await
        .map(drop)
}
