//! PostgreSQL 15 and later: any number of services on one database.
//!
//! Every transaction sets its tenant, and row-level security shows it nothing else; a login that could see past that is
//! refused. An acquire locks its license's row, so that one license is counted by one transaction at a time; a
//! heartbeat locks its session's row only. All times are the database's.

mod administration;
mod audit;
#[path = "both/all.rs"]
#[allow(clippy::duplicate_mod, reason = "one text for two databases")]
pub(super) mod both;
mod keys;
mod leases;
mod queue;
mod rows;

use super::accelerator::{self, Accelerator, Ended};
use super::{OpenError, Role, StoreError, millis, unavailable};
use crate::clock::Timestamp;
use crate::domain::license::LeaseTerms;
use crate::domain::names::TenantId;
use crate::settings::{Accelerator as AcceleratorSettings, Postgres as Settings, Secret};
use prometheus::IntCounterVec;
use queue::{InTurn, Queue};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use queue::TURN_WAITS;

/// What `both` runs on.
type Connection = PgConnection;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");
/// A longer silence of all services is an absence, by which nobody loses a seat.
const AWAY: Duration = Duration::from_secs(15);
/// How long a request that has its turn waits for a connection: it is made then, or made anew.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The store on one PostgreSQL database.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(super) pool: PgPool,
    queue: Queue,
    terms: LeaseTerms,
    pub(super) accelerator: Option<Arc<Accelerator>>,
}

impl Postgres {
    /// Connects as a plain member of the application's role and, as a server, makes good the time away.
    pub(crate) async fn open(
        settings: &Settings,
        role: Role,
        terms: LeaseTerms,
        accelerator: Option<(&AcceleratorSettings, IntCounterVec)>,
    ) -> Result<Self, OpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(CONNECTION_TIMEOUT)
            // One round trip less per request: `begin` asks again when a connection turns out to be gone.
            .test_before_acquire(false)
            .connect_with(options(&settings.url)?)
            .await?;
        let queue = Queue::before(pool.options().get_max_connections(), TURN_WAITS);
        let mut store = Self { pool, queue, terms, accelerator: None };
        store.check_schema().await?;
        store.check_login().await?;
        match accelerator {
            None => accelerator::switch_off(&store.pool).await?,
            Some((accelerator, counted)) => {
                let database = options(&settings.url)?;
                store.accelerator = Some(Accelerator::open(accelerator, database, counted).await?);
            }
        }
        if role == Role::Server {
            store.stay_alive().await?;
        }
        Ok(store)
    }

    async fn check_schema(&self) -> Result<(), OpenError> {
        let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.pool)
            .await?;
        if !there {
            return Err(OpenError::SchemaTooOld);
        }
        let version: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(&self.pool)
                .await?;
        // A newer schema serves too: migrations only add, so that two versions of the program run side by side.
        let ours = MIGRATIONS.iter().map(|migration| migration.version).max();
        if version < ours { Err(OpenError::SchemaTooOld) } else { Ok(()) }
    }

    async fn check_login(&self) -> Result<(), OpenError> {
        let privileged: bool = sqlx::query_scalar(
            "SELECT r.rolsuper OR r.rolbypassrls OR pg_has_role(current_user, c.relowner, 'MEMBER') \
             FROM pg_roles r, pg_class c WHERE r.rolname = current_user AND c.oid = 'session'::regclass",
        )
        .fetch_one(&self.pool)
        .await?;
        if privileged { Err(OpenError::Privileged) } else { Ok(()) }
    }

    /// Records that the service runs, and makes good the time that none did.
    pub(super) async fn stay_alive(&self) -> Result<(), sqlx::Error> {
        if self.accelerator.is_none() {
            accelerator::keep_off(&self.pool).await?;
        }
        let extended: i64 = sqlx::query_scalar("SELECT stay_alive($1, $2, $3)")
            .bind(millis(AWAY))
            .bind(millis(self.terms.ttl))
            .bind(millis(self.terms.age_max))
            .fetch_one(&self.pool)
            .await?;
        if extended > 0 {
            tracing::info!(
                leases = extended,
                "leases that ran out while the service was away are extended"
            );
        }
        Ok(())
    }

    /// Returns the accelerator before this store.
    pub(crate) fn accelerator(&self) -> Option<Arc<Accelerator>> {
        self.accelerator.clone()
    }

    /// Makes sure that no heartbeat is answered for what this transaction ends: its caller holds the rows' locks and
    /// commits then.
    pub(super) async fn end(&self, ended: Ended<'_>) -> Result<(), StoreError> {
        match &self.accelerator {
            None => Ok(()),
            Some(accelerator) => accelerator.end(ended).await,
        }
    }

    /// Begins a transaction that sees one tenant, in one round trip, when its turn has come.
    pub(super) async fn begin(&self, tenant: &TenantId) -> Result<InTurn, StoreError> {
        // A tenant's id holds no quote and no backslash (`TenantId`).
        let statement = format!("BEGIN; SET LOCAL app.tenant_id = '{tenant}'");
        let mut tries = self.pool.options().get_max_connections();
        let turn = self.queue.turn().await?;
        loop {
            match self.pool.begin_with(AssertSqlSafe(statement.clone())).await {
                // The server went away under an idle connection; nothing was begun.
                Err(error) if tries > 0 && is_stale(&error) => tries -= 1,
                other => {
                    self.queue.reached(other.is_ok());
                    return Ok(InTurn::new(other.map_err(unavailable)?, turn));
                }
            }
        }
    }
}

/// Says who acts in this transaction, and returns the database's time.
pub(super) async fn act_as(
    connection: &mut Connection,
    actor: &str,
) -> Result<Timestamp, sqlx::Error> {
    let now: i64 = sqlx::query_scalar("SELECT now_ms() FROM set_config('app.actor', $1, true)")
        .bind(actor)
        .fetch_one(connection)
        .await?;
    Ok(Timestamp::from_column(now))
}

/// Says who acts, until it is said anew; `None` is an operator's command or the service itself.
async fn act_as_in(connection: &mut Connection, actor: Option<&str>) -> Result<(), sqlx::Error> {
    act_as(connection, actor.unwrap_or_default()).await.map(drop)
}

fn is_stale(error: &sqlx::Error) -> bool {
    // 57P01 to 57P03: the server is shutting down or starting up.
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code.starts_with("57P"))
        || matches!(error, sqlx::Error::Io(_) | sqlx::Error::BeginFailed)
}

/// Brings the schema to this program's version, as its owner.
pub(crate) async fn migrate(owner: &Secret) -> Result<(), OpenError> {
    let mut connection = PgConnection::connect_with(&options(owner)?).await?;
    MIGRATIONS.run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Reads a connection URL. Over a network the server must prove its name unless the URL says otherwise; no statement
/// and no lock may take long.
fn options(url: &Secret) -> Result<PgConnectOptions, sqlx::Error> {
    let url = url.reveal();
    let mut options: PgConnectOptions = url.parse()?;
    if !url.contains("sslmode=") && !url.contains("ssl-mode=") && options.get_socket().is_none() {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    Ok(options.options([
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]))
}
