//! A new configuration while requests run: load, compile, probe, publish. What fails leaves the last good snapshot.

mod fixed;
mod past;
mod probe;
mod retire;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_config::{Diagnostic, Report, Style, Timestamp};
use portcullis_policy::state::Retired;
use serde_json::{Map, Value, json};

use crate::admin::{BanView, Failure, ReloadView};
use crate::audit::{Actor, Audit};
use crate::bans::apply;
use crate::compile::compile_after;
use crate::log::rfc3339;
use crate::origin::Origin;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

use past::Past;
pub use past::Standing;
pub use probe::{Probed, probe};
pub use retire::Retirement;
pub use watch::{Watch, WatchError};

/// Takes new configurations, one at a time.
#[derive(Debug)]
pub struct Reloader {
    shared: Arc<Shared>,
    origin: Origin,
    audit: Arc<Audit>,
    retirement: Retirement,
    /// What can be gone back to. Held through a whole reload: one at a time.
    past: Mutex<Past>,
    last: Mutex<Last>,
}

/// How the last reload ended.
#[derive(Clone, Debug)]
struct Last {
    /// When the served snapshot was published.
    published: Timestamp,
    /// Why the last reload was refused, if it was.
    error: Option<String>,
    /// What the last refused candidate was made of: the mending may happen in one of them.
    refused_files: Vec<PathBuf>,
    /// A copy for those who may not wait for a reload that runs.
    standing: Standing,
}

/// Why a reload published nothing.
enum Refused {
    /// The files do not load or compile.
    Problems(Report),
    /// What has changed needs a new process.
    Fixed(Vec<String>),
    /// The candidate does not do what every configuration does, or what its own tests ask.
    Probes { wrong: Vec<Diagnostic>, files: Vec<PathBuf> },
    /// The generation that is served may still be taken back.
    Unconfirmed(u64),
}

impl Refused {
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Problems(report) => report.files.clone(),
            Self::Probes { files, .. } => files.clone(),
            Self::Fixed(_) | Self::Unconfirmed(_) => Vec::new(),
        }
    }
}

impl Reloader {
    /// Makes a reloader of the configuration at `origin`, whose first snapshot is in `shared`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(shared: Arc<Shared>, origin: Origin, audit: Arc<Audit>) -> std::io::Result<Self> {
        let now = shared.clock.now();
        published(&shared, now);
        Ok(Self {
            retirement: Retirement::start()?,
            past: Mutex::new(Past::default()),
            last: Mutex::new(Last {
                published: now,
                error: None,
                refused_files: Vec::new(),
                standing: Standing::default(),
            }),
            shared,
            origin,
            audit,
        })
    }

    /// Returns where the configuration is read from.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns when the served snapshot was published, and why the last reload was refused, if it was.
    #[must_use]
    pub fn last(&self) -> (Timestamp, Option<String>) {
        let last = self.held();
        (last.published, last.error.clone())
    }

    /// Reads everything again and publishes it if it is good and new. Blocks for as long as the compilation takes; not
    /// for a worker thread. With `confirm`, what is published is taken back after that time unless [`Self::keep`] is
    /// called before.
    ///
    /// # Errors
    /// When the candidate was refused; the snapshot that is served stays.
    pub fn reload(&self, actor: &Actor, confirm: Option<Duration>) -> Result<ReloadView, Failure> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.last().1;
        match self.attempt(&mut past, actor, confirm) {
            Ok(view) => {
                if view.changed || before.is_some() || !is_quiet(actor) {
                    self.succeeded(actor, "reload", &view);
                }
                Ok(view)
            }
            Err(refused) => {
                let failure = failure(&refused);
                self.held().refused_files = refused.files();
                if before.as_ref() != Some(&failure.error) || !is_quiet(actor) {
                    self.failed(actor, &failure);
                }
                Err(failure)
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(
        &self,
        past: &mut Past,
        actor: &Actor,
        confirm: Option<Duration>,
    ) -> Result<ReloadView, Refused> {
        let served = self.shared.snapshot.load_full();
        if past.revert_at().is_some() {
            return Err(Refused::Unconfirmed(served.generation));
        }
        let loaded = self.origin.load().map_err(Refused::Problems)?;
        let (candidate, warnings) =
            give_way(|| compile_after(&served, loaded)).map_err(Refused::Problems)?;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let is_known = candidate.fingerprint == served.fingerprint
            || (*actor == Actor::Watch && past.is_rejected(&candidate.fingerprint));
        if is_known {
            return Ok(view(&served, false, Vec::new(), warnings, 0));
        }
        let changes = fixed::changes(&served.config, &candidate.config);
        if !changes.is_empty() {
            return Err(Refused::Fixed(changes));
        }
        let probed = give_way(|| probe(&candidate, &*self.shared.clock));
        if !probed.wrong.is_empty() {
            return Err(Refused::Probes { wrong: probed.wrong, files: candidate.files });
        }
        let candidate = Snapshot { tested: probed.tested, ..candidate };
        let revert_at = confirm.map(|wait| self.shared.clock.now().plus(wait));
        let retired = self.publish(candidate, |replaced| past.advanced(replaced, revert_at));
        self.held().standing = past.standing();
        let served = self.shared.snapshot.load_full();
        let view = self.with_bans(view(&served, true, probed.answers, warnings, 0), &retired);
        Ok(ReloadView { revert_at: revert_at.map(rfc3339), ..view })
    }

    /// Tells what the state let go of, and the live bans of rules that are not what they were.
    fn with_bans(&self, view: ReloadView, retired: &Retired) -> ReloadView {
        let now = self.shared.clock.now();
        let changed_bans = retired.changed_bans.iter().map(|ban| BanView::of(ban, now)).collect();
        ReloadView { forgotten_keys: retired.keys as u64, changed_bans, ..view }
    }

    /// Publishes the candidate, hands the replaced snapshot to `keep`, which gives back the one that nobody needs any
    /// more, and returns what the candidate's policies have no use for.
    fn publish(
        &self,
        candidate: Snapshot,
        keep: impl FnOnce(Arc<Snapshot>) -> Option<Arc<Snapshot>>,
    ) -> Retired {
        let now = self.shared.clock.now();
        let limits = candidate.limit_ids();
        let replaced = self.shared.snapshot.swap(Arc::new(candidate));
        if let Some(old) = keep(replaced) {
            self.retirement.retire(old);
        }
        published(&self.shared, now);
        let retired = self.shared.state.retire(&limits, now);
        for ban in &retired.changed_bans {
            tracing::warn!(key = %ban.key, "the ban stands, and the rule that placed it has changed");
        }
        retired
    }

    /// Publishes the snapshot before the served one again, as a generation of its own. The files stay as they are: the
    /// watch leaves them alone until they change, and [`Self::reload`] takes them again.
    ///
    /// # Errors
    /// When there is none: this process has served one generation only.
    pub fn roll_back(&self, actor: &Actor) -> Result<ReloadView, Failure> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        self.go_back(&mut past, actor, "policy rollback")
    }

    /// Keeps what a reload published for a time.
    ///
    /// # Errors
    /// When nothing awaits a confirmation.
    pub fn keep(&self, actor: &Actor) -> Result<ReloadView, Failure> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if !past.confirm() {
            let error = "no reload awaits a confirmation".to_owned();
            return Err(Failure { error, problems: Vec::new() });
        }
        self.held().standing = past.standing();
        let served = self.shared.snapshot.load_full();
        let view = view(&served, false, Vec::new(), Vec::new(), 0);
        self.record(
            actor,
            "reload --keep",
            [("generation", json!(served.generation)), ("changed", json!(false))],
        );
        Ok(view)
    }

    /// Takes back what was published for a time that is over. For a periodic task; cheap where nothing is due.
    pub fn revert_if_due(&self) {
        // A reload that runs holds the lock; what is due then is due at the next look.
        let Ok(mut past) = self.past.try_lock() else { return };
        let is_due = past.revert_at().is_some_and(|at| self.shared.clock.now() >= at);
        if is_due && let Err(failure) = self.go_back(&mut past, &Actor::Timer, "reload reverted") {
            tracing::error!("{}", failure.error);
        }
    }

    /// Returns what can be gone back to, and what goes back by itself.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.held().standing.clone()
    }

    fn go_back(
        &self,
        past: &mut Past,
        actor: &Actor,
        command: &str,
    ) -> Result<ReloadView, Failure> {
        let served = self.shared.snapshot.load_full();
        let Some(previous) = past.previous() else {
            let error =
                "there is nothing to go back to: this process has served one generation".to_owned();
            return Err(Failure { error, problems: Vec::new() });
        };
        let again = Snapshot { generation: served.generation + 1, ..Snapshot::clone(&previous) };
        let retired = self.publish(again, |replaced| past.went_back(replaced));
        self.held().standing = past.standing();
        let served = self.shared.snapshot.load_full();
        let view = self.with_bans(view(&served, true, Vec::new(), Vec::new(), 0), &retired);
        self.succeeded(actor, command, &view);
        Ok(view)
    }

    fn succeeded(&self, actor: &Actor, command: &str, view: &ReloadView) {
        let metrics = &self.shared.metrics;
        metrics.config_reloads.with_label_values(&["ok"]).inc();
        metrics.config_last_reload_success.set(1);
        {
            let mut last = self.held();
            last.error = None;
            last.refused_files.clear();
            if view.changed {
                last.published = self.shared.clock.now();
            }
        }
        for warning in &view.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            generation = view.generation,
            changed = view.changed,
            fingerprint = %view.fingerprint,
            "{command}"
        );
        self.record(
            actor,
            command,
            [("generation", json!(view.generation)), ("changed", json!(view.changed))],
        );
    }

    fn failed(&self, actor: &Actor, failure: &Failure) {
        let metrics = &self.shared.metrics;
        metrics.config_reloads.with_label_values(&["error"]).inc();
        metrics.config_last_reload_success.set(0);
        self.held().error = Some(failure.error.clone());
        tracing::error!(
            problems = ?failure.problems,
            "configuration refused, the last good one is served: {}", failure.error
        );
        self.record(actor, "reload", [("error", json!(failure.error)), ("changed", json!(false))]);
    }

    fn record(&self, actor: &Actor, command: &str, outcome: [(&str, Value); 2]) {
        let outcome: Map<String, Value> =
            outcome.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let now = self.shared.clock.now();
        if let Err(error) = self.audit.record(actor, command, None, &outcome, now) {
            tracing::error!(%error, "the reload is not in the audit file");
        }
    }

    /// Returns the files whose change is worth a reload.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.shared.snapshot.load().files.clone();
        files.extend(self.held().refused_files.iter().cloned());
        files
    }
}

/// How much a compilation gives way to the threads that serve: as far as a thread can.
const NICENESS: i32 = 19;

/// Does something on a thread of its own that the system runs when no other wants to.
fn give_way<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let working = || {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "a compilation runs at full priority");
        }
        work()
    };
    std::thread::scope(|scope| match scope.spawn(working).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// These tasks look often; they speak only when something has come of it.
fn is_quiet(actor: &Actor) -> bool {
    matches!(actor, Actor::Watch | Actor::Feeds | Actor::Acme)
}

/// Sets the metrics of the snapshot that is served.
fn published(shared: &Shared, now: Timestamp) {
    let snapshot = shared.snapshot.load();
    let metrics = &shared.metrics;
    metrics.config_generation.set(i64::try_from(snapshot.generation).unwrap_or(i64::MAX));
    metrics.config_last_success_time.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    metrics.config_last_reload_success.set(1);
    metrics.published(&snapshot);
    shared.state.note_generation(snapshot.generation);
    drop(snapshot);
    apply(shared);
}

fn view(
    served: &Snapshot,
    changed: bool,
    probes: Vec<String>,
    warnings: Vec<String>,
    forgotten_keys: u64,
) -> ReloadView {
    ReloadView {
        generation: served.generation,
        fingerprint: served.fingerprint.clone(),
        changed,
        probes,
        tests: served.tested.passed as u64,
        warnings,
        forgotten_keys,
        revert_at: None,
        changed_bans: Vec::new(),
    }
}

fn failure(refused: &Refused) -> Failure {
    match refused {
        Refused::Problems(report) => {
            let errors: Vec<_> = report.errors().collect();
            let (first, more) = shortened(&errors);
            Failure { error: format!("{first}{more}"), problems: drawn(&report.problems) }
        }
        Refused::Fixed(changes) => Failure {
            error: format!("a reload cannot change {}: restart to apply it", changes.join(", ")),
            problems: Vec::new(),
        },
        Refused::Probes { wrong, .. } => {
            let (first, more) = shortened(&wrong.iter().collect::<Vec<_>>());
            let error = format!("the candidate failed a probe: {first}{more}");
            Failure { error, problems: drawn(wrong) }
        }
        Refused::Unconfirmed(generation) => Failure {
            error: format!(
                "generation {generation} awaits a confirmation: keep it with `portcullis reload --keep`, or go back with `portcullis policy rollback`"
            ),
            problems: Vec::new(),
        },
    }
}

/// The first problem as a line, and how many more there are.
fn shortened(errors: &[&Diagnostic]) -> (String, String) {
    let first = errors.first().map_or_else(String::new, |first| first.to_string());
    let more = match errors.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    (first, more)
}

fn drawn(problems: &[Diagnostic]) -> Vec<String> {
    problems.iter().map(|one| one.render(Style::Plain)).collect()
}

#[cfg(test)]
mod tests;
