//! Events reach servers of syslog and HTTP as they reach the file, also the last one before the process ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;

use super::*;

/// A server of HTTP that says what it was posted.
fn posted() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            assert!(head.contains("authorization: Splunk word\r\n"), "{head}");
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            said.send(text(&body)).unwrap();
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_the_sinks_in_their_formats_and_a_reload_changes_who_gets_them() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let origin = Origin::start().await;
    let (address, heard) = posted();
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(WAIT_MAX)).unwrap();
    notifiers::secret(home, "lake.secret", "Splunk word\n");
    let egress = "egress: { networks: [127.0.0.0/8], plain_http: [127.0.0.1] }\n";
    let log = format!(
        "log: {{ requests: off, events: file:events.jsonl, sinks: {{ \
         lake: {{ kind: http, url: 'http://{address}/in', authorization: file:lake.secret, format: ocsf }}, \
         siem: {{ kind: syslog, to: 'udp:{}', facility: local4, format: cef }} }} }}",
        syslog.local_addr().unwrap()
    );
    let config =
        configuration(&origin).replace("log: { requests: off, events: off }", &log) + egress;
    std::fs::write(home.join("portcullis.yaml"), &config).unwrap();
    std::fs::write(home.join("policy.yaml"), policy("/never")).unwrap();
    assert!(run(home, &["dev", "cert", "--name", "edge.test"]).status.success());
    let edge = serve(home);
    assert_eq!(curl(home, &edge, SQLI), "403");
    let mut message = [0; 8192];
    let mut next = || {
        let read = syslog.recv(&mut message).unwrap();
        text(&message[..read])
    };
    let line = next();
    assert!(line.starts_with("<164>1 ") && line.contains(" sql_injection - CEF:0|"), "{line}");
    let finding: Value =
        serde_json::from_str(heard.recv_timeout(WAIT_MAX).unwrap().trim()).unwrap();
    assert_eq!((&finding["class_uid"], &finding["disposition_id"]), (&2004.into(), &2.into()));
    assert_eq!(event_log(home)[0]["type"], "sql_injection", "the file has our own fields");

    // One sink less; the other goes on.
    let (before, _) = config.split_once("lake: ").unwrap();
    let (_, after) = config.split_once("siem: ").unwrap();
    std::fs::write(home.join("portcullis.yaml"), format!("{before}siem: {after}")).unwrap();
    operate(home, &["reload"]);
    assert_eq!(curl(home, &edge, "/never"), "403");
    assert!(next().contains(" policy_deny - CEF:0|"));
    // What it was slow to take before may have come twice; of what happened since it hears nothing.
    for said in heard.try_iter() {
        assert!(!said.contains("policy_deny") && !said.contains("/never"), "{said}");
    }

    // The last event before the end is sent as well.
    assert_eq!(curl(home, &edge, "/never"), "403");
    let pid = edge.process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(next().contains(" policy_deny - CEF:0|"));
}
