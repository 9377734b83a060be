//! Seats on SQLite: the transactions behind acquire, heartbeat and release.

use super::Sqlite;
use super::both::seating;
use super::rows;
use crate::clock::Timestamp;
use crate::domain::denial::{Denial, Ending};
use crate::domain::lease::{self, Session};
use crate::domain::license::{LeaseTerms, License};
use crate::domain::names::TenantId;
use crate::store::rows::{
    count, footing_columns, license_columns, policy_columns, session_columns,
};
use crate::store::{
    Acquire, Answer, Connections, Fresh, Granted, Leases, Named, Seats, SessionRef, StoreError,
    fresh_id, metadata_column, millis, unavailable,
};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqliteExecutor};
use uuid::Uuid;

#[async_trait]
impl Leases for Sqlite {
    async fn acquire(&self, wanted: Acquire) -> Answer<Granted> {
        let terms = self.terms;
        self.writer
            .write(move |connection, now| Box::pin(acquire(connection, wanted, terms, now)))
            .await
    }

    async fn heartbeat(&self, session: SessionRef) -> Answer<Session> {
        let terms = self.terms;
        self.writer
            .write(move |connection, now| Box::pin(heartbeat(connection, session, terms, now)))
            .await
    }

    async fn release(&self, session: SessionRef) -> Answer<()> {
        self.writer.write(move |connection, now| Box::pin(release(connection, session, now))).await
    }

    async fn license(&self, tenant: TenantId, id: Uuid) -> Answer<(License, Seats)> {
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = ?1 AND l.id = ?2"
        ))
        .bind(tenant.as_str())
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        let Some(row) = found else {
            return Ok(Err(Denial::TenantAccess));
        };
        let license = rows::license(&row).map_err(unavailable)?;
        let used =
            seats_used(&self.readers, &license, self.clock.now()).await.map_err(unavailable)?;
        let total = license.seats_at(self.clock.now());
        Ok(Ok((license, Seats { used, total })))
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        self.writer.write(move |connection, now| Box::pin(sweep(connection, limit, now))).await
    }

    async fn close(&self) {
        self.writer.stop().await;
        self.readers.close().await;
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    fn connections(&self) -> Connections {
        Connections::of(&self.readers)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.writer.write(|_, _| Box::pin(async { Ok(()) })).await
    }
}

async fn acquire(
    connection: &mut SqliteConnection,
    wanted: Acquire,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Result<Granted, Denial>, sqlx::Error> {
    let found = named_license(connection, &wanted).await?;
    let Some(row) = found else {
        return Ok(Err(Denial::TenantAccess));
    };
    let license = rows::license(&row)?;
    let footing = rows::footing(&row)?;
    if let Err(denial) = footing.admits(now) {
        return Ok(Err(denial));
    }
    let terms = footing.policy.terms(terms);
    expire(connection, &license, now).await?;
    if let Some(session) = own_session(connection, &license, &wanted).await? {
        return renew(connection, &license, session, &wanted, terms, now).await;
    }
    let holder = lease::holder(license.leasing, &wanted.hardware, &wanted.subject);
    let seat = seating::seat(connection, &license, &footing.policy, &wanted, &holder, now).await?;
    let used = match seat {
        Ok(used) => used,
        Err(denial) => return Ok(Err(denial)),
    };
    let session = insert(connection, &license, wanted, &holder, terms, now).await?;
    let seats = Seats { used, total: license.seats_at(now) };
    Ok(Ok(Granted { session, fresh: Fresh::New, seats }))
}

/// Selects the license that is asked for, with its footing.
macro_rules! select_license {
    ($how:literal) => {
        concat!(
            "SELECT ",
            license_columns!(),
            ", ",
            footing_columns!(),
            " FROM license l JOIN tenant t ON t.id = l.tenant_id \
             LEFT JOIN subject u ON u.tenant_id = l.tenant_id AND u.id = ?3 \
             LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy WHERE l.tenant_id = ?2 AND ",
            $how
        )
    };
}

async fn named_license(
    connection: &mut SqliteConnection,
    wanted: &Acquire,
) -> Result<Option<SqliteRow>, sqlx::Error> {
    let query = match wanted.license {
        Named::Key(key) => {
            sqlx::query(select_license!("l.key_hash = ?1")).bind(key.as_bytes().to_vec())
        }
        Named::Id(id) => sqlx::query(select_license!("l.id = ?1")).bind(id.to_string()),
    };
    query
        .bind(wanted.tenant.as_str())
        .bind(wanted.subject.as_str())
        .fetch_optional(connection)
        .await
}

/// Ends the license's sessions whose leases ran out, so that the count and the unique index see live ones only.
async fn expire(
    connection: &mut SqliteConnection,
    license: &License,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE session SET ended_at = expires_at, ending = 'expired' \
         WHERE tenant_id = ?1 AND license_id = ?2 AND ended_at IS NULL AND expires_at <= ?3",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(now.to_column())
    .execute(connection)
    .await?;
    Ok(())
}

async fn own_session(
    connection: &mut SqliteConnection,
    license: &License,
    wanted: &Acquire,
) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        " FROM session s WHERE s.tenant_id = ?1 AND s.license_id = ?2 AND s.hardware = ?3 AND s.subject = ?4 \
         AND s.ended_at IS NULL"
    ))
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(wanted.hardware.as_str())
    .bind(wanted.subject.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

async fn renew(
    connection: &mut SqliteConnection,
    license: &License,
    mut session: Session,
    wanted: &Acquire,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Result<Granted, Denial>, sqlx::Error> {
    if let Err(denial) = session.renew(terms, now) {
        return Ok(Err(denial));
    }
    session.user_email = wanted.user_email.clone();
    session.metadata.clone_from(&wanted.metadata);
    save(connection, &license.tenant, &session, now).await?;
    let seats =
        Seats { used: seats_used(connection, license, now).await?, total: license.seats_at(now) };
    Ok(Ok(Granted { session, fresh: Fresh::Renewed, seats }))
}

async fn insert(
    connection: &mut SqliteConnection,
    license: &License,
    wanted: Acquire,
    holder: &str,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Session, sqlx::Error> {
    let epoch: i64 = sqlx::query_scalar(
        "UPDATE license SET epoch = epoch + 1 WHERE tenant_id = ?1 AND id = ?2 RETURNING epoch",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .fetch_one(&mut *connection)
    .await?;
    let session = Session {
        id: fresh_id(now),
        license: license.id,
        subject: wanted.subject.as_str().to_owned(),
        hardware: wanted.hardware.as_str().to_owned(),
        user_email: wanted.user_email,
        metadata: wanted.metadata,
        epoch,
        started_at: now,
        last_heartbeat_at: now,
        expires_at: lease::lease_end(now, terms, now),
        ended: None,
        borrowed_until: None,
    };
    sqlx::query(
        "INSERT INTO session (tenant_id, id, license_id, subject, hardware, holder, user_email, metadata, epoch, \
         started_at, last_heartbeat_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)",
    )
    .bind(license.tenant.as_str())
    .bind(session.id.to_string())
    .bind(session.license.to_string())
    .bind(&session.subject)
    .bind(&session.hardware)
    .bind(holder)
    .bind(&session.user_email)
    .bind(metadata_column(&session))
    .bind(session.epoch)
    .bind(now.to_column())
    .bind(session.expires_at.to_column())
    .execute(connection)
    .await?;
    Ok(session)
}

/// Writes back what heartbeat, re-acquire and the ends of a session change.
async fn save(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    session: &Session,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ended_at = session.ended.map(|ending| match ending {
        Ending::Expired => session.expires_at,
        Ending::Released | Ending::Revoked => now,
    });
    sqlx::query(
        "UPDATE session SET user_email = ?3, metadata = ?4, last_heartbeat_at = ?5, expires_at = ?6, ended_at = ?7, \
         ending = ?8 WHERE tenant_id = ?1 AND id = ?2 AND ended_at IS NULL",
    )
    .bind(tenant.as_str())
    .bind(session.id.to_string())
    .bind(&session.user_email)
    .bind(metadata_column(session))
    .bind(session.last_heartbeat_at.to_column())
    .bind(session.expires_at.to_column())
    .bind(ended_at.map(Timestamp::to_column))
    .bind(session.ended.map(Ending::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

/// The request that there is most of, in one statement where nothing stands against it. `None` says that something may:
/// then the steps of [`heartbeat`] decide.
async fn heartbeat_at_once(
    connection: &mut SqliteConnection,
    named: &SessionRef,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query(concat!(
        "UPDATE session AS s SET last_heartbeat_at = ?4, expires_at = max(s.expires_at, \
         min(?4 + coalesce(p.ttl_secs * 1000, ?5), s.started_at + coalesce(p.age_max_secs * 1000, ?6))) \
         FROM license l JOIN tenant t ON t.id = l.tenant_id \
         LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy \
         WHERE s.tenant_id = ?1 AND s.id = ?2 AND s.subject = ?3 AND s.ended_at IS NULL AND s.expires_at > ?4 \
         AND l.tenant_id = s.tenant_id AND l.id = s.license_id AND t.standing = 'active' AND l.standing = 'active' \
         AND (l.expires_at IS NULL OR l.expires_at > ?4 OR p.expiry <> 'restrict') \
         AND NOT EXISTS (SELECT 1 FROM subject u WHERE u.tenant_id = ?1 AND u.id = ?3 AND u.standing <> 'active') \
         RETURNING ",
        session_columns!("")
    ))
    .bind(named.tenant.as_str())
    .bind(named.id.to_string())
    .bind(named.subject.as_str())
    .bind(now.to_column())
    .bind(millis(terms.ttl))
    .bind(millis(terms.age_max))
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(rows::session)
    .transpose()
}

async fn heartbeat(
    connection: &mut SqliteConnection,
    named: SessionRef,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Result<Session, Denial>, sqlx::Error> {
    if let Some(renewed) = heartbeat_at_once(connection, &named, terms, now).await? {
        return Ok(Ok(renewed));
    }
    let found = sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        ", ",
        footing_columns!(),
        " FROM session s JOIN license l ON l.tenant_id = s.tenant_id AND l.id = s.license_id \
         JOIN tenant t ON t.id = s.tenant_id \
         LEFT JOIN subject u ON u.tenant_id = s.tenant_id AND u.id = s.subject \
         LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy \
         WHERE s.tenant_id = ?1 AND s.id = ?2 AND s.subject = ?3"
    ))
    .bind(named.tenant.as_str())
    .bind(named.id.to_string())
    .bind(named.subject.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else {
        return Ok(Err(Denial::TenantAccess));
    };
    let mut session = rows::session(&row)?;
    let footing = rows::footing(&row)?;
    let renewed = session.renew(footing.policy.terms(terms), now);
    if renewed.is_ok()
        && let Err(denial) = footing.keeps(now)
    {
        return Ok(Err(denial));
    }
    save(connection, &named.tenant, &session, now).await?;
    Ok(renewed.map(|()| session))
}

async fn release(
    connection: &mut SqliteConnection,
    named: SessionRef,
    now: Timestamp,
) -> Result<Result<(), Denial>, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        " FROM session s WHERE s.tenant_id = ?1 AND s.id = ?2 AND s.subject = ?3"
    ))
    .bind(named.tenant.as_str())
    .bind(named.id.to_string())
    .bind(named.subject.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else {
        return Ok(Err(Denial::TenantAccess));
    };
    let mut session = rows::session(&row)?;
    session.end(Ending::Released, now);
    save(connection, &named.tenant, &session, now).await?;
    Ok(Ok(()))
}

/// Counts the seats that are leased at `now`.
pub(super) async fn seats_used(
    executor: impl SqliteExecutor<'_>,
    license: &License,
    now: Timestamp,
) -> Result<u32, sqlx::Error> {
    let used = sqlx::query_scalar(
        "SELECT count(DISTINCT holder) FROM session \
         WHERE tenant_id = ?1 AND license_id = ?2 AND ended_at IS NULL AND expires_at > ?3",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .bind(now.to_column())
    .fetch_one(executor)
    .await?;
    count(used)
}

async fn sweep(
    connection: &mut SqliteConnection,
    limit: u32,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query(
        "UPDATE session SET ended_at = expires_at, ending = 'expired' WHERE rowid IN \
         (SELECT rowid FROM session WHERE ended_at IS NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )
    .bind(now.to_column())
    .bind(limit)
    .execute(&mut *connection)
    .await?;
    Ok(swept.rows_affected())
}
