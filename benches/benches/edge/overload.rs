//! What does the edge still do at twice its capacity?
//!
//! The origin takes 40 ms for each request and the backend gives it 64 at once, so that the capacity is the origin's, as
//! with a service that waits for its database. It is what 64 connections get that ask as fast as they are answered. Then
//! requests come at a fixed rate, whatever becomes of those before: half of the capacity, the capacity, and twice as much.
//! 64 may wait; what is more is shed with 503. Beside it a health checker asks `/readyz` ten times a second.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_benches::edge::{self, HOST, Setup};
use portcullis_benches::mode::Mode;
use portcullis_benches::steady::{self, Load, Seen};
use portcullis_benches::{h2load, machine, record, slow_origin};

/// Requests that ask for the capacity.
const ASKING: u32 = 64;
/// How long the origin takes.
const TAKES: Duration = Duration::from_millis(40);
const BACKEND: &str = ", capacity: { in_flight: 64, queue: 64, queue_timeout: 100ms }";

pub(crate) fn bench(mode: Mode) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    edge::certificate(dir.path())?;
    let origin = slow_origin::start(TAKES)?;
    let policy = edge::policy(dir.path())?;
    let setup = Setup {
        servers: &[origin],
        backend: BACKEND,
        policy: Some(&policy),
        limits: ", connections_per_address: 10000",
        top: "",
    };
    let edge = edge::start(&dir.path().join("edge"), setup)?;
    let url = format!("http://{}/api/v1/licenses/7?page=2&sort=name", edge.plain);
    let span = mode.span(Duration::from_secs(10));
    let capacity = per_second(h2load::run(&url, ASKING, span)?, span);
    if capacity <= 0.0 {
        return Err(io::Error::other("no request was answered well, so that there is no capacity"));
    }
    let mut text = format!(
        "# The edge at and beyond its capacity\n\n{}; one worker, the shipped policy, HTTP/1.1 without TLS, an origin that takes {} ms, at most 64 requests in work and 64 that wait. Capacity: {capacity:.0} requests a second, by {ASKING} connections that ask as fast as they are answered.\n\n| offered | sent/s | good/s | of the capacity | p50 ms | p99 ms | shed/s | otherwise failed | health checks | slowest, ms |\n|---|---|---|---|---|---|---|---|---|---|\n",
        machine::describe(),
        TAKES.as_millis(),
    );
    let url = format!("http://{HOST}/api/v1/licenses/7?page=2&sort=name");
    for times in [0.5, 1.0, 2.0] {
        let load = Load {
            address: edge.plain,
            url: url.clone(),
            per_second: whole(capacity * times),
            cert: None,
        };
        let (seen, checks) = beside_checks(edge.metrics, || {
            let load = steady::start(load)?;
            std::thread::sleep(span);
            load.finish()
        })?;
        text += &row(times, capacity, span, &seen, &checks);
    }
    record::publish(mode, "overload", &text)
}

fn row(times: f64, capacity: f64, span: Duration, seen: &Seen, checks: &Checks) -> String {
    let good = seen.times.len() as u64;
    let failed: u64 = seen.failures.values().sum();
    let shed = seen.failures.get("503").copied().unwrap_or_default();
    let rate = |count| per_second(count, span);
    let millis = |share| seen.quantile(share).as_secs_f64() * 1e3;
    format!(
        "| {times} × | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {:.0} | {} | {} of {} | {:.1} |\n",
        rate(good + failed),
        rate(good),
        rate(good) / capacity,
        millis(0.5),
        millis(0.99),
        rate(shed),
        failed - shed,
        checks.good,
        checks.all,
        checks.slowest.as_secs_f64() * 1e3,
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of requests is positive and far below 2^32"
)]
fn whole(rate: f64) -> u32 {
    rate.max(1.0) as u32
}

fn per_second(count: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let count = count as f64;
    count / span.as_secs_f64()
}

#[derive(Default)]
struct Checks {
    all: u32,
    good: u32,
    slowest: Duration,
}

/// Does something, and checks the health of the edge meanwhile.
fn beside_checks<T>(
    address: SocketAddr,
    doing: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, Checks)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let checking = scope.spawn(|| {
            let mut checks = Checks::default();
            while !stop.load(Ordering::Relaxed) {
                let begun = now();
                checks.all += 1;
                checks.good += u32::from(is_ready(address));
                checks.slowest = checks.slowest.max(begun.elapsed());
                std::thread::sleep(Duration::from_millis(100));
            }
            checks
        });
        let done = doing();
        stop.store(true, Ordering::Relaxed);
        let checks = checking.join().map_err(|_| io::Error::other("the health checker broke"))?;
        Ok((done?, checks))
    })
}

/// Whether `/readyz` is answered with 200 within a second.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut tcp = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
        tcp.write_all(b"GET /readyz HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer)?;
        Ok(answer == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

#[expect(clippy::disallowed_methods, reason = "a health checker measures time")]
fn now() -> Instant {
    Instant::now()
}
