//! Sinks against servers on loopback that answer, hang, refuse, close and are not there.

use std::net::SocketAddr;
use std::sync::Mutex;

use portcullis_config::model::{self, SinkWay, Syslog, SyslogWay, Url};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};

use super::*;
use crate::egress::Egress;
use crate::metrics::Metrics;

type Heard = Arc<Mutex<Vec<String>>>;

fn sink_to(way: SinkWay, trusted: Option<CertificateDer<'static>>) -> Running {
    let settings = EventSink { way, format: EventFormat::Json };
    let rules = model::Egress {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        plain_http: vec!["127.0.0.1".to_owned()],
        ca: None,
    };
    let egress = Arc::new(Egress::new(rules, trusted.map(|one| vec![one])));
    let figures = Metrics::new().sinks.begin("s");
    Running::start(
        "s",
        &settings,
        Box::new(move || Arc::clone(&egress)),
        figures,
        &Handle::current(),
    )
}

fn syslog(to: SyslogWay) -> SinkWay {
    SinkWay::Syslog(Syslog { to, facility: 16 })
}

fn http(address: SocketAddr) -> SinkWay {
    let url = Url::parse(&format!("http://{address}/in")).unwrap();
    SinkWay::Http { url, authorization: None }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to be: {what}");
}

/// What became of lines: sent, refused, dropped, and failed exchanges.
fn figures(sink: &Running) -> [u64; 4] {
    let f = &sink.figures;
    [f.sent.get(), f.refused.get(), f.dropped.get(), f.failures.get()]
}

/// Reads one request whole; `None` where the other end goes first.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8(read.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Some(text);
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// A server that gives these answers in turn, and the last one from then on; `""` closes, `"hang"` says nothing.
async fn http_server(answers: &'static [&'static str]) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut answers = std::collections::VecDeque::from(answers.to_vec());
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(request) = request(&mut stream).await else { continue };
            let answer = *answers.front().unwrap();
            if answers.len() > 1 {
                answers.pop_front();
            }
            told.lock().unwrap().push(request);
            match answer {
                "hang" => kept.push(stream),
                answer => drop(stream.write_all(answer.as_bytes()).await),
            }
        }
    });
    (address, heard)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn lines_are_posted_together_as_they_are() {
    let (address, heard) = http_server(&[OK]).await;
    let sink = sink_to(http(address), None);
    sink.offer(test_line("{\"a\":1}"));
    sink.offer(test_line("{\"a\":2}"));
    until("sent", || sink.figures.sent.get() == 2).await;
    assert_eq!(sink.figures.waiting.get(), 0);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("POST /in HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(heard[0].contains("content-type: application/x-ndjson\r\n"), "{}", heard[0]);
    assert!(heard[0].ends_with("\r\n\r\n{\"a\":1}\n{\"a\":2}\n"), "{}", heard[0]);
}

#[tokio::test]
async fn what_fails_is_sent_again_and_what_is_refused_is_not() {
    const AGAIN: &[&[&str]] = &[
        &["HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 408 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["", OK],
        &["no HTTP at all\r\n\r\n", OK],
    ];
    const NEVER: &[&[&str]] = &[
        &["HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n", OK],
        &["HTTP/1.1 302 No\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", OK],
    ];
    let cases = AGAIN
        .iter()
        .map(|answers| (answers, [1, 0, 0, 1]))
        .chain(NEVER.iter().map(|answers| (answers, [0, 1, 0, 1])));
    let mut running = Vec::new();
    for (answers, expected) in cases {
        let (address, heard) = http_server(answers).await;
        let sink = sink_to(http(address), None);
        sink.offer(test_line("1"));
        running.push((answers[0], sink, heard, expected));
    }
    for (answer, sink, heard, expected) in running {
        until(answer, || figures(&sink) == expected).await;
        assert_eq!(sink.figures.waiting.get(), 0, "{answer}");
        // It goes on with the next line either way.
        sink.offer(test_line("2"));
        until(answer, || figures(&sink)[0] == expected[0] + 1).await;
        assert!(heard.lock().unwrap().last().unwrap().ends_with("\r\n\r\n2\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_its_time_and_gets_the_lines_when_it_works() {
    let (address, heard) = http_server(&["hang", OK]).await;
    let sink = sink_to(http(address), None);
    sink.offer(test_line("1"));
    until("asked", || heard.lock().unwrap().len() == 1).await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    until("left", || figures(&sink)[3] == 1).await;
    assert!(before.elapsed() <= courier::TIME_MAX + Duration::from_secs(1));
    tokio::time::resume();
    // Others go on meanwhile: a line more is taken at once.
    sink.offer(test_line("2"));
    until("sent", || figures(&sink) == [2, 0, 0, 1]).await;
}

#[tokio::test]
async fn a_sink_that_is_down_says_so_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sink = sink_to(http(address), None);
    sink.offer(test_line("1"));
    tokio::time::pause();
    until("down", || sink.figures.up.get() == 0).await;
    assert_eq!(figures(&sink)[3], 5);
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let (mut stream, _) = listener.accept().await.unwrap();
    request(&mut stream).await.unwrap();
    stream.write_all(OK.as_bytes()).await.unwrap();
    until("up", || sink.figures.up.get() == 1 && figures(&sink)[0] == 1).await;
}

/// Reads one message with counted octets.
async fn counted(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut length = String::new();
    loop {
        match stream.read_u8().await.unwrap() {
            b' ' => break,
            digit => length.push(char::from(digit)),
        }
    }
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).await.unwrap();
    String::from_utf8(message).unwrap()
}

#[tokio::test]
async fn syslog_over_tcp_counts_octets_and_takes_a_new_connection_where_one_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = SyslogWay::Tcp { host: "127.0.0.1".to_owned(), port: address.port() };
    let sink = sink_to(syslog(to), None);
    sink.offer(test_line("one\u{e9}"));
    let (mut stream, _) = listener.accept().await.unwrap();
    let message = counted(&mut stream).await;
    assert!(message.starts_with("<132>1 2025-11-30T12:00:00.007Z "), "{message}");
    assert!(message.ends_with(" xss - one\u{e9}"), "{message}");
    drop(stream);
    // What is written before the end is heard of cannot be known to be lost: we wait for it here.
    tokio::time::sleep(Duration::from_millis(50)).await;
    sink.offer(test_line("two"));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(counted(&mut stream).await.ends_with(" two"));
    until("sent", || figures(&sink) == [2, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_server_of_syslog_that_does_not_read_is_left_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sink = sink_to(syslog(SyslogWay::Tcp { host: "127.0.0.1".to_owned(), port }), None);
    let long = "x".repeat(LINE_BYTES_MAX);
    (0..LINES_MAX).for_each(|_| sink.offer(test_line(&long)));
    let (_stream, _) = listener.accept().await.unwrap();
    let mut sent = u64::MAX;
    until("full", || {
        std::mem::replace(&mut sent, figures(&sink)[0]) == figures(&sink)[0] && sent > 0
    })
    .await;
    tokio::time::pause();
    until("left", || figures(&sink)[3] > 0).await;
    assert!(sink.figures.waiting.get() > 0, "what was not taken waits");
}

#[tokio::test]
async fn syslog_over_tls_speaks_to_a_server_whose_certificate_is_trusted_only() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let authority = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![authority.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = || syslog(SyslogWay::Tls { host: "localhost".to_owned(), port });
    let sink = sink_to(to(), Some(authority));
    sink.offer(test_line("secret"));
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    assert!(counted(&mut stream).await.ends_with(" secret"));
    until("sent", || figures(&sink) == [1, 0, 0, 0]).await;
    let stranger = KeyPair::generate().unwrap();
    let other = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let distrustful = sink_to(to(), Some(other.self_signed(&stranger).unwrap().der().clone()));
    distrustful.offer(test_line("secret"));
    let (stream, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err(), "the client breaks off");
    until("failed", || figures(&distrustful)[3] == 1).await;
    assert_eq!(figures(&distrustful)[0], 0);
}

#[tokio::test]
async fn datagrams_of_syslog_hold_one_message_each() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let sink = sink_to(syslog(SyslogWay::Udp { host: "127.0.0.1".to_owned(), port }), None);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let local = sink_to(syslog(SyslogWay::Unix(path.clone())), None);
    local.offer(test_line("late"));
    until("nobody is there", || figures(&local)[3] == 1).await;
    let socket = UnixDatagram::bind(&path).unwrap();
    for text in ["one", "two"] {
        sink.offer(test_line(text));
        let mut message = [0; 512];
        let read = server.recv(&mut message).await.unwrap();
        assert!(message[..read].ends_with(format!(" xss - {text}").as_bytes()));
        assert!(message.starts_with(b"<132>1 "), "no octets are counted");
    }
    let mut message = [0; 512];
    let read = socket.recv(&mut message).await.unwrap();
    assert!(message[..read].ends_with(b" xss - late"));
    until("sent", || figures(&local)[0] == 1 && figures(&sink) == [2, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_server_that_the_guard_forbids_is_not_asked_and_nothing_is_thrown_away() {
    let to = SyslogWay::Udp { host: "10.0.0.1".to_owned(), port: 514 };
    let sink = sink_to(syslog(to), None);
    sink.offer(test_line("1"));
    until("failed", || figures(&sink)[3] == 1).await;
    assert_eq!((figures(&sink)[..3].to_vec(), sink.figures.waiting.get()), (vec![0, 0, 0], 1));
}

#[tokio::test]
async fn lines_wait_up_to_the_queues_length() {
    for (what, lines, dropped) in
        [("one under", LINES_MAX - 1, 0), ("at it", LINES_MAX, 0), ("one over", LINES_MAX + 1, 1)]
    {
        let (address, _) = http_server(&["hang"]).await;
        // Nothing takes lines off the queue before this test waits.
        let sink = sink_to(http(address), None);
        (0..lines).for_each(|_| sink.offer(test_line("1")));
        assert_eq!(figures(&sink), [0, 0, dropped, 0], "{what}");
        assert_eq!(sink.figures.waiting.get(), lines.min(LINES_MAX) as i64, "{what}");
    }
}

#[tokio::test]
async fn a_line_is_sent_up_to_its_bytes() {
    for (what, bytes, dropped) in [
        ("one under", LINE_BYTES_MAX - 1, 0),
        ("at it", LINE_BYTES_MAX, 0),
        ("one over", LINE_BYTES_MAX + 1, 1),
    ] {
        let (address, _) = http_server(&["hang"]).await;
        let sink = sink_to(http(address), None);
        sink.offer(test_line(&"x".repeat(bytes)));
        assert_eq!(figures(&sink)[2], dropped, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_waits_for_the_last_lines_and_not_for_ever() {
    let (address, _) = http_server(&[OK]).await;
    let (hanging, _) = http_server(&["hang"]).await;
    let mut sinks = Sinks::default();
    for (name, address) in [("good", address), ("bad", hanging)] {
        let sink = sink_to(http(address), None);
        sink.offer(test_line("1"));
        sinks.running.insert(name.to_owned(), sink);
    }
    let good = sinks.running["good"].figures.clone();
    let runtime = Handle::current();
    let took = tokio::task::spawn_blocking(move || {
        let begun = tokio::time::Instant::now();
        sinks.finish(&runtime);
        begun.elapsed()
    });
    let took = took.await.unwrap();
    assert!(took < FINISH_MAX + Duration::from_secs(2), "{took:?}");
    assert_eq!(good.sent.get(), 1);
}
