//! What do clients notice of reloads, of upgrades to a new program, and of origins that restart?
//!
//! A fixed rate of requests over TLS, half by HTTP/1.1 and half by HTTP/2, through an edge with the shipped policy before
//! two nginx origins: first in quiet, then while the policy is changed and published 1,000 times, while the program
//! is replaced 20 times, and while one origin and the other is killed and started again, 100 times in all. Requests are
//! GETs; the client is hyper's, which repeats on a new connection what a closing one did not take, and nothing else.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_benches::edge::{self, Edge, HOST, Setup};
use portcullis_benches::mode::Mode;
use portcullis_benches::nginx::{self, Nginx};
use portcullis_benches::process::{self, free_address};
use portcullis_benches::steady::{self, Load, Seen};
use portcullis_benches::{machine, record};

/// Requests per second: a tenth of what the edge serves here, so that the rate holds through every phase.
const PER_SECOND: u32 = 400;
/// Between one change and the next, and how long an origin stays dead.
const PAUSE: Duration = Duration::from_millis(100);
/// Between one origin's death and the next: retries have a budget of a fifth of the requests.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

struct Bench {
    edge: Edge,
    policy: PathBuf,
    cert: PathBuf,
    origins: [Option<Nginx>; 2],
    addresses: [SocketAddr; 2],
    dir: tempfile::TempDir,
}

struct Phase {
    name: String,
    seen: Seen,
    /// Resident MiB of the serving process before and after.
    resident: [f64; 2],
}

pub(crate) fn bench(mode: Mode) -> io::Result<()> {
    let mut bench = prepare()?;
    let few = |full: u32, pass: u32| if mode == Mode::OnePass { pass } else { full };
    let (reloads, upgrades, restarts) = (few(1000, 2), few(20, 1), few(100, 2));
    let span = mode.span(Duration::from_secs(30));
    let phases = [
        bench.phase("quiet", |_| {
            std::thread::sleep(span);
            Ok(())
        })?,
        bench.phase(&format!("{reloads} reloads"), |bench| {
            each(reloads, PAUSE, |n| bench.reload(n))
        })?,
        bench.phase(&format!("{upgrades} upgrades"), |bench| {
            each(upgrades, PAUSE, |_| bench.upgrade())
        })?,
        bench.phase(&format!("{restarts} origin restarts"), |bench| {
            each(restarts, RESTART_PAUSE, |n| bench.restart_origin(n))
        })?,
    ];
    bench.end()?;
    record::publish(mode, "change", &table(&phases))
}

fn prepare() -> io::Result<Bench> {
    let dir = tempfile::tempdir()?;
    let (cert, _) = edge::certificate(dir.path())?;
    let addresses = [free_address()?, free_address()?];
    let origins = [
        Some(nginx::origin_at(dir.path(), "origin-0", addresses[0])?),
        Some(nginx::origin_at(dir.path(), "origin-1", addresses[1])?),
    ];
    let policy = edge::policy(dir.path())?;
    let setup = Setup { servers: &addresses, policy: Some(&policy), ..Setup::default() };
    let edge = edge::start(&dir.path().join("edge"), setup)?;
    Ok(Bench { edge, policy, cert, origins, addresses, dir })
}

fn each(
    count: u32,
    pause: Duration,
    mut change: impl FnMut(u32) -> io::Result<()>,
) -> io::Result<()> {
    for n in 0..count {
        change(n)?;
        std::thread::sleep(pause);
    }
    Ok(())
}

impl Bench {
    fn phase(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<Phase> {
        let before = self.resident()?;
        let load = Load {
            address: self.edge.tls,
            url: format!("https://{HOST}/api/v1/licenses/7?page=2&sort=name"),
            per_second: PER_SECOND,
            cert: Some(&self.cert),
        };
        let load = steady::start(load)?;
        let changed = change(self);
        let seen = load.finish()?;
        changed?;
        Ok(Phase { name: name.to_owned(), seen, resident: [before, self.resident()?] })
    }

    /// Publishes a policy with another description, which is another policy.
    fn reload(&self, n: u32) -> io::Result<()> {
        let text = fs::read_to_string(&self.policy)?;
        let changed: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("description: ") {
                Some(_) => format!("description: Version {n}"),
                None => line.to_owned(),
            })
            .collect();
        fs::write(&self.policy, changed.join("\n"))?;
        self.succeed(&["reload"])
    }

    fn upgrade(&self) -> io::Result<()> {
        self.succeed(&["upgrade"])
    }

    /// Kills one origin, leaves it dead for a moment, and starts it again.
    fn restart_origin(&mut self, n: u32) -> io::Result<()> {
        let at = usize::from(n % 2 == 1);
        let (Some(origin), Some(address)) = (self.origins.get_mut(at), self.addresses.get(at))
        else {
            return Ok(());
        };
        drop(origin.take());
        std::thread::sleep(PAUSE);
        *origin = Some(nginx::origin_at(self.dir.path(), &format!("origin-{at}"), *address)?);
        Ok(())
    }

    fn succeed(&self, arguments: &[&str]) -> io::Result<()> {
        let output = self.edge.ask(arguments)?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{arguments:?}: {}", output.stderr.escape_ascii())))
    }

    /// Of the process that serves now.
    fn resident(&self) -> io::Result<f64> {
        process::resident_mib(self.edge.serving_pid()?)
    }

    /// The last successor is nobody's child: it has to be told to end.
    fn end(&self) -> io::Result<()> {
        process::terminate(self.edge.serving_pid()?)
    }
}

fn table(phases: &[Phase]) -> String {
    let quiet = phases.first().map(|phase| phase.seen.quantile(0.99)).unwrap_or_default();
    let mut text = format!(
        "# Changes under load\n\n{}; {PER_SECOND} requests a second over TLS 1.3, half HTTP/1.1 and half HTTP/2; the edge with one worker and the shipped policy, two nginx origins; {} ms between changes, an origin's death each {} ms.\n\n| phase | requests | failed | p50 ms | p99 ms | p99 beside quiet | resident MiB, before and after |\n|---|---|---|---|---|---|---|\n",
        machine::describe(),
        PAUSE.as_millis(),
        (PAUSE + RESTART_PAUSE).as_millis(),
    );
    for phase in phases {
        text += &row(phase, quiet);
    }
    for phase in phases {
        for (failure, count) in &phase.seen.failures {
            text += &format!("\n{}: {count} × {failure}\n", phase.name);
        }
    }
    text
}

fn row(phase: &Phase, quiet: Duration) -> String {
    let Phase { name, seen, resident: [before, after] } = phase;
    let millis = |share| seen.quantile(share).as_secs_f64() * 1e3;
    let failed: u64 = seen.failures.values().sum();
    format!(
        "| {name} | {} | {failed} | {:.2} | {:.2} | {:.2} | {before:.0} to {after:.0} |\n",
        seen.times.len() as u64 + failed,
        millis(0.5),
        millis(0.99),
        millis(0.99) / (quiet.as_secs_f64() * 1e3),
    )
}
