//! The one writer: jobs in, one transaction for all that wait, answers after the commit.

use crate::clock::{LeaseClock, Timestamp};
use crate::store::{Role, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::future::Future;
use std::pin::Pin;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// The most jobs of one transaction, so that the first of them does not wait long.
const BATCH_JOBS_MAX: usize = 256;
/// The most jobs that wait; callers beyond that wait for a place.
const WAITING_JOBS_MAX: usize = 4096;

type Work<'c> = Pin<Box<dyn Future<Output = Result<Acknowledge, sqlx::Error>> + Send + 'c>>;
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection, Timestamp) -> Work<'c> + Send>;
/// Tells the waiting caller; dropped when the transaction did not commit, which tells it that.
type Acknowledge = Box<dyn FnOnce() + Send>;

/// The handle to the writer's task.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    sender: mpsc::WeakSender<Job>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the writing connection and starts the task.
    pub(super) async fn start(
        options: SqliteConnectOptions,
        clock: LeaseClock,
        role: Role,
    ) -> Result<Self, sqlx::Error> {
        let connection = options.connect().await?;
        let (sender, jobs) = mpsc::channel(WAITING_JOBS_MAX);
        let weak = sender.downgrade();
        let task = tokio::spawn(run(jobs, connection, options, clock, role));
        Ok(Self { jobs: Mutex::new(Some(sender)), sender: weak, task: Mutex::new(Some(task)) })
    }

    /// Runs `work` within the next transaction and returns its result once that is on disk. The work's time is the
    /// transaction's. When the caller goes away meanwhile the work is done all the same.
    pub(in crate::store) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(
                &'c mut SqliteConnection,
                Timestamp,
            )
                -> Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>
            + Send
            + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection, now| {
            let work = work(connection, now);
            Box::pin(async move {
                let result = work.await?;
                let acknowledge: Acknowledge = Box::new(move || drop(answer.send(result)));
                Ok(acknowledge)
            })
        });
        let sender = self.sender.upgrade().ok_or(StoreError::Unavailable)?;
        sender.send(job).await.map_err(|_| StoreError::Unavailable)?;
        drop(sender);
        answered.await.map_err(|_| StoreError::Unavailable)
    }

    /// Takes no more jobs, does what waits and ends the task.
    pub(super) async fn stop(&self) {
        self.jobs.lock().await.take();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer did not end well");
        }
    }
}

async fn run(
    mut jobs: mpsc::Receiver<Job>,
    mut connection: SqliteConnection,
    options: SqliteConnectOptions,
    clock: LeaseClock,
    role: Role,
) {
    while let Some(first) = jobs.recv().await {
        match batch(first, &mut jobs, &mut connection, &clock, role).await {
            Ok(acknowledgements) => {
                acknowledgements.into_iter().for_each(|acknowledge| acknowledge())
            }
            Err(error) => {
                tracing::error!(%error, "a transaction failed, its callers may ask again");
                recover(&mut connection, &options).await;
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::error!(%error, "the database did not close well");
    }
}

/// Runs one transaction. On an error none of its jobs happened.
async fn batch(
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    connection: &mut SqliteConnection,
    clock: &LeaseClock,
    role: Role,
) -> Result<Vec<Acknowledge>, sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let mut now = clock.now();
    tell_time(connection, now, role).await?;
    let mut acknowledgements = vec![first(connection, now).await?];
    while acknowledgements.len() < BATCH_JOBS_MAX
        && let Ok(job) = jobs.try_recv()
    {
        // A job that joins late may come from after the batch's begin: a lease that has run out since is over for it.
        let at = clock.now();
        if at != now {
            now = at;
            tell_time(connection, now, role).await?;
        }
        acknowledgements.push(job(connection, now).await?);
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(acknowledgements)
}

/// Tells the store the time, before anything that happens at it: the audit trail reads it from there.
async fn tell_time(
    connection: &mut SqliteConnection,
    now: Timestamp,
    role: Role,
) -> Result<(), sqlx::Error> {
    let statement = match role {
        Role::Server => {
            "UPDATE memory SET value = max(value, ?1) WHERE name IN ('now', 'alive_at')"
        }
        // A command does not make up for an absent server: it neither grants nor renews.
        Role::Command => "UPDATE memory SET value = ?1 WHERE name = 'now'",
    };
    sqlx::query(statement).bind(now.to_column()).execute(connection).await.map(drop)
}

/// Leaves no transaction open: rolls back, or takes a new connection when that fails.
async fn recover(connection: &mut SqliteConnection, options: &SqliteConnectOptions) {
    if sqlx::query("ROLLBACK").execute(&mut *connection).await.is_ok() {
        return;
    }
    match options.connect().await {
        Ok(fresh) => *connection = fresh,
        Err(error) => tracing::error!(%error, "the database cannot be opened again"),
    }
}
