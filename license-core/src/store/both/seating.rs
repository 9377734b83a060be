//! Whether there is a seat: the count, the overdraft, the queue and the take-over. The caller has locked the license
//! and ended the sessions whose leases ran out.

use super::{Connection, act_as_in, reports};
use crate::clock::Timestamp;
use crate::domain::denial::{Candidate, Denial, NoSeats};
use crate::domain::license::License;
use crate::domain::policy::{Policy, TakeOver};
use crate::store::Acquire;
use crate::store::rows::count;
use sqlx::Row as _;
use std::time::Duration;
use uuid::Uuid;

/// The seats of a license that are taken.
pub(in crate::store) struct Taken {
    pub(in crate::store) seats: u32,
    /// Whether the asking holder has one of them.
    holds: bool,
    /// When the first of them comes free at the latest.
    next: Option<Timestamp>,
}

pub(in crate::store) async fn taken(
    connection: &mut Connection,
    license: &License,
    holder: &str,
    now: Timestamp,
) -> Result<Taken, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(DISTINCT holder) AS used, \
         CAST(coalesce(max(CASE WHEN holder = $4 THEN 1 ELSE 0 END), 0) AS BIGINT) AS holds, min(expires_at) AS next \
         FROM session WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at > $3",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(now.to_column())
    .bind(holder)
    .fetch_one(connection)
    .await?;
    Ok(Taken {
        seats: count(row.try_get("used")?)?,
        holds: row.try_get::<i64, _>("holds")? != 0,
        next: row.try_get::<Option<i64>, _>("next")?.map(Timestamp::from_column),
    })
}

/// Finds a seat for `holder`, and returns how many are leased with it. Who holds one already needs none.
pub(in crate::store) async fn seat(
    connection: &mut Connection,
    license: &License,
    policy: &Policy,
    wanted: &Acquire,
    holder: &str,
    now: Timestamp,
) -> Result<Result<u32, Denial>, sqlx::Error> {
    let taken = taken(connection, license, holder, now).await?;
    if taken.holds {
        return Ok(Ok(taken.seats));
    }
    if let Some(left) = held(connection, license, wanted, now).await? {
        return Ok(Err(Denial::Held(left)));
    }
    let capacity = policy.capacity(license.seats_at(now));
    let ahead = if policy.queue { ahead(connection, license, holder, now).await? } else { 0 };
    if taken.seats.saturating_add(ahead) < capacity {
        if policy.queue {
            leave(connection, license, holder).await?;
        }
        return Ok(Ok(taken.seats.saturating_add(1)));
    }
    if taken.seats <= capacity
        && let Some(other) = wanted.take_over
        && take_over(connection, license, policy.take_over, wanted, other, now).await?
    {
        return Ok(Ok(taken.seats));
    }
    let queue_place = if policy.queue && wait(connection, license, holder, now).await? {
        Some(ahead.saturating_add(1))
    } else {
        None
    };
    reports::denied(connection, license, "no_seats_available", now).await?;
    Ok(Err(Denial::NoSeats(NoSeats {
        max_seats: license.seats_at(now),
        active_seats: taken.seats,
        // A license without seats and leases never has one to give; its hint is the moment itself.
        next_available: taken.next.unwrap_or(now),
        queue_place,
        candidates: candidates(connection, license, policy.take_over, wanted, now).await?,
        now,
    })))
}

/// Returns how long new seats are held still, after a restore. Who proves by a receipt to have had one is let through.
async fn held(
    connection: &mut Connection,
    license: &License,
    wanted: &Acquire,
    now: Timestamp,
) -> Result<Option<Duration>, sqlx::Error> {
    let until: Option<i64> =
        sqlx::query_scalar("SELECT value FROM memory WHERE name = 'held_until'")
            .fetch_optional(connection)
            .await?;
    let left = until.map_or(Duration::ZERO, |until| Timestamp::from_column(until).since(now));
    Ok((!left.is_zero() && wanted.proven != Some(license.id)).then_some(left))
}

/// A place lapses when its holder does not ask for this long; they are told to ask within a minute.
const PLACE_KEPT_MS: i64 = 120_000;
/// The most that wait for one license; who comes later has no place and is denied as without a queue.
const WAITING_MAX: i64 = 1000;

/// Counts who waits in front of `holder`.
async fn ahead(
    connection: &mut Connection,
    license: &License,
    holder: &str,
    now: Timestamp,
) -> Result<u32, sqlx::Error> {
    sqlx::query("DELETE FROM waiting WHERE tenant_id = $1 AND license_id = $2 AND asked_at <= $3")
        .bind(license.tenant.as_str())
        .bind(license.id.to_string())
        .bind(now.to_column().saturating_sub(PLACE_KEPT_MS))
        .execute(&mut *connection)
        .await?;
    let ahead: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM waiting w LEFT JOIN waiting o \
         ON o.tenant_id = w.tenant_id AND o.license_id = w.license_id AND o.holder = $3 \
         WHERE w.tenant_id = $1 AND w.license_id = $2 AND w.holder <> $3 \
         AND (o.holder IS NULL OR w.since < o.since OR (w.since = o.since AND w.holder < o.holder))",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(holder)
    .fetch_one(connection)
    .await?;
    count(ahead)
}

async fn leave(
    connection: &mut Connection,
    license: &License,
    holder: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM waiting WHERE tenant_id = $1 AND license_id = $2 AND holder = $3")
        .bind(license.tenant.as_str())
        .bind(license.id.to_string())
        .bind(holder)
        .execute(connection)
        .await
        .map(drop)
}

/// Takes or keeps a place. Returns whether there was one left.
async fn wait(
    connection: &mut Connection,
    license: &License,
    holder: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let waits = sqlx::query(
        "INSERT INTO waiting (tenant_id, license_id, holder, since, asked_at) SELECT $1, $2, $3, $4, $4 \
         WHERE (SELECT count(*) FROM waiting WHERE tenant_id = $1 AND license_id = $2 AND holder <> $3) < $5 \
         ON CONFLICT (tenant_id, license_id, holder) DO UPDATE SET asked_at = excluded.asked_at",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(holder)
    .bind(now.to_column())
    .bind(WAITING_MAX)
    .execute(connection)
    .await?;
    Ok(waits.rows_affected() > 0)
}

/// Ends the sessions of the seat that `other` holds, if the policy lets the caller have that seat whole.
async fn take_over(
    connection: &mut Connection,
    license: &License,
    allowed: TakeOver,
    wanted: &Acquire,
    other: Uuid,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    if allowed == TakeOver::Never {
        return Ok(false);
    }
    let row = sqlx::query(
        "SELECT count(*) AS held, CAST(coalesce(sum(CASE WHEN subject = $5 THEN 1 ELSE 0 END), 0) AS BIGINT) AS own, \
         CAST(coalesce(sum(CASE WHEN borrowed_until > $4 THEN 1 ELSE 0 END), 0) AS BIGINT) AS offline \
         FROM session WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at > $4 AND holder = \
         (SELECT holder FROM session WHERE tenant_id = $1 AND id = $3 AND license_id = $2 \
          AND ended_at IS NULL AND expires_at > $4)",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(other.to_string())
    .bind(now.to_column())
    .bind(wanted.subject.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let (held, own, offline): (i64, i64, i64) =
        (row.try_get("held")?, row.try_get("own")?, row.try_get("offline")?);
    let may = match allowed {
        TakeOver::Never => false,
        TakeOver::Own => own == held,
        TakeOver::Any => true,
    };
    if held == 0 || offline > 0 || !may {
        return Ok(false);
    }
    act_as_in(connection, Some(wanted.subject.as_str())).await?;
    let ended = sqlx::query(
        "UPDATE session SET ended_at = $4, ending = 'revoked' \
         WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at > $4 \
         AND holder = (SELECT holder FROM session WHERE tenant_id = $1 AND id = $3)",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(other.to_string())
    .bind(now.to_column())
    .execute(&mut *connection)
    .await?;
    act_as_in(connection, None).await?;
    Ok(ended.rows_affected() > 0)
}

/// Lists the sessions whose seats the caller may take, the longest idle first.
async fn candidates(
    connection: &mut Connection,
    license: &License,
    allowed: TakeOver,
    wanted: &Acquire,
    now: Timestamp,
) -> Result<Vec<Candidate>, sqlx::Error> {
    if allowed == TakeOver::Never {
        return Ok(vec![]);
    }
    let found = sqlx::query(
        "SELECT id, last_heartbeat_at, CASE WHEN subject = $4 THEN hardware END AS hardware FROM session \
         WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at > $3 \
         AND (borrowed_until IS NULL OR borrowed_until <= $3) AND ($5 = 1 OR subject = $4) \
         ORDER BY last_heartbeat_at, id LIMIT 10",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(now.to_column())
    .bind(wanted.subject.as_str())
    .bind(i64::from(allowed == TakeOver::Any))
    .fetch_all(connection)
    .await?;
    let mut candidates = Vec::with_capacity(found.len());
    for row in &found {
        let beat = Timestamp::from_column(row.try_get("last_heartbeat_at")?);
        candidates.push(Candidate {
            session: row.try_get("id")?,
            hardware: row.try_get("hardware")?,
            idle_secs: now.since(beat).as_secs(),
        });
    }
    Ok(candidates)
}
