//! The two requests that there are most of, in one round trip with whoever asks at the same moment, where nothing stands
//! against them. What yields no row is asked again step by step (`leases`): what is denied, and why, is decided there alone.

use super::together::Question;
use super::{AWAY, millis, rows};
use crate::domain::key::KeyHash;
use crate::domain::lease::Session;
use crate::domain::license::LeaseTerms;
use crate::store::rows::{count, session_columns};
use crate::store::{Acquire, Fresh, Granted, Named, Seats, SessionRef};
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// A lease that is to be kept.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) session: SessionRef,
    pub(super) terms: LeaseTerms,
}

#[async_trait]
impl Question for Renewal {
    type Answer = Session;

    fn row(&self) -> (&str, &[u8]) {
        (self.session.tenant.as_str(), self.session.id.as_bytes())
    }

    async fn ask(company: &[Self], pool: &PgPool) -> Result<Vec<(usize, Session)>, sqlx::Error> {
        let Some(first) = company.first() else { return Ok(vec![]) };
        let of = |get: fn(&Self) -> String| company.iter().map(get).collect::<Vec<_>>();
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            ", n.place FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS n (tenant, id, subject, place), \
             LATERAL heartbeat(n.tenant, n.id, n.subject, $4, $5, $6) s"
        ))
        .bind(of(|one| one.session.tenant.as_str().to_owned()))
        .bind(of(|one| one.session.id.to_string()))
        .bind(of(|one| one.session.subject.as_str().to_owned()))
        .bind(millis(AWAY))
        .bind(millis(first.terms.ttl))
        .bind(millis(first.terms.age_max))
        .fetch_all(pool)
        .await?;
        found.iter().map(|row| Ok((place(row)?, rows::session(row)?))).collect()
    }
}

/// A seat that is asked for by the license's key.
#[derive(Debug)]
pub(super) struct Grant {
    key: KeyHash,
    tenant: String,
    subject: String,
    hardware: String,
    user_email: Option<String>,
    metadata: String,
    terms: LeaseTerms,
}

impl Grant {
    /// What can be asked at once; a seat of somebody else's, or of a license that is named by its id, cannot.
    pub(super) fn of(wanted: &Acquire, terms: LeaseTerms) -> Option<Self> {
        let (Named::Key(key), None) = (wanted.license, wanted.take_over) else { return None };
        Some(Self {
            key,
            tenant: wanted.tenant.as_str().to_owned(),
            subject: wanted.subject.as_str().to_owned(),
            hardware: wanted.hardware.as_str().to_owned(),
            user_email: wanted.user_email.clone(),
            metadata: serde_json::to_string(&wanted.metadata).expect("a map of texts is JSON"),
            terms,
        })
    }
}

#[async_trait]
impl Question for Grant {
    type Answer = Granted;

    fn row(&self) -> (&str, &[u8]) {
        (&self.tenant, self.key.as_bytes())
    }

    async fn ask(company: &[Self], pool: &PgPool) -> Result<Vec<(usize, Granted)>, sqlx::Error> {
        let Some(first) = company.first() else { return Ok(vec![]) };
        let of = |get: fn(&Self) -> &String| company.iter().map(get).cloned().collect::<Vec<_>>();
        let keys: Vec<Vec<u8>> = company.iter().map(|one| one.key.as_bytes().to_vec()).collect();
        let ids: Vec<String> = company.iter().map(|_| Uuid::new_v4().to_string()).collect();
        let mails: Vec<_> = company.iter().map(|one| one.user_email.clone()).collect();
        let found = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            ", used, total, place FROM (SELECT (a.granted).*, a.used, a.total, n.place \
             FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) \
             WITH ORDINALITY AS n (tenant, key, id, subject, hardware, mail, metadata, place), \
             LATERAL acquire(n.tenant, n.key, n.id, n.subject, n.hardware, n.mail, n.metadata, $8, $9, $10) a) s"
        ))
        .bind(of(|one| &one.tenant))
        .bind(keys)
        .bind(ids)
        .bind(of(|one| &one.subject))
        .bind(of(|one| &one.hardware))
        .bind(mails)
        .bind(of(|one| &one.metadata))
        .bind(millis(AWAY))
        .bind(millis(first.terms.ttl))
        .bind(millis(first.terms.age_max))
        .fetch_all(pool)
        .await?;
        found.iter().map(|row| Ok((place(row)?, granted(row)?))).collect()
    }
}

fn granted(row: &PgRow) -> Result<Granted, sqlx::Error> {
    let seats = Seats { used: count(row.try_get("used")?)?, total: count(row.try_get("total")?)? };
    Ok(Granted { session: rows::session(row)?, fresh: Fresh::New, seats })
}

/// Which question a row answers. PostgreSQL counts from one.
fn place(row: &PgRow) -> Result<usize, sqlx::Error> {
    let place: i64 = row.try_get("place")?;
    Ok(usize::try_from(place - 1).unwrap_or(usize::MAX))
}
