//! SQLite: one file, one writer, readers beside it (WAL).
//!
//! Every write goes through [`writer::Writer`], which runs what is waiting in one `BEGIN IMMEDIATE` transaction and
//! answers after the commit. So an acknowledged lease is on disk, and hundreds of heartbeats cost one sync.

mod administration;
mod audit;
#[path = "both/all.rs"]
#[allow(clippy::duplicate_mod, reason = "one text for two databases")]
pub(super) mod both;
mod keys;
mod leases;
mod rows;
mod writer;

use super::{OpenError, Role};
use crate::clock::{Clock, LeaseClock, Timestamp};
use crate::domain::license::LeaseTerms;
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// Says who acts, as `both` calls it.
use act_as as act_as_in;
/// What `both` runs on.
type Connection = sqlx::SqliteConnection;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
const READERS: u32 = 4;

/// The store on one SQLite file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(super) writer: Writer,
    pub(super) readers: SqlitePool,
    pub(super) clock: LeaseClock,
    terms: LeaseTerms,
    /// Held while the server runs.
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens or makes the file, brings its schema up to date and, as the server, makes good the time away.
    pub(crate) async fn open(
        path: &Path,
        role: Role,
        terms: LeaseTerms,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let lock = lock(path, role)?;
        private_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.clone()).await?;
        MIGRATIONS.run(&readers).await?;
        let alive_at = alive_at(&readers).await?;
        let clock = LeaseClock::anchored(clock, alive_at);
        if role == Role::Server {
            make_good(&readers, terms, alive_at, clock.now()).await?;
        }
        let writer = Writer::start(options, clock.clone(), role).await?;
        Ok(Self { writer, readers, clock, terms, _lock: lock })
    }
}

/// Says who acts, until it is said anew; `None` is an operator's command or the service itself.
pub(super) async fn act_as(
    connection: &mut Connection,
    actor: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE acting SET actor = ?1")
        .bind(actor.unwrap_or("operator"))
        .execute(connection)
        .await
        .map(drop)
}

fn lock(path: &Path, role: Role) -> Result<Option<File>, OpenError> {
    if role == Role::Command {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private_file(Path::new(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path: name.into(), source }),
    }
}

/// Makes the file for this user alone; SQLite gives its journal files the same mode.
fn private_file(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })
}

async fn alive_at(readers: &SqlitePool) -> Result<Timestamp, sqlx::Error> {
    let column: i64 = sqlx::query_scalar("SELECT value FROM memory WHERE name = 'alive_at'")
        .fetch_one(readers)
        .await?;
    Ok(Timestamp::from_column(column))
}

/// A lease that ran out while the service was away could not be kept by any heartbeat: it gets one term more.
///
/// No seat is given twice by this. Every grant, and every expiry that anyone was told of, is a write, and every write
/// moves `alive_at`: what was live at `alive_at` was within the seats, and nothing was granted since.
async fn make_good(
    readers: &SqlitePool,
    terms: LeaseTerms,
    alive_at: Timestamp,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let extended = sqlx::query(
        "UPDATE session SET expires_at = ?1 WHERE ended_at IS NULL AND expires_at > ?2 AND expires_at <= ?3 \
         AND started_at + ?4 > ?3",
    )
    .bind(now.plus(terms.ttl).to_column())
    .bind(alive_at.to_column())
    .bind(now.to_column())
    .bind(i64::try_from(terms.age_max.as_millis()).unwrap_or(i64::MAX))
    .execute(readers)
    .await?;
    if extended.rows_affected() > 0 {
        tracing::info!(
            leases = extended.rows_affected(),
            "leases that ran out while the service was away are extended"
        );
    }
    Ok(())
}
