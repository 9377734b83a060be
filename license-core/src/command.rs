//! The command line: `serve`, and what operators do to a store, beside a running service or without one.

mod audit;
mod export;
mod webhook;

pub use audit::AuditAction;
pub use webhook::{WebhookAction, WhichWebhook};

use crate::clock::{SystemClock, Timestamp};
use crate::domain::key::KeyPrefix;
use crate::domain::license::{Leasing, NewLicense, Standing};
use crate::domain::names::{LicenseName, NameError, SubjectId, TenantId};
use crate::service::{LocalAddress, Operator, Service, migrate};
use crate::settings::{Settings, Span};
use crate::store::Change;
use crate::store::office::Burst;
use clap::{Args, Subcommand};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

/// A service takes up a new data key within five seconds.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(6);

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the license API.
    Serve(ServeArguments),
    /// Bring a PostgreSQL database's schema to this program's version, as its owner.
    Migrate(ServeArguments),
    /// Look at and change tenants, licenses, users and sessions.
    Admin(AdminArguments),
}

/// What `serve` and `migrate` take.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What `admin` takes.
#[derive(Debug, Args)]
pub struct AdminArguments {
    /// The settings file of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    action: Action,
}

/// What operators do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Tenants.
    #[command(subcommand)]
    Tenant(TenantAction),
    /// Licenses of a tenant.
    #[command(subcommand)]
    License(LicenseAction),
    /// Users of a tenant.
    #[command(subcommand)]
    Subject(SubjectAction),
    /// Sessions that hold seats.
    #[command(subcommand)]
    Session(SessionAction),
    /// Signing keys.
    #[command(subcommand)]
    Key(KeyAction),
    /// Data keys, under which personal data is sealed.
    #[command(subcommand)]
    DataKey(DataKeyAction),
    /// The audit trail.
    #[command(subcommand)]
    Audit(AuditAction),
    /// Webhooks, which tell a tenant of its seats and licenses.
    #[command(subcommand)]
    Webhook(WebhookAction),
    /// Give a license more seats for a time, which ends by itself: `burst acme/editor +20 --for 8h`.
    Burst {
        /// The license, as its tenant and its name.
        license: OfTenant,
        /// How many more, such as `+20`.
        seats: String,
        /// For how long, such as `8h`; at most 31 days.
        #[arg(long = "for", value_name = "TIME")]
        lasts: Span,
    },
    /// Write a copy of a SQLite store into a new file, while it serves.
    Backup {
        /// The file, which must not be there.
        file: PathBuf,
    },
    /// To be said once after a store was restored, before it serves: fencing epochs jump past whatever was lost, and no
    /// new seat is given until the leases that were lost are over. Who has a receipt gets its seat back at once.
    Restored {
        /// How long new seats are held; for the longest lease or borrow token unless said.
        #[arg(long = "for", value_name = "TIME")]
        hold: Option<Span>,
    },
}

/// What operators do to data keys, beside a running service.
#[derive(Debug, Subcommand)]
pub enum DataKeyAction {
    /// Make the next data key and seal every row anew under it. Data keys themselves are sealed anew where
    /// `personal_data.key` is a new one and `former_key` the one before it.
    Rotate,
    /// Seal every row under the present data key: those in the clear, and those that a rotation which was broken off
    /// left under an older one.
    Reseal,
}

/// What operators do to signing keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// List them with their states.
    Ls {
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Make the next ones now, ahead of their time; they sign a day later. Where the settings name another place for
    /// keys than before, the new ones are made there.
    Rotate,
    /// End one for good: no receipt that it signed is believed any more. The service makes the next one at once.
    Revoke {
        /// The key's id, which may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Only tell what the revocation would strand.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What operators do to a tenant.
#[derive(Debug, Subcommand)]
pub enum TenantAction {
    /// Create it; one that is there stays as it is.
    Create {
        /// The id that tokens carry.
        tenant: TenantId,
    },
    /// Deny all its requests.
    Suspend {
        /// The id that tokens carry.
        tenant: TenantId,
    },
    /// Let it work again.
    Activate {
        /// The id that tokens carry.
        tenant: TenantId,
    },
}

/// What operators do to a license.
#[derive(Debug, Subcommand)]
pub enum LicenseAction {
    /// Create it and print its key, this once.
    Create(CreateArguments),
    /// List the tenant's licenses and their seats.
    Ls {
        /// Whose licenses.
        #[arg(long)]
        tenant: TenantId,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Change the number of seats. Fewer than are leased end no lease.
    Seats {
        /// Which license.
        #[command(flatten)]
        which: Which,
        /// The new number.
        seats: u32,
    },
    /// Give it more seats for a time, which ends by itself. A burst before it is over with this.
    Burst {
        /// Which license.
        #[command(flatten)]
        which: Which,
        /// How many more, such as `+20`.
        seats: String,
        /// For how long, such as `8h`; at most 31 days.
        #[arg(long = "for", value_name = "TIME")]
        lasts: Span,
    },
    /// Deny its use until it is activated.
    Suspend(Which),
    /// Let it be used again.
    Activate(Which),
    /// Deny its use for good.
    Revoke(Which),
}

/// What a new license is.
#[derive(Debug, Args)]
pub struct CreateArguments {
    #[command(flatten)]
    which: Which,
    /// The product it is for.
    #[arg(long)]
    product: LicenseName,
    /// How many seats may be leased at once.
    #[arg(long)]
    seats: u32,
    /// Lease seats to users instead of machines.
    #[arg(long)]
    per_user: bool,
    /// The word in front of the key.
    #[arg(long, default_value = "LIC")]
    prefix: KeyPrefix,
    /// When its term is over, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    expires: Option<jiff::Timestamp>,
}

/// One license of a tenant.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Whose license.
    #[arg(long)]
    tenant: TenantId,
    /// The license's name.
    #[arg(long)]
    name: LicenseName,
}

/// A license as one word: its tenant and its name, with a slash between.
#[derive(Debug, Clone)]
pub struct OfTenant(Which);

impl std::str::FromStr for OfTenant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tenant, name) =
            text.split_once('/').ok_or("write the tenant and the name, such as `acme/editor`")?;
        let tenant = tenant.parse().map_err(|error: NameError| error.to_string())?;
        let name = name.parse().map_err(|error: NameError| error.to_string())?;
        Ok(Self(Which { tenant, name }))
    }
}

/// What operators do to a user.
#[derive(Debug, Subcommand)]
pub enum SubjectAction {
    /// Deny the user's requests for seats.
    Suspend(Who),
    /// Let the user work again.
    Activate(Who),
    /// Erase the user: its live sessions end, what is known of it goes, and sessions keep a pseudonym. The audit trail
    /// stays verifiable.
    Erase(Who),
}

/// One user of a tenant.
#[derive(Debug, Args)]
pub struct Who {
    /// Whose user.
    #[arg(long)]
    tenant: TenantId,
    /// The subject that tokens carry.
    subject: String,
}

/// What operators do to sessions.
#[derive(Debug, Subcommand)]
pub enum SessionAction {
    /// List who holds the seats of a license.
    Ls {
        /// Which license.
        #[command(flatten)]
        which: Which,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Take a seat back.
    Revoke {
        /// Whose session.
        #[arg(long)]
        tenant: TenantId,
        /// The session.
        id: Uuid,
    },
}

/// The longest time that more seats are given for; what is needed for longer is not a burst.
const BURST_MAX: Duration = Duration::from_secs(31 * 86_400);

/// What a command comes to.
pub type Outcome = Result<(), Box<dyn Error>>;

impl Command {
    /// Does it, and prints to `out` what it has to say.
    ///
    /// # Errors
    /// When it cannot be done; the error's text says why.
    pub async fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::Serve(arguments) => serve(Settings::load(&arguments.config)?, out).await,
            Self::Migrate(arguments) => Ok(migrate(&Settings::load(&arguments.config)?).await?),
            Self::Admin(arguments) => {
                administer(&Settings::load(&arguments.config)?, arguments.action, out).await
            }
        }
    }
}

/// Does what operators do to a store, beside a running service or without one, and prints to `out`.
///
/// # Errors
/// When it cannot be done; the error's text says why.
pub async fn administer(settings: &Settings, action: Action, out: &mut dyn Write) -> Outcome {
    let operator = Operator::open(settings, Arc::new(SystemClock::new())).await?;
    let done = action.run(&operator, settings, out).await;
    operator.close().await;
    done
}

/// Serves until the process is told to end.
async fn serve(settings: Settings, out: &mut dyn Write) -> Outcome {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Service::start(settings, Arc::new(SystemClock::new())).await?;
    match running.address() {
        LocalAddress::Unix(path) => writeln!(out, "serving on unix:{}", path.display())?,
        LocalAddress::Tcp(address) => writeln!(out, "serving on http://{address}")?,
    }
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}

impl Action {
    /// Carries the action out through `operator` and prints to `out`.
    ///
    /// # Errors
    /// When it cannot be done; the error's text says why.
    pub async fn run(
        self,
        operator: &Operator,
        settings: &Settings,
        out: &mut dyn Write,
    ) -> Outcome {
        match self {
            Self::Backup { file } => Ok(operator.backup(&file).await?),
            Self::Restored { hold } => {
                let longest = settings.lease.ttl.max(settings.lease.offline_max);
                let until = operator.restored(hold.map(Span::duration), longest).await?;
                writeln!(out, "no new seats until {} but for receipts", until.to_rfc3339())?;
                Ok(())
            }
            Self::Burst { license: OfTenant(which), seats, lasts } => {
                burst(which, &seats, lasts, operator).await
            }
            Self::Tenant(action) => tenant(action, operator, out).await,
            Self::License(action) => license(action, operator, out).await,
            Self::Subject(action) => subject(action, operator, out).await,
            Self::Session(action) => session(action, operator, out).await,
            Self::Key(action) => key(action, operator, settings, out).await,
            Self::DataKey(action) => data_key(&action, operator, settings, out).await,
            Self::Audit(action) => audit::run(action, operator, out).await,
            Self::Webhook(action) => webhook::run(action, operator, settings, out).await,
        }
    }
}

async fn tenant(action: TenantAction, operator: &Operator, out: &mut dyn Write) -> Outcome {
    match action {
        TenantAction::Create { tenant } => {
            let word =
                if operator.create_tenant(&tenant).await? { "created" } else { "is there already" };
            writeln!(out, "tenant {tenant} {word}")?;
        }
        TenantAction::Suspend { tenant } => {
            operator.set_tenant(tenant, Standing::Suspended).await?
        }
        TenantAction::Activate { tenant } => operator.set_tenant(tenant, Standing::Active).await?,
    }
    Ok(())
}

async fn license(action: LicenseAction, operator: &Operator, out: &mut dyn Write) -> Outcome {
    let (which, change) = match action {
        LicenseAction::Create(arguments) => return create_license(arguments, operator, out).await,
        LicenseAction::Ls { tenant, json } => {
            return list_licenses(tenant, json, operator, out).await;
        }
        LicenseAction::Burst { which, seats, lasts } => {
            return burst(which, &seats, lasts, operator).await;
        }
        LicenseAction::Seats { which, seats } => (which, Change::Seats(seats)),
        LicenseAction::Suspend(which) => (which, Change::Standing(Standing::Suspended)),
        LicenseAction::Activate(which) => (which, Change::Standing(Standing::Active)),
        LicenseAction::Revoke(which) => (which, Change::Standing(Standing::Revoked)),
    };
    Ok(operator.change_license(which.tenant, which.name, change).await?)
}

async fn burst(which: Which, seats: &str, lasts: Span, operator: &Operator) -> Outcome {
    let seats: u32 = seats
        .strip_prefix('+')
        .unwrap_or(seats)
        .parse()
        .map_err(|_| format!("`{seats}` is not a number of seats such as `+20`"))?;
    let lasts = lasts.duration();
    if lasts > BURST_MAX {
        return Err("a burst lasts 31 days at most".into());
    }
    Ok(operator.burst(which.tenant, which.name, Burst { seats, lasts }).await?)
}

async fn create_license(
    arguments: CreateArguments,
    operator: &Operator,
    out: &mut dyn Write,
) -> Outcome {
    let millis = arguments.expires.map(|time| u64::try_from(time.as_millisecond())).transpose()?;
    let created = operator
        .create_license(NewLicense {
            tenant: arguments.which.tenant,
            name: arguments.which.name,
            product: arguments.product,
            seats: arguments.seats,
            leasing: if arguments.per_user { Leasing::PerUser } else { Leasing::PerMachine },
            key_prefix: arguments.prefix,
            expires_at: millis.map(Timestamp::from_millis),
        })
        .await?;
    writeln!(out, "license {}", created.id)?;
    writeln!(out, "key     {}   (shown this once: only its hash is kept)", created.key.as_str())?;
    Ok(())
}

async fn list_licenses(
    tenant: TenantId,
    json: bool,
    operator: &Operator,
    out: &mut dyn Write,
) -> Outcome {
    for line in operator.licenses(tenant).await? {
        let expires = line.expires_at.map(Timestamp::to_rfc3339);
        if json {
            let object = serde_json::json!({"id": line.id, "name": line.name, "product": line.product,
                "status": line.status, "leasing": line.leasing, "seats_used": line.seats_used,
                "seats_total": line.seats_total, "expires_at": expires});
            writeln!(out, "{object}")?;
        } else {
            let term = expires.as_deref().unwrap_or("never");
            let (used, total) = (line.seats_used, line.seats_total);
            writeln!(
                out,
                "{}  {used}/{total} seats  {}  expires {term}  {}",
                line.id, line.status, line.name
            )?;
        }
    }
    Ok(())
}

async fn subject(action: SubjectAction, operator: &Operator, out: &mut dyn Write) -> Outcome {
    let (who, standing) = match action {
        SubjectAction::Erase(who) => {
            let done = operator.erase(who.tenant, who.subject.parse()?).await?;
            writeln!(
                out,
                "{} sessions are {} now, {} events erased, {} events kept",
                done.sessions, done.pseudonym, done.events, done.kept_events
            )?;
            return Ok(());
        }
        SubjectAction::Suspend(who) => (who, Standing::Suspended),
        SubjectAction::Activate(who) => (who, Standing::Active),
    };
    let subject: SubjectId = who.subject.parse()?;
    Ok(operator.set_subject(who.tenant, subject, standing).await?)
}

async fn session(action: SessionAction, operator: &Operator, out: &mut dyn Write) -> Outcome {
    match action {
        SessionAction::Ls { which, json } => {
            for line in operator.sessions(which.tenant, which.name).await? {
                let (started, beat) =
                    (line.started_at.to_rfc3339(), line.last_heartbeat_at.to_rfc3339());
                let expires = line.expires_at.to_rfc3339();
                if json {
                    let object = serde_json::json!({"id": line.id, "user_id": line.subject,
                        "hardware_id": line.hardware, "started_at": started, "last_heartbeat_at": beat,
                        "expires_at": expires});
                    writeln!(out, "{object}")?;
                } else {
                    writeln!(
                        out,
                        "{}  {}  {}  until {expires}",
                        line.id, line.subject, line.hardware
                    )?;
                }
            }
        }
        SessionAction::Revoke { tenant, id } => operator.revoke_session(tenant, id).await?,
    }
    Ok(())
}

async fn key(
    action: KeyAction,
    operator: &Operator,
    settings: &Settings,
    out: &mut dyn Write,
) -> Outcome {
    match action {
        KeyAction::Ls { json } => {
            for line in operator.signing_keys().await? {
                let (state, created) = (line.state.as_str(), line.created_at.to_rfc3339());
                let active = line.active_at.to_rfc3339();
                if json {
                    let object = serde_json::json!({"kid": line.kid, "use": line.usage, "algorithm": line.algorithm, "state": state,
                        "created_at": created, "active_at": active});
                    writeln!(out, "{object}")?;
                } else {
                    writeln!(
                        out,
                        "{}  {}  {}  {state}  signs from {active}",
                        line.kid, line.usage, line.algorithm
                    )?;
                }
            }
        }
        KeyAction::Rotate => {
            let made = operator.rotate_signing_keys(settings, Arc::new(SystemClock::new())).await?;
            writeln!(out, "{made} keys made, they sign a day from now")?;
        }
        KeyAction::Revoke { kid, dry_run: true } => {
            let stranded = operator.stranded_by(&kid).await?;
            writeln!(
                out,
                "{} receipts of live leases (replaced with their next heartbeat) and {} borrow tokens in use \
                 (offline until their holders come back)",
                stranded.receipts, stranded.borrow_tokens
            )?;
        }
        KeyAction::Revoke { kid, dry_run: false } => operator.revoke_signing_key(&kid).await?,
    }
    Ok(())
}

async fn data_key(
    action: &DataKeyAction,
    operator: &Operator,
    settings: &Settings,
    out: &mut dyn Write,
) -> Outcome {
    let is_new = matches!(action, DataKeyAction::Rotate);
    let mut told = |rows: u64| tracing::info!(rows, "rows sealed anew so far");
    let done = operator.reseal_personal_data(settings, is_new, TAKEN_UP_WITHIN, &mut told).await?;
    writeln!(
        out,
        "{} rows sealed anew under generation {}, {} left; {} data keys sealed anew, {} forgotten",
        done.rows, done.generation, done.left, done.rewrapped, done.dropped
    )?;
    if done.left > 0 {
        return Err(format!("{} rows do not open: their data key is gone", done.left).into());
    }
    Ok(())
}
