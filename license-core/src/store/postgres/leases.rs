//! Seats on PostgreSQL: the transactions behind acquire, heartbeat and release.

use super::super::accelerator::{Ahead, Ended, Found};
use super::both::seating;
use super::{AWAY, Postgres, is_stale, millis, rows};
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
    fresh_id, metadata_column, unavailable,
};
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use std::time::Duration;
use uuid::Uuid;

/// Reads the database's time, and whether the services were away until now.
macro_rules! time_columns {
    () => {
        "now_ms() AS now, (SELECT now_ms() - m.value > $4 FROM memory m WHERE m.name = 'alive_at') AS away"
    };
}

/// What a transaction came to: an answer, or that the time away must be made good first.
enum Outcome<T> {
    Answer(Result<T, Denial>),
    Away,
}

/// How often an operation is begun anew because all services were away.
const TRIES: usize = 3;

#[async_trait]
impl Leases for Postgres {
    async fn acquire(&self, wanted: Acquire) -> Answer<Granted> {
        if let Some(granted) = self.acquire_at_once(&wanted).await? {
            return Ok(Ok(granted));
        }
        for _ in 0..TRIES {
            let mut transaction = self.begin(&wanted.tenant).await?;
            let outcome =
                acquire(&mut transaction, &wanted, self.terms).await.map_err(unavailable)?;
            if let Outcome::Answer(answer) = outcome {
                self.end_others(&wanted, &answer).await?;
                transaction.commit().await.map_err(unavailable)?;
                return Ok(answer);
            }
            transaction.rollback().await.map_err(unavailable)?;
            self.stay_alive().await.map_err(unavailable)?;
        }
        Err(StoreError::Unavailable)
    }

    async fn heartbeat(&self, session: SessionRef) -> Answer<Session> {
        if let Some(renewed) = self.accelerated(&session).await? {
            return Ok(Ok(renewed));
        }
        for _ in 0..TRIES {
            let mut transaction = self.begin(&session.tenant).await?;
            let outcome =
                heartbeat(&mut transaction, &session, self.terms).await.map_err(unavailable)?;
            if let Outcome::Answer(answer) = outcome {
                transaction.commit().await.map_err(unavailable)?;
                return Ok(answer);
            }
            transaction.rollback().await.map_err(unavailable)?;
            self.stay_alive().await.map_err(unavailable)?;
        }
        Err(StoreError::Unavailable)
    }

    async fn release(&self, session: SessionRef) -> Answer<()> {
        let mut transaction = self.begin(&session.tenant).await?;
        let answer = release(&mut transaction, &session).await.map_err(unavailable)?;
        if answer.is_ok() {
            self.end(Ended::Session(&session.tenant, session.id)).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(answer)
    }

    async fn license(&self, tenant: TenantId, id: Uuid) -> Answer<(License, Seats)> {
        let mut transaction = self.begin(&tenant).await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            license_columns!(),
            " FROM license l WHERE l.tenant_id = $1 AND l.id = $2"
        ))
        .bind(tenant.as_str())
        .bind(id.to_string())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let Some(row) = found else {
            return Ok(Err(Denial::TenantAccess));
        };
        let license = rows::license(&row).map_err(unavailable)?;
        let seats = seats_of(&mut transaction, &license).await.map_err(unavailable)?;
        Ok(Ok((license, seats)))
    }

    async fn sweep(&self, limit: u32) -> Result<u64, StoreError> {
        let swept: i64 = sqlx::query_scalar("SELECT sweep($1)")
            .bind(i64::from(limit))
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(swept).unwrap_or(0))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now: i64 = sqlx::query_scalar("SELECT now_ms()")
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(Timestamp::from_column(now))
    }

    fn connections(&self) -> Connections {
        Connections::of(&self.pool)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.stay_alive().await.map_err(unavailable)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// The two requests that there are most of, in one round trip each where nothing stands against them. `None` says that
/// something may: then the steps below decide.
impl Postgres {
    async fn acquire_at_once(&self, wanted: &Acquire) -> Result<Option<Granted>, StoreError> {
        let Named::Key(key) = wanted.license else { return Ok(None) };
        if wanted.take_over.is_some() {
            return Ok(None);
        }
        let metadata = serde_json::to_string(&wanted.metadata).expect("a map of texts is JSON");
        let _turn = self.queue.turn().await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            ", used, total FROM (SELECT (granted).*, used, total \
             FROM acquire($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)) s"
        ))
        .bind(wanted.tenant.as_str())
        .bind(key.as_bytes().as_slice())
        .bind(Uuid::new_v4().to_string())
        .bind(wanted.subject.as_str())
        .bind(wanted.hardware.as_str())
        .bind(wanted.user_email.as_deref())
        .bind(metadata)
        .bind(millis(AWAY))
        .bind(millis(self.terms.ttl))
        .bind(millis(self.terms.age_max))
        .fetch_optional(&self.pool)
        .await;
        let Some(row) = at_once(found)? else { return Ok(None) };
        let read = || {
            let seats =
                Seats { used: count(row.try_get("used")?)?, total: count(row.try_get("total")?)? };
            Ok(Granted { session: rows::session(&row)?, fresh: Fresh::New, seats })
        };
        read().map(Some).map_err(unavailable)
    }

    /// A heartbeat by the accelerator where there is one, else by the database at once.
    async fn accelerated(&self, named: &SessionRef) -> Result<Option<Session>, StoreError> {
        let Some(accelerator) = &self.accelerator else {
            return self.heartbeat_at_once(named).await;
        };
        let ticket = match accelerator.find(named).await {
            Found::Covered(session) => return Ok(Some(session)),
            Found::Off => return self.heartbeat_at_once(named).await,
            Found::Nothing(ticket) => ticket,
        };
        let Some(ahead) = self.heartbeat_ahead(named, accelerator.ahead()).await? else {
            return Ok(None);
        };
        accelerator.keep(ticket, named, &ahead).await;
        Ok(Some(ahead.first()))
    }

    async fn heartbeat_ahead(
        &self,
        named: &SessionRef,
        ahead: Duration,
    ) -> Result<Option<Ahead>, StoreError> {
        let _turn = self.queue.turn().await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            ", term, age_end, lapse FROM (SELECT (kept).*, term, age_end, lapse \
             FROM heartbeat_ahead($1, $2, $3, $4, $5, $6, $7)) s"
        ))
        .bind(named.tenant.as_str())
        .bind(named.id.to_string())
        .bind(named.subject.as_str())
        .bind(millis(AWAY))
        .bind(millis(self.terms.ttl))
        .bind(millis(self.terms.age_max))
        .bind(millis(ahead))
        .fetch_optional(&self.pool)
        .await;
        let Some(row) = at_once(found)? else { return Ok(None) };
        let read = || {
            let term = u64::try_from(row.try_get::<i64, _>("term")?).unwrap_or(0);
            Ok(Ahead {
                session: rows::session(&row)?,
                term: Duration::from_millis(term),
                age_end: row.try_get("age_end").map(Timestamp::from_column)?,
                lapse: row.try_get::<Option<i64>, _>("lapse")?.map(Timestamp::from_column),
            })
        };
        read().map(Some).map_err(unavailable)
    }

    /// An acquire that took a seat over ended somebody's session, and one that renewed changed what is known of its own.
    async fn end_others(
        &self,
        wanted: &Acquire,
        answer: &Result<Granted, Denial>,
    ) -> Result<(), StoreError> {
        match answer {
            Ok(granted) if granted.fresh == Fresh::Renewed => {
                if let Some(accelerator) = &self.accelerator {
                    accelerator.forget(&wanted.tenant, granted.session.id).await;
                }
                Ok(())
            }
            Ok(_) if wanted.take_over.is_some() => self.end(Ended::AnyOf(&wanted.tenant)).await,
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn heartbeat_at_once(&self, named: &SessionRef) -> Result<Option<Session>, StoreError> {
        let _turn = self.queue.turn().await?;
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM heartbeat($1, $2, $3, $4, $5, $6) s"
        ))
        .bind(named.tenant.as_str())
        .bind(named.id.to_string())
        .bind(named.subject.as_str())
        .bind(millis(AWAY))
        .bind(millis(self.terms.ttl))
        .bind(millis(self.terms.age_max))
        .fetch_optional(&self.pool)
        .await;
        at_once(found)?.as_ref().map(rows::session).transpose().map_err(unavailable)
    }
}

/// A connection that died while it was idle has done nothing: the way step by step asks on another.
fn at_once(found: Result<Option<PgRow>, sqlx::Error>) -> Result<Option<PgRow>, StoreError> {
    match found {
        Err(error) if is_stale(&error) => Ok(None),
        other => other.map_err(unavailable),
    }
}

fn now_of(row: &PgRow) -> Result<Timestamp, sqlx::Error> {
    row.try_get("now").map(Timestamp::from_column)
}

async fn acquire(
    connection: &mut PgConnection,
    wanted: &Acquire,
    terms: LeaseTerms,
) -> Result<Outcome<Granted>, sqlx::Error> {
    let found = named_license(connection, wanted).await?;
    let Some(row) = found else {
        return Ok(Outcome::Answer(Err(Denial::TenantAccess)));
    };
    if row.try_get("away")? {
        return Ok(Outcome::Away);
    }
    let license = rows::license(&row)?;
    // This transaction may have waited for the row: the time is read again now that it is held.
    let now = expire(connection, &license).await?;
    let footing = rows::footing(&row)?;
    if let Err(denial) = footing.admits(now) {
        return Ok(Outcome::Answer(Err(denial)));
    }
    let terms = footing.policy.terms(terms);
    let holder = lease::holder(license.leasing, &wanted.hardware, &wanted.subject);
    if let Some(session) = own_session(connection, &license, wanted).await? {
        let taken = seating::taken(connection, &license, &holder, now).await?;
        let seats = Seats { used: taken.seats, total: license.seats_at(now) };
        return Ok(Outcome::Answer(
            renew(connection, session, wanted, terms, now).await?.map(|session| Granted {
                session,
                fresh: Fresh::Renewed,
                seats,
            }),
        ));
    }
    let used =
        match seating::seat(connection, &license, &footing.policy, wanted, &holder, now).await? {
            Ok(used) => used,
            Err(denial) => return Ok(Outcome::Answer(Err(denial))),
        };
    let session = insert(connection, &license, wanted, &holder, terms, now).await?;
    Ok(Outcome::Answer(Ok(Granted {
        session,
        fresh: Fresh::New,
        seats: Seats { used, total: license.seats_at(now) },
    })))
}

/// Selects and locks the license that is asked for, with its footing.
macro_rules! select_license {
    ($how:literal) => {
        concat!(
            "SELECT ",
            license_columns!(),
            ", ",
            footing_columns!(),
            ", ",
            time_columns!(),
            " FROM license l JOIN tenant t ON t.id = l.tenant_id \
             LEFT JOIN subject u ON u.tenant_id = l.tenant_id AND u.id = $3 \
             LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy WHERE l.tenant_id = $2 AND ",
            $how,
            " FOR NO KEY UPDATE OF l"
        )
    };
}

async fn named_license(
    connection: &mut PgConnection,
    wanted: &Acquire,
) -> Result<Option<PgRow>, sqlx::Error> {
    let query = match wanted.license {
        Named::Key(key) => {
            sqlx::query(select_license!("l.key_hash = $1")).bind(key.as_bytes().to_vec())
        }
        Named::Id(id) => sqlx::query(select_license!("l.id = $1")).bind(id.to_string()),
    };
    query
        .bind(wanted.tenant.as_str())
        .bind(wanted.subject.as_str())
        .bind(millis(AWAY))
        .fetch_optional(connection)
        .await
}

/// Ends the license's sessions whose leases ran out, and returns the time by which they did. A session that is being
/// renewed right now is waited for and then looked at anew.
async fn expire(
    connection: &mut PgConnection,
    license: &License,
) -> Result<Timestamp, sqlx::Error> {
    let now: i64 = sqlx::query_scalar(
        "WITH clock AS MATERIALIZED (SELECT now_ms() AS now), ended AS ( \
             UPDATE session SET ended_at = expires_at, ending = 'expired' FROM clock \
             WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at <= clock.now) \
         SELECT now FROM clock",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .fetch_one(connection)
    .await?;
    Ok(Timestamp::from_column(now))
}

async fn own_session(
    connection: &mut PgConnection,
    license: &License,
    wanted: &Acquire,
) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        " FROM session s WHERE s.tenant_id = $1 AND s.license_id = $2 AND s.hardware = $3 AND s.subject = $4 \
         AND s.ended_at IS NULL FOR NO KEY UPDATE"
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
    connection: &mut PgConnection,
    mut session: Session,
    wanted: &Acquire,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Result<Session, Denial>, sqlx::Error> {
    let renewed = session.renew(terms, now);
    if renewed.is_ok() {
        session.user_email = wanted.user_email.clone();
        session.metadata.clone_from(&wanted.metadata);
        sqlx::query(
            "UPDATE session SET user_email = $3, metadata = $4 WHERE tenant_id = $1 AND id = $2",
        )
        .bind(wanted.tenant.as_str())
        .bind(session.id.to_string())
        .bind(&session.user_email)
        .bind(metadata_column(&session))
        .execute(&mut *connection)
        .await?;
    }
    save(connection, &wanted.tenant, &session, now).await?;
    Ok(renewed.map(|()| session))
}

async fn insert(
    connection: &mut PgConnection,
    license: &License,
    wanted: &Acquire,
    holder: &str,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Session, sqlx::Error> {
    let mut session = Session {
        id: fresh_id(now),
        license: license.id,
        subject: wanted.subject.as_str().to_owned(),
        hardware: wanted.hardware.as_str().to_owned(),
        user_email: wanted.user_email.clone(),
        metadata: wanted.metadata.clone(),
        epoch: 0,
        started_at: now,
        last_heartbeat_at: now,
        expires_at: lease::lease_end(now, terms, now),
        ended: None,
        borrowed_until: None,
    };
    session.epoch = sqlx::query_scalar(
        "WITH fence AS (UPDATE license SET epoch = epoch + 1 WHERE tenant_id = $1 AND id = $3 RETURNING epoch) \
         INSERT INTO session (tenant_id, id, license_id, subject, hardware, holder, user_email, metadata, epoch, \
         started_at, last_heartbeat_at, expires_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, epoch, $9, $9, $10 \
         FROM fence RETURNING epoch",
    )
    .bind(license.tenant.as_str())
    .bind(session.id.to_string())
    .bind(session.license.to_string())
    .bind(&session.subject)
    .bind(&session.hardware)
    .bind(holder)
    .bind(&session.user_email)
    .bind(metadata_column(&session))
    .bind(now.to_column())
    .bind(session.expires_at.to_column())
    .fetch_one(connection)
    .await?;
    Ok(session)
}

/// Writes back what a heartbeat and the ends of a session change.
async fn save(
    connection: &mut PgConnection,
    tenant: &TenantId,
    session: &Session,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ended_at = session.ended.map(|ending| match ending {
        Ending::Expired => session.expires_at,
        Ending::Released | Ending::Revoked => now,
    });
    sqlx::query(
        "UPDATE session SET last_heartbeat_at = $3, expires_at = $4, ended_at = $5, ending = $6 \
         WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
    )
    .bind(tenant.as_str())
    .bind(session.id.to_string())
    .bind(session.last_heartbeat_at.to_column())
    .bind(session.expires_at.to_column())
    .bind(ended_at.map(Timestamp::to_column))
    .bind(session.ended.map(Ending::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

async fn heartbeat(
    connection: &mut PgConnection,
    named: &SessionRef,
    terms: LeaseTerms,
) -> Result<Outcome<Session>, sqlx::Error> {
    let Some(row) = own_row(connection, named).await? else {
        return Ok(Outcome::Answer(Err(Denial::TenantAccess)));
    };
    if row.try_get("away")? {
        return Ok(Outcome::Away);
    }
    let (mut session, now) = (rows::session(&row)?, now_of(&row)?);
    let footing = rows::footing(&row)?;
    let renewed = session.renew(footing.policy.terms(terms), now);
    if renewed.is_ok()
        && let Err(denial) = footing.keeps(now)
    {
        return Ok(Outcome::Answer(Err(denial)));
    }
    save(connection, &named.tenant, &session, now).await?;
    Ok(Outcome::Answer(renewed.map(|()| session)))
}

async fn release(
    connection: &mut PgConnection,
    named: &SessionRef,
) -> Result<Result<(), Denial>, sqlx::Error> {
    let Some(row) = own_row(connection, named).await? else {
        return Ok(Err(Denial::TenantAccess));
    };
    let (mut session, now) = (rows::session(&row)?, now_of(&row)?);
    session.end(Ending::Released, now);
    save(connection, &named.tenant, &session, now).await?;
    Ok(Ok(()))
}

/// Reads and locks the session, if it is the subject's own.
async fn own_row(
    connection: &mut PgConnection,
    named: &SessionRef,
) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(concat!(
        "SELECT ",
        session_columns!(),
        ", ",
        footing_columns!(),
        ", ",
        time_columns!(),
        " FROM session s JOIN license l ON l.tenant_id = s.tenant_id AND l.id = s.license_id \
         JOIN tenant t ON t.id = s.tenant_id \
         LEFT JOIN subject u ON u.tenant_id = s.tenant_id AND u.id = s.subject \
         LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy \
         WHERE s.tenant_id = $1 AND s.id = $2 AND s.subject = $3 FOR NO KEY UPDATE OF s"
    ))
    .bind(named.tenant.as_str())
    .bind(named.id.to_string())
    .bind(named.subject.as_str())
    .bind(millis(AWAY))
    .fetch_optional(connection)
    .await
}

/// Counts the seats that are leased now.
pub(super) async fn seats_of(
    connection: &mut PgConnection,
    license: &License,
) -> Result<Seats, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(DISTINCT holder) AS used, now_ms() AS now FROM session \
         WHERE tenant_id = $1 AND license_id = $2 AND ended_at IS NULL AND expires_at > now_ms()",
    )
    .bind(license.tenant.as_str())
    .bind(license.id.to_string())
    .fetch_one(connection)
    .await?;
    Ok(Seats { used: count(row.try_get("used")?)?, total: license.seats_at(now_of(&row)?) })
}
