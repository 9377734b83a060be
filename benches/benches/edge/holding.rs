//! What does a client that only holds something cost the edge in memory?
//!
//! Idle TLS connections, after the handshake and after one answered request each; then HTTP/2 connections whose hundred
//! streams each begin a POST and never end it, opened again as often as the edge closes them, while the resident memory
//! is looked at once a minute for ten minutes.

use std::io;
use std::time::Duration;

use portcullis_benches::edge::{self, Edge, Setup};
use portcullis_benches::held::{self, Target};
use portcullis_benches::mode::Mode;
use portcullis_benches::{machine, nginx, process, record};

/// Idle connections: as many as the 20,000 descriptors that one process is usually allowed leave room for.
const IDLE: usize = 19_500;
const STREAM_CONNECTIONS: usize = 500;
/// As many as one connection may have.
const STREAMS: u32 = 100;
const LOOKS: usize = 10;

pub(crate) fn bench(mode: Mode) -> io::Result<()> {
    let is_pass = mode == Mode::OnePass;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = tempfile::tempdir()?;
    let (cert, _) = edge::certificate(dir.path())?;
    let origin = nginx::origin(dir.path())?;
    let setup = Setup {
        servers: &[origin.address],
        limits: ", connections: 100000, connections_per_address: 100000, idle_timeout: 1h",
        ..Setup::default()
    };
    let edge = edge::start(&dir.path().join("edge"), setup)?;
    let h1 = Target::new(edge.tls, &cert, b"http/1.1")?;
    let idle = runtime.block_on(idle(&edge, &h1, if is_pass { 50 } else { IDLE }))?;
    let h2 = Target::new(edge.tls, &cert, b"h2")?;
    let connections = if is_pass { 5 } else { STREAM_CONNECTIONS };
    let (looks, pause) = if is_pass { (2, 1) } else { (LOOKS, 60) };
    let streams = streams(&edge, &h2, connections, looks, Duration::from_secs(pause));
    let streams = runtime.block_on(streams)?;
    record::publish(mode, "holding", &(idle + &streams))
}

fn resident(edge: &Edge) -> io::Result<f64> {
    process::resident_mib(edge.process.id())
}

async fn idle(edge: &Edge, target: &Target, count: usize) -> io::Result<String> {
    let before = resident(edge)?;
    let mut open = target.open(count).await?;
    let handshaken = resident(edge)?;
    held::ask_each(&mut open).await?;
    let asked = resident(edge)?;
    drop(open);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = resident(edge)?;
    #[expect(clippy::cast_precision_loss, reason = "a count of connections is far below 2^52")]
    let each = |mib: f64| (mib - before) * 1024.0 / count as f64;
    Ok(format!(
        "# What clients that only hold something cost\n\n{}; one worker, no policy; resident memory of the edge.\n\n## {count} idle TLS 1.3 connections\n\n| when | MiB | KiB for each connection |\n|---|---|---|\n| before | {before:.0} | – |\n| after their handshakes | {handshaken:.0} | {:.1} |\n| after one answer each | {asked:.0} | {:.1} |\n| two seconds after they were closed | {after:.0} | {:.1} |\n",
        machine::describe(),
        each(handshaken),
        each(asked),
        each(after),
    ))
}

async fn streams(
    edge: &Edge,
    target: &Target,
    connections: usize,
    looks: usize,
    pause: Duration,
) -> io::Result<String> {
    let mut holding = tokio::task::JoinSet::new();
    for _ in 0..connections {
        holding.spawn(target.clone().hold_streams(STREAMS));
    }
    let mut text = format!(
        "\n## {connections} HTTP/2 connections with {STREAMS} unfinished requests each\n\n| seconds | MiB |\n|---|---|\n"
    );
    for look in 1..=looks {
        tokio::time::sleep(pause).await;
        text += &format!("| {} | {:.0} |\n", pause.as_secs() * look as u64, resident(edge)?);
    }
    holding.shutdown().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    text += &format!("| two seconds after they were closed | {:.0} |\n", resident(edge)?);
    Ok(text)
}
