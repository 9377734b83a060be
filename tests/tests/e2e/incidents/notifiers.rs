//! Who is told: pages, chat, signed webhooks and mail to servers of the test, with failures, kills and refusals.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use portcullis_tests::Authority;

use super::*;

/// What a server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    path: String,
    head: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines();
        let value = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
        value.unwrap_or_default().to_owned()
    }
}

/// A server that answers what it is told to, and 202 after that.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    pub(super) answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Receiver {
    pub(super) fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let served = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that is killed breaks off.
                drop(served.answer(stream.unwrap()));
            }
        });
        receiver
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
        reader.read_exact(&mut body)?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8(body).unwrap();
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or("202 Accepted");
        let more = if answer.starts_with("302") { "Location: http://127.0.0.1/\r\n" } else { "" };
        if answer != "close" {
            let answer = format!("HTTP/1.1 {answer}\r\n{more}Content-Length: 0\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes())?;
        }
        self.asked.lock().unwrap().push(Asked { path, head: lower, body });
        Ok(())
    }

    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| one.path == path).cloned().collect()
    }

    fn wait(&self, path: &str, times: usize) -> Vec<Asked> {
        until(path, || Some(self.asked(path)).filter(|asked| asked.len() >= times))
    }
}

pub(super) fn notifiers(receiver: &Receiver, more: &str) -> String {
    let address = receiver.address;
    format!(
        "egress: {{ networks: [127.0.0.0/8, '::1/128'], plain_http: [127.0.0.1], ca: ca.pem }}\n\
         incidents:\n  responses: [{{ category: SQL_INJECTION, actions: [] }}]\n  \
         runbooks: https://wiki.example.com/runbooks/\n  \
         heartbeat: {{ url: 'http://{address}/beat', every: 10s }}\n  notifiers:\n    \
         pager: {{ kind: pagerduty, key: 'file:pager.key', url: 'http://{address}/pager', for: [P2], fallback: hook }}\n    \
         hook: {{ kind: webhook, key: 'file:hook.key', url: 'http://{address}/hook', for: [P0] }}\n{more}"
    )
}

pub(super) fn secret(home: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(home.join(name), text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(home.join(name), mode).unwrap();
}

pub(super) fn secrets(home: &Path, receiver: &Receiver) -> Authority {
    let authority = Authority::new();
    authority.write_root(&home.join("ca.pem"));
    secret(home, "pager.key", "0123456789abcdef0123456789abcdef\n");
    secret(home, "hook.key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    secret(home, "slack.key", &format!("http://{}/slack\n", receiver.address));
    secret(home, "mail.key", "password\n");
    authority
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_incident_is_one_page_that_survives_failures_and_a_kill_and_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let receiver = Receiver::start(&[]);
    secrets(home, &receiver);
    let slack = "    team: { kind: slack, key: 'file:slack.key' }\n";
    let edge = prepare(home, &origin, &notifiers(&receiver, slack));
    receiver.wait("/beat", 1);
    // The pager is down when it is needed.
    let down = ["500 Oops", "close", "500 Oops", "500 Oops"];
    receiver.answers.lock().unwrap().extend(down);
    for _ in 0..3 {
        assert_eq!(curl(home, &edge, SQLI), "403");
    }
    let id = incident(home, "SQL_INJECTION", 3)["id"].as_str().unwrap().to_owned();
    receiver.wait("/pager", 1);
    drop(edge);
    receiver.answers.lock().unwrap().clear();
    let edge = serve(home);
    let pages = receiver.wait("/pager", 2);
    let chat = receiver.wait("/slack", 1);
    for page in &pages {
        let page = page.json();
        assert_eq!(
            (&page["event_action"], &page["routing_key"]),
            (&"trigger".into(), &"0123456789abcdef0123456789abcdef".into())
        );
        assert_eq!(page["dedup_key"], format!("{id}/SQL_INJECTION||127.0.0.1"));
        assert_eq!(page["payload"]["severity"], "warning");
        let summary = page["payload"]["summary"].as_str().unwrap();
        assert!(summary.contains(&id) && summary.contains("0 tenants affected"), "{summary}");
        assert_eq!(page["payload"]["custom_details"]["affected_customers"], 0);
        assert_eq!(page["links"][0]["href"], "https://wiki.example.com/runbooks/sql-injection.md");
    }
    assert!(chat.last().unwrap().json()["text"].as_str().unwrap().contains(&id));
    // More of the same is no second page.
    let before = receiver.asked("/pager").len();
    assert_eq!(curl(home, &edge, SQLI), "403");
    incident(home, "SQL_INJECTION", 4);
    operate(home, &["incidents", "ack", &id]);
    operate(home, &["incidents", "resolve", &id]);
    let pages = receiver.wait("/pager", before + 2);
    let told: Vec<_> =
        pages[before..].iter().map(|page| page.json()["event_action"].to_string()).collect();
    assert_eq!(told, ["\"acknowledge\"", "\"resolve\""]);
    let keys: std::collections::BTreeSet<_> =
        pages.iter().map(|page| page.json()["dedup_key"].to_string()).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(receiver.asked("/hook").is_empty(), "P0 only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notifier_that_refuses_or_redirects_is_not_asked_again_and_the_fallback_is() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    for refusal in ["400 Bad", "302 Found"] {
        let receiver = Receiver::start(&[]);
        secrets(home, &receiver);
        let edge = prepare(home, &origin, &notifiers(&receiver, ""));
        receiver.wait("/beat", 1);
        receiver.answers.lock().unwrap().push_back(refusal);
        assert_eq!(curl(home, &edge, SQLI), "403");
        let hooked = receiver.wait("/hook", 1).remove(0);
        assert_eq!(receiver.asked("/pager").len(), 1, "{refusal}");
        assert!(hooked.header("webhook-signature").starts_with("v1,"), "{}", hooked.head);
        assert!(hooked.header("webhook-id").starts_with("inc-"), "{}", hooked.head);
        assert!(hooked.header("webhook-timestamp").parse::<u64>().is_ok(), "{}", hooked.head);
        let body = hooked.json();
        assert_eq!(body["type"], "incident.trigger");
        assert_eq!(body["data"]["incident"]["category"], "SQL_INJECTION");

        // A test says what each notifier answers.
        let said = operate(home, &["incidents", "test-notify"]);
        assert_eq!(said.matches("delivered").count(), 2, "{said}");
        receiver.answers.lock().unwrap().extend([refusal, refusal]);
        let output = run(home, &["incidents", "test-notify", "--json", "--socket", "admin.sock"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        assert!(
            refused(home, &["incidents", "test-notify", "mail"]).contains("there are hook, pager")
        );
        drop(edge);
        std::fs::remove_file(home.join("state/incidents.redb")).unwrap();
    }
}

/// A mail server that knows STARTTLS, one user and nothing else.
fn mail_server(authority: &Authority) -> (u16, Arc<Mutex<Vec<String>>>) {
    let config = authority.server(&["localhost"], &[], None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&mails);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(greet(&mut stream));
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut lines = BufReader::new(rustls::StreamOwned::new(tls, stream));
            if let Ok(mail) = take_mail(&mut lines) {
                kept.lock().unwrap().push(mail);
            }
        }
    });
    (port, mails)
}

/// Until the client asks for TLS. Nothing beyond its line is read.
fn greet(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 localhost\r\n")?;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        if line.starts_with(b"STARTTLS") {
            return stream.write_all(b"220 go\r\n");
        }
        stream.write_all(b"250-localhost\r\n250 STARTTLS\r\n")?;
    }
}

fn take_mail<S: Read + Write>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut mail = String::new();
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(mail);
        }
        mail.push_str(&line);
        let answer: &[u8] = match (is_data, line.split_whitespace().next().unwrap_or_default()) {
            (true, ".") => {
                is_data = false;
                b"250 taken\r\n"
            }
            (true, _) => continue,
            (false, "EHLO") => b"250-localhost\r\n250 AUTH PLAIN\r\n",
            (false, "AUTH") => b"235 welcome\r\n",
            (false, "DATA") => {
                is_data = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => {
                drop(stream.get_mut().write_all(b"221 bye\r\n"));
                return Ok(mail);
            }
            (false, _) => b"250 well\r\n",
        };
        stream.get_mut().write_all(answer)?;
        stream.get_mut().flush()?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_out_under_starttls_with_a_login_and_a_subject_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let receiver = Receiver::start(&[]);
    let authority = secrets(home, &receiver);
    let (port, mails) = mail_server(&authority);
    let mail = format!(
        "    mail: {{ kind: smtp, server: 'localhost:{port}', from: edge@example.com, to: [soc@example.com], user: edge, key: 'file:mail.key', for: [P2] }}\n"
    );
    let edge = prepare(home, &origin, &notifiers(&receiver, &mail));
    let said = operate(home, &["incidents", "test-notify", "mail"]);
    assert!(said.contains("delivered"), "{said}");
    assert_eq!(curl(home, &edge, SQLI), "403");
    let id = incident(home, "SQL_INJECTION", 1)["id"].as_str().unwrap().to_owned();
    let mails =
        until("two mails", || Some(mails.lock().unwrap().clone()).filter(|all| all.len() >= 2));
    let mail = &mails[1];
    for part in [
        "AUTH PLAIN AGVkZ2UAcGFzc3dvcmQ=",
        "MAIL FROM:<edge@example.com>",
        "RCPT TO:<soc@example.com>",
        &format!("Subject: [P2] SQL_INJECTION {id}, 0 tenants affected"),
        &format!("portcullis incidents show {id}"),
    ] {
        assert!(mail.contains(part), "no `{part}` in {mail}");
    }
}
