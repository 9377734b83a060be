//! The task that probes servers: one plain `GET` each, 200 is good.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::model::{Health, Server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Turns, Upstream, Upstreams, health};
use crate::shared::Shared;

/// How often the published snapshot is looked at for backends that are new or changed.
const LOOK: Duration = Duration::from_secs(1);

/// Probes the servers of the published snapshot until `stopping`.
pub(crate) async fn forever(
    shared: Arc<Shared>,
    turns: Arc<Turns>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut due: HashMap<String, Instant> = HashMap::new();
    loop {
        let upstreams = turns.of(&shared.snapshot.load());
        due.retain(|id, _| upstreams.by_id.contains_key(id));
        forget_the_unnamed(&turns, &upstreams);
        let probing = probe_what_is_due(&shared, &turns, &upstreams, &mut due);
        tokio::select! {
            () = probing => {}
            _ = stopping.changed() => return,
        }
        let next = due.values().min().copied().unwrap_or_else(|| Instant::now() + LOOK);
        tokio::select! {
            () = tokio::time::sleep_until(next.min(Instant::now() + LOOK)) => {}
            _ = stopping.changed() => return,
        }
    }
}

fn forget_the_unnamed(turns: &Turns, upstreams: &Upstreams) {
    turns.health.retain(|backend, server| {
        let upstream = upstreams.by_id.get(backend);
        upstream.is_some_and(|upstream| {
            upstream.backend.servers.iter().any(|one| health::name(one) == server)
        })
    });
}

async fn probe_what_is_due(
    shared: &Arc<Shared>,
    turns: &Arc<Turns>,
    upstreams: &Upstreams,
    due: &mut HashMap<String, Instant>,
) {
    let mut probes = JoinSet::new();
    for (id, upstream) in &upstreams.by_id {
        let Some(health) = &upstream.backend.health else { continue };
        let now = Instant::now();
        if due.get(id).is_some_and(|due| *due > now) {
            continue;
        }
        due.insert(id.clone(), now + health.every);
        for server in &upstream.backend.servers {
            probes.spawn(probe(
                Arc::clone(upstream),
                server.clone(),
                health.clone(),
                Arc::clone(turns),
            ));
        }
    }
    while let Some(ended) = probes.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a probe's task broke");
        }
    }
    for upstream in upstreams.by_id.values().filter(|upstream| upstream.backend.health.is_some()) {
        let up = upstream
            .backend
            .servers
            .iter()
            .filter(|server| turns.health.is_up(upstream.id.as_str(), server));
        let count = i64::try_from(up.count()).unwrap_or(i64::MAX);
        shared.metrics.backend_up.with_label_values(&[upstream.id.as_str()]).set(count);
    }
}

async fn probe(upstream: Arc<Upstream>, server: Server, health: Health, turns: Arc<Turns>) {
    let answer = tokio::time::timeout(health.timeout, ask(&upstream, &server, &health.path)).await;
    let is_good = matches!(answer, Ok(Ok(200)));
    if turns.health.note(upstream.id.as_str(), &server, &health, is_good) {
        let (backend, server) = (upstream.id.as_str(), health::name(&server));
        tracing::warn!(backend, server, is_up = is_good, "a server's health changed");
    }
}

async fn ask(upstream: &Upstream, server: &Server, path: &str) -> io::Result<u16> {
    match server {
        Server::Tcp(address) => {
            status(TcpStream::connect(address).await?, &address.to_string(), path).await
        }
        Server::Name { host, port } => {
            status(TcpStream::connect((host.as_str(), *port)).await?, host, path).await
        }
        Server::Unix(socket) => unix(socket, path).await,
        Server::EmbeddedLicense => unix(&upstream.embedded, path).await,
    }
}

async fn unix(socket: &Path, path: &str) -> io::Result<u16> {
    status(UnixStream::connect(socket).await?, "localhost", path).await
}

/// The longest status line that is read.
const STATUS_LINE_BYTES_MAX: u64 = 256;

async fn status(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcullis\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut line = Vec::new();
    let mut limited = stream.take(STATUS_LINE_BYTES_MAX);
    while !line.contains(&b'\n') && limited.read_buf(&mut line).await? > 0 {}
    let digits = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
