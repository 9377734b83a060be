//! A thousand slow clients at the real binary: Debian's `slowhttptest` with heads, bodies and reads that drip, and readers
//! of our own that stop. Not for CI: it takes two minutes and its figures want a quiet machine.
//! `cargo test --release -p portcullis-tests --test e2e slow -- --ignored --nocapture --test-threads 1`

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_tests::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::process::{Portcullis, metric, serve};

const CONNECTIONS: usize = 1000;
const ANSWER_BYTES: usize = 1 << 20;

/// The default configuration but for a plain listener, on which one address may have all of the test's connections.
fn start(home: &Path, origin: &Origin) -> Portcullis {
    let text = format!(
        "version: 1\nenvironment: development\nstate_dir: state\nadmin: {{ socket: admin.sock, metrics: '127.0.0.1:0' }}\n\
         listeners: [{{ address: '127.0.0.1:0', plain: true }}]\n\
         log: {{ requests: off, events: off }}\nlimits: {{ connections_per_address: 5000 }}\n\
         backends: {{ origin: {{ servers: ['{}'] }} }}\n\
         hosts: {{ localhost: {{ routes: [{{ path: /, backend: origin, identity: none }}] }} }}\n",
        origin.address()
    );
    std::fs::write(home.join("portcullis.yaml"), text).unwrap();
    serve(home)
}

async fn connect(
    to: SocketAddr,
    from: &str,
    receive_bytes: Option<u32>,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
    socket.connect(to).await
}

/// Asks on a new connection, reads the whole answer, and says how long that took; `None` if it was not 200.
async fn asked(to: SocketAddr) -> Option<Duration> {
    let begun = Instant::now();
    let mut stream = connect(to, "127.0.0.2", None).await.ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut answer = Vec::with_capacity(2 * ANSWER_BYTES);
    while stream.read_buf(&mut answer).await.ok()? > 0 {}
    answer.starts_with(b"HTTP/1.1 200").then(|| begun.elapsed())
}

/// What a second client saw.
struct Seen {
    asked: usize,
    failed: usize,
    median: Duration,
    p99: Duration,
    most: Duration,
}

/// A second client, from another address, that asks until it is told to stop.
async fn second_client(to: SocketAddr, is_over: Arc<AtomicBool>) -> Seen {
    let (mut times, mut failed) = (Vec::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        match asked(to).await {
            Some(time) => times.push(time),
            None => failed += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times.sort();
    let at = |hundredth: usize| times[(times.len() - 1) * hundredth / 100];
    Seen { asked: times.len() + failed, failed, median: at(50), p99: at(99), most: at(100) }
}

pub(super) fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

/// The edge's open connections to clients, as the system sees them: those whose own port is the listener's.
fn open(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let own = format!(":{port:04X}");
    let is_open = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&own) && fields[3] == "01" && !fields[2].starts_with("0200007F")
    };
    table.lines().skip(1).filter(|line| is_open(line)).count()
}

/// How the attacker's connections went.
struct Course {
    /// The most that were open at one time.
    most: usize,
    /// From the first one until the last one was gone.
    lasted: Duration,
}

/// Watches the attacker's connections until they have come and gone.
async fn course(port: u16, limit: Duration) -> Course {
    let (begun, mut most, mut first) = (Instant::now(), 0, None);
    loop {
        let now = open(port);
        most = most.max(now);
        if now > 0 {
            first.get_or_insert_with(Instant::now);
        }
        if let Some(first) =
            first.filter(|first: &Instant| now == 0 && first.elapsed() > Duration::from_secs(6))
        {
            return Course { most, lasted: first.elapsed() };
        }
        assert!(begun.elapsed() < limit, "{now} of {most} connections still stand after {limit:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The edge under attack, and what is expected of it.
struct Attack<'a> {
    name: &'a str,
    /// The metric that counts each connection that is cut or refused.
    counted: &'a str,
    /// By when the last connection is gone.
    limit: Duration,
}

/// A large answer, so that a client who does not read it can be told from one who does.
fn large_answer() -> &'static [u8] {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER_BYTES}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + ANSWER_BYTES, b'x');
    answer.leak()
}

/// Strikes, and checks and returns what became of the edge, of the attacker and of a second client.
async fn withstands<S: Future<Output = Option<String>>>(
    attack: Attack<'_>,
    strike: impl FnOnce(SocketAddr) -> S,
) -> String {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::answering(large_answer()).await;
    let edge = start(home, &origin);
    let address: SocketAddr = edge.address.parse().unwrap();
    let watched = |span| async move {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = tokio::spawn(second_client(address, Arc::clone(&is_over)));
        span.await;
        is_over.store(true, Ordering::Relaxed);
        seen.await.unwrap()
    };
    let quiet = watched(Box::pin(tokio::time::sleep(Duration::from_secs(5))) as Span<'_>).await;
    let before = resident_kib(edge.process.id());
    let mut lines = vec![attack.name.to_owned()];
    let course_of = async {
        let (course, said) = tokio::join!(course(address.port(), attack.limit), strike(address));
        let Course { most, lasted } = course;
        lines.push(format!("{most} at one time, the last one gone after {lasted:?}"));
        lines.extend(said);
        assert!(most > CONNECTIONS / 2, "{most} at one time are no attack");
    };
    let under = watched(Box::pin(course_of) as Span<'_>).await;
    let grown = resident_kib(edge.process.id()).saturating_sub(before);
    let counted = metric(home, attack.counted).await;
    lines.push(format!("{} {counted}, grown {grown} KiB", attack.counted));
    for (when, seen) in [("quiet", &quiet), ("under attack", &under)] {
        let Seen { asked, failed, median, p99, most } = seen;
        lines.push(format!(
            "{when}: {asked} asked, {failed} failed, median {median:?}, p99 {p99:?}, most {most:?}"
        ));
    }
    assert_eq!((quiet.failed, under.failed), (0, 0), "the service stays available");
    assert!(counted as usize >= CONNECTIONS * 9 / 10, "each is cut by us");
    assert!(grown < 512 * 1024, "{grown} KiB");
    lines.join("\n    ")
}

type Span<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs `slowhttptest` and returns what it says last.
async fn slowhttptest(arguments: &[&str], to: SocketAddr) -> Option<String> {
    let url = format!("http://localhost:{}/", to.port());
    let mut command = Command::new("slowhttptest");
    command.args(arguments).args(["-c", "1000", "-r", "200", "-l", "40", "-u", &url]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().expect("slowhttptest is installed (Debian: slowhttptest)");
    let text = without_colours(&String::from_utf8(output.stdout).expect("it prints text"));
    let ends = text.split("slow HTTP test status").last().unwrap_or_default();
    let last: Vec<&str> = ends.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let available = |word: &str| {
        let lines = text.lines().filter(|line| line.contains("service available:"));
        lines.filter(|line| line.ends_with(word)).count()
    };
    assert!(available("YES") > 1 && available("NO") == 0, "{text}");
    Some(last.join("; "))
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute; figures for a quiet machine"]
async fn a_thousand_heads_that_drip_are_cut_at_the_deadline() {
    let counted = "edge_connections_cut_total{cause=\"head\"}";
    let attack = Attack { name: "slowhttptest -H", counted, limit: Duration::from_secs(25) };
    let seen =
        withstands(attack, |to| async move { slowhttptest(&["-H", "-i", "5"], to).await }).await;
    println!("{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute; figures for a quiet machine"]
async fn a_thousand_bodies_that_drip_are_refused_at_the_least_rate() {
    let counted = "edge_refusals_total{reason=\"body_timeout\"}";
    let attack = Attack { name: "slowhttptest -B", counted, limit: Duration::from_secs(25) };
    let seen =
        withstands(attack, |to| async move { slowhttptest(&["-B", "-i", "5"], to).await }).await;
    println!("{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute; figures for a quiet machine"]
async fn a_thousand_readers_that_drip_are_cut_at_the_least_rate() {
    let counted = "edge_connections_cut_total{cause=\"slow_reader\"}";
    let attack = Attack { name: "slowhttptest -X", counted, limit: Duration::from_secs(60) };
    let options = ["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"];
    let seen = withstands(attack, |to| async move { slowhttptest(&options, to).await }).await;
    println!("{seen}");
}

/// Asks for the answer, and reads ten bytes of it each half second until it is cut.
async fn reads_slowly(to: SocketAddr) {
    let Ok(mut stream) = connect(to, "127.0.0.1", Some(2048)).await else { return };
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut bytes = [0; 10];
    while asked.is_ok() && stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute; figures for a quiet machine"]
async fn a_thousand_readers_of_our_own_that_drip_are_cut_at_the_least_rate() {
    let counted = "edge_connections_cut_total{cause=\"slow_reader\"}";
    let attack = Attack { name: "20 bytes a second", counted, limit: Duration::from_secs(60) };
    let seen = withstands(attack, |to| async move {
        let reader = || tokio::time::timeout(Duration::from_secs(30), reads_slowly(to));
        let mut readers = Vec::new();
        // As fast as the other attacks: 200 each second.
        for _ in 0..CONNECTIONS {
            readers.push(tokio::spawn(reader()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for reader in readers {
            drop(reader.await);
        }
        None
    })
    .await;
    println!("{seen}");
}
