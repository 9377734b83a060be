//! The accelerator: heartbeats that are answered from Redis or Valkey, without the database.
//!
//! **Why no seat is given twice.** The database stays the authority, and what is in Redis may be gone at any moment. A
//! heartbeat that reaches the database leases a while (`ahead`) further than its holder is told, and leaves a *slip* in
//! Redis that says so. A later heartbeat that finds the slip is answered from it as long as the lease in the database
//! covers what the holder is told: nothing that was acknowledged is only in Redis, so a flush loses nothing but speed.
//! The price is that a seat whose holder vanished comes free up to `ahead` later, and `last_heartbeat_at` lags as far.
//!
//! **Why no ended session is kept.** Whoever ends a session by hand (release, revocation, take-over, a suspension) holds
//! its row's lock, takes the slip out of Redis and leaves a tombstone there, and only then commits. A slip is put under
//! three conditions that Redis checks in one step: the *generation* (a random key that a flush takes away) and the
//! tenant's counter are what they were before the database was asked, and there is no tombstone. So a slip of a heartbeat
//! that the database took before the lock was held is either deleted, or kept out by the tombstone, or, where a flush took
//! the tombstone, by the generation. A heartbeat that the database takes after the commit finds the session ended.
//!
//! **When Redis cannot be reached.** All services agree through one row of the database on which Redis is in use (by its
//! run id, which a restart changes), and read it twice a second; a service whose last look is older than two seconds uses
//! no slip. Who has to end a session and cannot reach Redis switches the accelerator off in that row and waits until
//! everybody has seen it, before it commits; what is put after it is on again asks the database behind that lock. A Redis that comes back has another run id or, where it was only cut off,
//! slips of an older epoch: neither is believed.
//!
//! A service or a command whose settings have no accelerator keeps it off for all, as long as it runs.
//!
//! Slips are sealed with the wrapping key, each under its tenant and session: who can write to Redis forges none.

use super::{OpenError, SessionRef, StoreError};
use crate::clock::Timestamp;
use crate::domain::lease::Session;
use crate::domain::names::TenantId;
use crate::settings::{Accelerator as Settings, Secret};
use crate::signing::SecretBox;
use prometheus::IntCounterVec;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, TlsCertificates, Value};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, PgPool, Row as _};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How often the row that all services share is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look that began longer ago says nothing.
const LOOK_HOLDS: Duration = Duration::from_secs(2);
/// After this everybody has seen a change of the row, or uses no slip.
const SEEN_BY_ALL: Duration = Duration::from_millis(2500);
/// How long a command may take.
const ANSWER: Duration = Duration::from_millis(500);
/// How long an ending waits for a sure state before it is refused.
const ENDING: Duration = Duration::from_secs(6);
/// A slip that the database was asked for longer ago is not put.
const TICKET_HOLDS: Duration = Duration::from_secs(10);
/// How long a tombstone stands: longer than any ticket.
const TOMBSTONE_MS: u64 = 60_000;
/// How long a tenant's counter stands: longer than any slip.
const COUNTER_MS: u64 = 8 * 86_400_000;

/// Puts a slip if nothing happened since its ticket: `KEYS` slip, generation, counter, tombstone; `ARGV` generation,
/// counter, slip, milliseconds.
const PUT: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '0') ~= ARGV[2] \
    or redis.call('EXISTS', KEYS[4]) == 1 then return 0 end \
    redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) return 1";
/// Takes a slip away and keeps another one from being put: `KEYS` slip, tombstone; `ARGV` milliseconds.
const END: &str =
    "redis.call('SET', KEYS[2], '1', 'PX', ARGV[1]) redis.call('DEL', KEYS[1]) return 1";
/// Counts a tenant on, so that none of its slips is believed: `KEYS` counter; `ARGV` milliseconds.
const COUNT: &str = "redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return 1";

/// What the row said, and when.
#[derive(Clone)]
struct Look {
    id: String,
    epoch: i64,
    run: String,
    /// When this epoch was seen first.
    since: Instant,
    /// When the last look began.
    began: Instant,
    /// Until when it stays off, where it is.
    off_until: Instant,
    /// The database's time, and when it had come.
    now: (Timestamp, Instant),
}

#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    run: String,
}

#[derive(Default)]
struct State {
    look: Option<Look>,
    link: Option<Link>,
}

/// The accelerator of one process.
pub(crate) struct Accelerator {
    client: Client,
    ahead: Duration,
    secrets: OnceLock<Arc<SecretBox>>,
    state: RwLock<State>,
    counted: IntCounterVec,
}

impl std::fmt::Debug for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accelerator").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

/// What a heartbeat found.
pub(super) enum Found {
    /// The lease in the database covers this.
    Covered(Session),
    /// The database is to be asked, and may leave a slip.
    Nothing(Ticket),
    /// The accelerator is off.
    Off,
}

/// What Redis said before the database was asked.
pub(super) struct Ticket {
    epoch: i64,
    generation: String,
    counter: String,
    taken: Instant,
}

/// A lease that the database extended ahead.
pub(super) struct Ahead {
    pub(super) session: Session,
    pub(super) term: Duration,
    pub(super) age_end: Timestamp,
    pub(super) lapse: Option<Timestamp>,
}

impl Ahead {
    /// What the holder is told at `now`; `None` where the lease does not cover it.
    fn told(&self, now: Timestamp) -> Option<Session> {
        let until = now.plus(self.term).min(self.age_end);
        let lapsed = self.lapse.is_some_and(|lapse| lapse <= now);
        let covered = until <= self.session.expires_at && now < until && !lapsed;
        covered.then(|| Session {
            last_heartbeat_at: now,
            expires_at: until,
            ..self.session.clone()
        })
    }

    /// What the holder is told by the heartbeat that extended the lease.
    pub(super) fn first(&self) -> Session {
        let now = self.session.last_heartbeat_at;
        self.told(now).unwrap_or_else(|| self.session.clone())
    }
}

/// A slip as it stands in Redis, sealed.
#[derive(Serialize, Deserialize)]
struct Slip {
    epoch: i64,
    generation: String,
    counter: String,
    license: Uuid,
    subject: String,
    hardware: String,
    user_email: Option<String>,
    metadata: BTreeMap<String, String>,
    lease_epoch: i64,
    started_at: u64,
    heartbeat_at: u64,
    expires_at: u64,
    term: u64,
    age_end: u64,
    lapse: Option<u64>,
    borrowed_until: Option<u64>,
}

impl Slip {
    fn of(ahead: &Ahead, ticket: Ticket) -> Self {
        let session = &ahead.session;
        Self {
            epoch: ticket.epoch,
            generation: ticket.generation,
            counter: ticket.counter,
            license: session.license,
            subject: session.subject.clone(),
            hardware: session.hardware.clone(),
            user_email: session.user_email.clone(),
            metadata: session.metadata.clone(),
            lease_epoch: session.epoch,
            started_at: session.started_at.as_millis(),
            heartbeat_at: session.last_heartbeat_at.as_millis(),
            expires_at: session.expires_at.as_millis(),
            term: u64::try_from(ahead.term.as_millis()).unwrap_or(u64::MAX),
            age_end: ahead.age_end.as_millis(),
            lapse: ahead.lapse.map(Timestamp::as_millis),
            borrowed_until: session.borrowed_until.map(Timestamp::as_millis),
        }
    }

    fn ahead(self, id: Uuid) -> Ahead {
        let time = Timestamp::from_millis;
        Ahead {
            session: Session {
                id,
                license: self.license,
                subject: self.subject,
                hardware: self.hardware,
                user_email: self.user_email,
                metadata: self.metadata,
                epoch: self.lease_epoch,
                started_at: time(self.started_at),
                last_heartbeat_at: time(self.heartbeat_at),
                expires_at: time(self.expires_at),
                ended: None,
                borrowed_until: self.borrowed_until.map(time),
            },
            term: Duration::from_millis(self.term),
            age_end: time(self.age_end),
            lapse: self.lapse.map(time),
        }
    }
}

/// The names of what stands in Redis.
struct Names<'a> {
    store: &'a str,
}

impl Names<'_> {
    fn generation(&self) -> String {
        format!("license-core:{}:generation", self.store)
    }

    fn counter(&self, tenant: &TenantId) -> String {
        format!("license-core:{}:tenant:{tenant}", self.store)
    }

    fn slip(&self, tenant: &TenantId, session: Uuid) -> String {
        format!("license-core:{}:slip:{tenant}:{session}", self.store)
    }

    fn tombstone(&self, tenant: &TenantId, session: Uuid) -> String {
        format!("license-core:{}:ended:{tenant}:{session}", self.store)
    }
}

fn sealed_as(tenant: &TenantId, session: Uuid) -> String {
    format!("slip {tenant} {session}")
}

impl Accelerator {
    /// Connects, and looks at the shared row from then on by a connection of its own. A Redis that evicts is refused; one
    /// that cannot be reached is waited for, and heartbeats go to the database meanwhile.
    pub(super) async fn open(
        settings: &Settings,
        database: PgConnectOptions,
        counted: IntCounterVec,
    ) -> Result<Arc<Self>, OpenError> {
        // Another part of the process may have chosen already, and then that holds.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client = client(settings).map_err(OpenError::Accelerator)?;
        let accelerator = Arc::new(Self {
            client,
            ahead: settings.ahead,
            secrets: OnceLock::new(),
            state: RwLock::default(),
            counted,
        });
        match accelerator.connect().await {
            Ok(Linked::Good(link)) => accelerator.write(|state| state.link = Some(link)),
            Ok(Linked::Evicts(policy)) => return Err(OpenError::Evicts(policy)),
            Err(error) => {
                tracing::warn!(%error, "the accelerator is not reached, heartbeats go to the database");
            }
        }
        let mut connection = Some(PgConnection::connect_with(&database).await?);
        accelerator.look(&mut connection, &database).await;
        tokio::spawn(keep_looking(Arc::downgrade(&accelerator), connection, database));
        Ok(accelerator)
    }

    /// From here on slips are sealed with these, and used.
    pub(crate) fn seal_with(&self, secrets: Arc<SecretBox>) {
        drop(self.secrets.set(secrets));
    }

    /// Returns how far the database leases ahead of what holders are told.
    pub(super) const fn ahead(&self) -> Duration {
        self.ahead
    }

    fn read<T>(&self, with: impl FnOnce(&State) -> T) -> T {
        with(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, with: impl FnOnce(&mut State)) {
        with(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    async fn connect(&self) -> Result<Linked, redis::RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER * 2))
            .set_response_timeout(Some(ANSWER));
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let policy = field("maxmemory_policy").unwrap_or("unknown");
        if policy != "noeviction" {
            return Ok(Linked::Evicts(policy.to_owned()));
        }
        let run = field("run_id").unwrap_or_default().to_owned();
        Ok(Linked::Good(Link { connection, run }))
    }

    /// Looks at the shared row, and says there what this process reaches.
    async fn look(&self, connection: &mut Option<PgConnection>, database: &PgConnectOptions) {
        let run = self.read(|state| state.link.as_ref().map(|link| link.run.clone()));
        let looked = self.look_with(connection, database, run);
        match tokio::time::timeout(LOOK_HOLDS, looked).await {
            Ok(Ok(look)) => self.write(|state| state.look = Some(look)),
            Ok(Err(_)) | Err(_) => *connection = None,
        }
    }

    async fn look_with(
        &self,
        connection: &mut Option<PgConnection>,
        database: &PgConnectOptions,
        run: Option<String>,
    ) -> Result<Look, sqlx::Error> {
        let began = Instant::now();
        let open = match connection {
            Some(open) => open,
            None => connection.insert(PgConnection::connect_with(database).await?),
        };
        let row = sqlx::query("SELECT id, epoch, run, now, off_ms FROM accelerate($1)")
            .bind(run)
            .fetch_one(open)
            .await?;
        let seen = Instant::now();
        let (epoch, id): (i64, String) = (row.try_get("epoch")?, row.try_get("id")?);
        let before = self.read(|state| state.look.clone());
        let since = before
            .filter(|look| look.epoch == epoch && look.id == id)
            .map_or(seen, |look| look.since);
        let now = Timestamp::from_column(row.try_get("now")?);
        let off =
            Duration::from_millis(u64::try_from(row.try_get::<i64, _>("off_ms")?).unwrap_or(0));
        let run = row.try_get("run")?;
        Ok(Look { id, epoch, run, since, began, off_until: began + off, now: (now, seen) })
    }

    /// Takes a link that does not answer out of use; it is not used again, as what comes after it may be another Redis.
    fn unlink(&self, error: &redis::RedisError) {
        tracing::warn!(%error, "the accelerator does not answer, heartbeats go to the database");
        self.write(|state| state.link = None);
    }

    /// What may be used now: the last look holds, and it says that everybody uses the Redis that this process is linked to.
    fn usable(&self) -> Option<(Look, Link)> {
        self.read(|state| {
            let (look, link) = (state.look.as_ref()?, state.link.as_ref()?);
            let holds =
                look.began.elapsed() < LOOK_HOLDS && look.run == link.run && !link.run.is_empty();
            holds.then(|| (look.clone(), link.clone()))
        })
    }

    /// Looks for a slip by which a heartbeat is answered.
    pub(super) async fn find(&self, named: &SessionRef) -> Found {
        let found = self.try_find(named).await;
        let result = match &found {
            Found::Covered(_) => "covered",
            Found::Nothing(_) => "nothing",
            Found::Off => "off",
        };
        self.counted.with_label_values(&[result]).inc();
        found
    }

    async fn try_find(&self, named: &SessionRef) -> Found {
        let (Some((look, mut link)), Some(secrets)) = (self.usable(), self.secrets.get()) else {
            return Found::Off;
        };
        let names = Names { store: &look.id };
        let taken = Instant::now();
        let asked: Result<(Option<String>, Option<String>, Option<Vec<u8>>), _> =
            redis::cmd("MGET")
                .arg(names.generation())
                .arg(names.counter(&named.tenant))
                .arg(names.slip(&named.tenant, named.id))
                .query_async(&mut link.connection)
                .await;
        let (generation, counter, sealed) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                self.unlink(&error);
                return Found::Off;
            }
        };
        let Some(generation) = generation else {
            // The first after a flush; the next heartbeat has a generation to go by.
            self.begin_generation(&names, link).await;
            return Found::Off;
        };
        let counter = counter.unwrap_or_else(|| "0".to_owned());
        let ticket = Ticket { epoch: look.epoch, generation, counter, taken };
        let opened = sealed
            .and_then(|sealed| secrets.unseal(&sealed, &sealed_as(&named.tenant, named.id)).ok());
        let Some(slip) = opened.and_then(|text| serde_json::from_slice::<Slip>(&text).ok()) else {
            return Found::Nothing(ticket);
        };
        let current = slip.epoch == ticket.epoch
            && slip.generation == ticket.generation
            && slip.counter == ticket.counter
            && slip.subject == named.subject.as_str();
        // The look may have become too old meanwhile.
        if !current || self.usable().is_none_or(|(now, _)| now.epoch != ticket.epoch) {
            return Found::Nothing(ticket);
        }
        let (then, seen) = look.now;
        match slip.ahead(named.id).told(then.plus(seen.elapsed())) {
            Some(session) => Found::Covered(session),
            None => Found::Nothing(ticket),
        }
    }

    async fn begin_generation(&self, names: &Names<'_>, mut link: Link) {
        let begun: Result<(), _> = redis::cmd("SET")
            .arg(names.generation())
            .arg(Uuid::new_v4().to_string())
            .arg("NX")
            .query_async(&mut link.connection)
            .await;
        if let Err(error) = begun {
            self.unlink(&error);
        }
    }

    /// Leaves a slip of a lease that the database extended, unless something happened since the ticket.
    pub(super) async fn keep(&self, ticket: Ticket, named: &SessionRef, ahead: &Ahead) {
        let (Some((look, mut link)), Some(secrets)) = (self.usable(), self.secrets.get()) else {
            return;
        };
        if look.epoch != ticket.epoch || ticket.taken.elapsed() >= TICKET_HOLDS {
            return;
        }
        let (now, end) = (ahead.session.last_heartbeat_at, ahead.session.expires_at);
        let useful = end.since(now).saturating_sub(ahead.term).max(Duration::from_millis(1));
        let (generation, counter) = (ticket.generation.clone(), ticket.counter.clone());
        let Ok(text) = serde_json::to_vec(&Slip::of(ahead, ticket)) else { return };
        let Ok(sealed) = secrets.seal(&text, &sealed_as(&named.tenant, named.id)) else { return };
        let names = Names { store: &look.id };
        let put: Result<Value, _> = redis::cmd("EVAL")
            .arg(PUT)
            .arg(4)
            .arg(names.slip(&named.tenant, named.id))
            .arg(names.generation())
            .arg(names.counter(&named.tenant))
            .arg(names.tombstone(&named.tenant, named.id))
            .arg(generation)
            .arg(counter)
            .arg(sealed)
            .arg(u64::try_from(useful.as_millis()).unwrap_or(u64::MAX))
            .query_async(&mut link.connection)
            .await;
        if let Err(error) = put {
            self.unlink(&error);
        }
    }

    /// Takes a slip away whose session lives on with other words of its holder; one that is missed tells the old ones.
    pub(super) async fn forget(&self, tenant: &TenantId, session: Uuid) {
        let Some((look, mut link)) = self.usable() else { return };
        let slip = Names { store: &look.id }.slip(tenant, session);
        if let Err(error) =
            redis::cmd("DEL").arg(slip).query_async::<Value>(&mut link.connection).await
        {
            self.unlink(&error);
        }
    }

    /// Makes sure that no slip of what is ended is believed any more. The caller holds the lock of the session's row and
    /// commits afterwards.
    ///
    /// # Errors
    /// When that cannot be made sure of: then nothing is ended.
    pub(super) async fn end(&self, ended: Ended<'_>) -> Result<(), StoreError> {
        let waited = tokio::time::timeout(ENDING, async {
            while !self.try_end(ended).await {
                tokio::time::sleep(LOOK_EVERY / 10).await;
            }
        });
        waited.await.map_err(|_| {
            tracing::error!(
                "a session was not ended: the accelerator is neither reached nor known to be off"
            );
            StoreError::Unavailable
        })
    }

    /// Says whether it is sure now.
    async fn try_end(&self, ended: Ended<'_>) -> bool {
        let (look, link) = self.read(|state| (state.look.clone(), state.link.clone()));
        let Some(look) = look.filter(|look| look.began.elapsed() < LOOK_HOLDS) else {
            return false;
        };
        if look.since.elapsed() < SEEN_BY_ALL {
            return false;
        }
        // Off for everybody until now: who leaves a slip later asks the database after the lock was taken.
        if look.run.is_empty() {
            return Instant::now() < look.off_until;
        }
        let Some(mut link) = link.filter(|link| link.run == look.run) else { return false };
        let names = Names { store: &look.id };
        let mut command = redis::cmd("EVAL");
        match ended {
            Ended::Session(tenant, id) => command
                .arg(END)
                .arg(2)
                .arg(names.slip(tenant, id))
                .arg(names.tombstone(tenant, id))
                .arg(TOMBSTONE_MS),
            Ended::AnyOf(tenant) => {
                command.arg(COUNT).arg(1).arg(names.counter(tenant)).arg(COUNTER_MS)
            }
        };
        match command.query_async::<Value>(&mut link.connection).await {
            Ok(_) => true,
            Err(error) => {
                self.unlink(&error);
                false
            }
        }
    }
}

/// Keeps the accelerator off for a service that has none: what it ends takes no slip away. To be said again within ten
/// seconds.
pub(super) async fn keep_off(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT accelerate(NULL)").execute(pool).await.map(drop)
}

/// Switches the accelerator off for a service or a command that has none, and waits until everybody who used it has seen
/// that.
pub(super) async fn switch_off(pool: &PgPool) -> Result<(), sqlx::Error> {
    let before: i64 = sqlx::query_scalar("SELECT epoch FROM accelerator").fetch_one(pool).await?;
    let after: i64 =
        sqlx::query_scalar("SELECT epoch FROM accelerate(NULL)").fetch_one(pool).await?;
    // It was on, here or a moment ago.
    if before != after {
        tracing::warn!(
            "other services have an accelerator and this one has none: it is off for all"
        );
        tokio::time::sleep(SEEN_BY_ALL).await;
    }
    Ok(())
}

/// What is ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended<'a> {
    /// One session.
    Session(&'a TenantId, Uuid),
    /// Sessions of the tenant, or what they stand on changes.
    AnyOf(&'a TenantId),
}

enum Linked {
    Good(Link),
    Evicts(String),
}

/// Looks twice a second, and links again what was cut off, for as long as there is an accelerator.
async fn keep_looking(
    accelerator: Weak<Accelerator>,
    mut connection: Option<PgConnection>,
    database: PgConnectOptions,
) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let Some(accelerator) = accelerator.upgrade() else { return };
        if accelerator.read(|state| state.link.is_none()) {
            match accelerator.connect().await {
                Ok(Linked::Good(link)) => accelerator.write(|state| state.link = Some(link)),
                Ok(Linked::Evicts(policy)) => {
                    tracing::error!(
                        policy,
                        "the accelerator evicts and stays off: set `maxmemory-policy noeviction`"
                    );
                }
                Err(_) => {}
            }
        }
        accelerator.look(&mut connection, &database).await;
    }
}

fn client(settings: &Settings) -> Result<Client, redis::RedisError> {
    let info = url(&settings.url).into_connection_info()?;
    match &settings.ca {
        None => Client::open(info),
        Some(path) => {
            let root_cert = Some(std::fs::read(path)?);
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
    }
}

fn url(secret: &Secret) -> &str {
    secret.reveal()
}
