//! A person's data goes, and nothing else does.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::*;

fn request(subject: &str, address: &str, n: u32) -> String {
    let line = json!({
        "time": "2026-01-01T00:00:00.000Z", "client_address": address, "method": "GET", "uri": "/a",
        "status": 200, "response_bytes": n, "subject": subject,
    });
    format!("{line}\n")
}

fn event(subject: &str, address: &str) -> Value {
    json!({
        "event_id": "e", "timestamp": "2026-01-01T00:00:00.000Z", "type": "xss", "category": "XSS", "source_ip": address,
        "user_id": subject, "dedup_key": format!("XSS|{subject}"), "actor": { "user_agent": "curl" },
        "request": { "id": "r", "method": "GET", "path": "/of/ada", "payload": "x" }, "count": 2,
        "response": { "status_code": 403, "action": "BLOCKED" },
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn erase(path: &Path, log: Log, person: &Person) -> io::Result<u64> {
    finish(begin(path, log, person)?.0)
}

#[test]
fn requests_of_a_person_go_from_every_file_and_all_other_bytes_stay() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let long = format!("{}\n", "x".repeat(crate::history::LINE_BYTES_MAX + 7));
    let others = [
        request("bob", "192.0.2.8", 1),
        "no line of ours, ada\n".to_owned(),
        long,
        "\n".to_owned(),
        "\u{fffd} {\"half\": \n".to_owned(),
        request("adam", "192.0.2.7", 2),
    ];
    let with: String =
        others.iter().map(|line| format!("{line}{}", request("ada", "192.0.2.9", 3))).collect();
    std::fs::write(&log, format!("{with}the last one has no end")).unwrap();
    std::fs::write(directory.path().join("log.1"), request("ada", "192.0.2.9", 4)).unwrap();
    std::fs::write(directory.path().join("log.2"), &others[0]).unwrap();
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = files(directory.path());
    let untouched = std::fs::metadata(directory.path().join("log.2")).unwrap();
    assert_eq!(erase(&log, Log::Requests, &Person::Subject("ada".to_owned())).unwrap(), 7);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), others.concat() + "the last one has no end");
    assert_eq!(std::fs::read(directory.path().join("log.1")).unwrap(), b"");
    let after = std::fs::metadata(directory.path().join("log.2")).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::ino(&after),
        std::os::unix::fs::MetadataExt::ino(&untouched),
        "a file without them is not written"
    );
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(files(directory.path()), before, "nothing is left beside them");
    assert_eq!(erase(&log, Log::Requests, &Person::Subject("ada".to_owned())).unwrap(), 0);
    let address = Person::Address("::ffff:192.0.2.7".parse().unwrap());
    assert_eq!(erase(&log, Log::Requests, &address).unwrap(), 1, "of adam");
}

#[test]
fn an_event_stays_and_names_nobody_any_more() {
    let ada = Person::Subject("ada".to_owned());
    let Fate::Becomes(line) =
        ada.fate(event("ada", "192.0.2.7").to_string().as_bytes(), Log::Events)
    else {
        panic!("it is hers");
    };
    let line: Value = serde_json::from_slice(&line).unwrap();
    for pointer in
        ["/user_id", "/source_ip", "/dedup_key", "/actor", "/request/path", "/request/payload"]
    {
        assert_eq!(line.pointer(pointer), Some(&ERASED.into()), "{pointer}");
    }
    for (pointer, expected) in [
        ("/type", json!("xss")),
        ("/count", json!(2)),
        ("/response/action", json!("BLOCKED")),
        ("/request/method", json!("GET")),
        ("/timestamp", json!("2026-01-01T00:00:00.000Z")),
    ] {
        assert_eq!(line.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert!(!line.to_string().contains("ada"), "{line}");
    let sign_in = json!({
        "timestamp": "2026-01-01T00:00:00.000Z", "event": "login_failed", "email": "ada", "ip": "192.0.2.7",
    });
    assert!(matches!(ada.fate(sign_in.to_string().as_bytes(), Log::Events), Fate::Becomes(_)));
    for other in
        [event("adam", "192.0.2.7"), event("bob", "192.0.2.7"), json!({ "user_id": "ada" })]
    {
        assert_eq!(ada.fate(other.to_string().as_bytes(), Log::Events), Fate::Stays, "{other}");
    }
    let address = Person::Address([192, 0, 2, 7].into());
    assert!(matches!(
        address.fate(event("bob", "192.0.2.7").to_string().as_bytes(), Log::Events),
        Fate::Becomes(_)
    ));
    assert_eq!(
        address.fate(event("bob", "192.0.2.70").to_string().as_bytes(), Log::Events),
        Fate::Stays
    );
}

#[test]
fn what_is_written_between_the_two_steps_is_kept_and_a_file_that_was_put_aside_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let ada = Person::Subject("ada".to_owned());
    std::fs::write(&log, request("ada", "192.0.2.7", 1)).unwrap();
    let (rewrites, _) = begin(&log, Log::Requests, &ada).unwrap();
    let mut writer = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    write!(writer, "{}{}", request("bob", "192.0.2.8", 2), request("ada", "192.0.2.7", 3)).unwrap();
    assert_eq!(finish(rewrites).unwrap(), 2);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), request("bob", "192.0.2.8", 2));

    std::fs::write(&log, request("ada", "192.0.2.7", 1)).unwrap();
    let (rewrites, _) = begin(&log, Log::Requests, &ada).unwrap();
    let aside = directory.path().join("log.1");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::write(&log, request("ada", "192.0.2.7", 2)).unwrap();
    let error = finish(rewrites).unwrap_err().to_string();
    assert!(error.contains("was put aside meanwhile"), "{error}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), request("ada", "192.0.2.7", 2));
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), request("ada", "192.0.2.7", 1));
    assert_eq!(files(directory.path()), [log, aside]);
}
