//! The writer and the files, and what is made of damaged ones.

use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use portcullis_config::Timestamp;
use portcullis_config::model;

use super::*;
use crate::log::RequestRecord;
use crate::metrics::Metrics;
use crate::replay::{Entry, SourceError, open_capture};
use crate::trial::Body;

const SECRET_WORD: &str = "hunter2";

fn settings(directory: &Path, public: model::CaptureKey) -> model::Capture {
    model::Capture {
        key: public,
        directory: directory.to_owned(),
        sample_one_in: None,
        body_max: 1024,
        file_max: 32 << 20,
        files_max: 2,
    }
}

fn captured(id: &str, body: Option<&[u8]>) -> Captured {
    let record = RequestRecord {
        format: model::LogFormat::CloudLogging,
        time: Timestamp::from_secs(1_800_000_000),
        request_id: id.to_owned(),
        ..crate::log::tests::record()
    };
    let head =
        format!("POST /a?b=1 HTTP/1.1\r\nhost: edge.test\r\npassword: {SECRET_WORD}\r\n\r\n");
    Captured { record, head: head.into_bytes(), body: body.map(Bytes::copy_from_slice) }
}

fn key(directory: &Path, name: &str) -> (model::CaptureKey, PathBuf) {
    let pair = KeyPair::generate().unwrap();
    let path = directory.join(name);
    pair.write(&path).unwrap();
    (pair.public, path)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path, key: &Path) -> (Vec<Entry>, u64) {
    let mut source = open_capture(file, PrivateKey::read(key).unwrap()).unwrap();
    let entries = source.by_ref().collect::<std::io::Result<_>>().unwrap();
    (entries, source.unreadable)
}

#[test]
fn a_request_comes_back_whole_and_the_file_shows_nothing_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (public, private) = key(home.path(), "key");
    let directory = home.path().join("captures");
    let metrics = Metrics::new();
    let capture = Capture::start(&settings(&directory, public), &metrics).unwrap();
    let body = [b"pass=".as_slice(), SECRET_WORD.as_bytes(), b"\xff\n\r\n"].concat();
    capture.take(captured("one", Some(&body)));
    capture.take(captured("two", Some(b"")));
    capture.take(captured("three", Some(&[b'x'; 1025])));
    capture.flush();
    let [file] = files(&directory).try_into().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(SECRET_WORD) && !text.contains("edge.test"));
    let (entries, damaged) = read(&file, &private);
    assert_eq!(damaged, 0);
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["one", "two", "three"]);
    assert_eq!(entries[0].ask.body, Body::Whole(body));
    assert_eq!(entries[0].ask.header(b"password"), Some(SECRET_WORD.as_bytes()));
    assert_eq!(entries[0].ask.target, b"/a?b=1");
    assert_eq!(entries[0].time, Timestamp::from_secs(1_800_000_000));
    assert_eq!(entries[1].ask.body, Body::Whole(Vec::new()));
    assert_eq!(entries[2].ask.body, Body::Unknown, "one byte above the limit");
    assert_eq!(metrics.capture_bodies_left_out.get(), 1);
    assert_eq!(metrics.captures.with_label_values(&["written"]).get(), 3);
}

#[test]
fn damaged_and_cut_records_are_counted_and_the_others_read() {
    let home = tempfile::tempdir().unwrap();
    let (public, private) = key(home.path(), "key");
    let directory = home.path().join("captures");
    let capture = Capture::start(&settings(&directory, public), &Metrics::new()).unwrap();
    for id in ["one", "two", "three"] {
        capture.take(captured(id, Some(b"body")));
    }
    capture.flush();
    let [file] = files(&directory).try_into().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let flipped = if lines[2].as_bytes()[100] == b'A' { "B" } else { "A" };
    lines[2].replace_range(100..101, flipped);
    let half = lines[3].len() / 2;
    lines[3].truncate(half);
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (entries, damaged) = read(&file, &private);
    assert_eq!((entries.len(), damaged), (1, 2));
    assert_eq!(entries[0].id, "one");
}

#[test]
fn another_key_and_what_is_no_capture_are_told() {
    let home = tempfile::tempdir().unwrap();
    let (public, _) = key(home.path(), "key");
    let (_, other) = key(home.path(), "other");
    let directory = home.path().join("captures");
    let capture = Capture::start(&settings(&directory, public), &Metrics::new()).unwrap();
    capture.take(captured("one", None));
    capture.flush();
    let [file] = files(&directory).try_into().unwrap();
    let open = |file: &Path| open_capture(file, PrivateKey::read(&other).unwrap()).map(drop);
    let refused = open(&file).unwrap_err();
    assert!(
        matches!(&refused, SourceError::Capture { source: OpenError::OtherKey { of_file, .. }, .. } if *of_file == public),
        "{refused}"
    );
    let refused = open(&other).unwrap_err();
    assert!(
        matches!(refused, SourceError::Capture { source: OpenError::NoCapture, .. }),
        "a key is no capture"
    );
}

#[test]
fn a_key_file_is_never_replaced_and_a_damaged_one_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (_, path) = key(home.path(), "key");
    assert!(matches!(
        KeyPair::generate().unwrap().write(&path).unwrap_err(),
        KeyError::Write { .. }
    ));
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, other) = key(home.path(), "other");
    let other = std::fs::read_to_string(other).unwrap();
    let word = |text: &str, n: usize| text.split(' ').nth(n).unwrap().to_owned();
    let crossed = format!("{} {} {}", word(&text, 0), word(&other, 1), word(&text, 2));
    let short: String = text.chars().take(40).collect();
    for wrong in [crossed.as_str(), "", "x", &short] {
        std::fs::write(&path, wrong).unwrap();
        assert!(PrivateKey::read(&path).is_err(), "{wrong}");
    }
}

#[test]
fn the_oldest_files_go_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let (public, _) = key(home.path(), "key");
    let directory = home.path().join("captures");
    std::fs::create_dir(&directory).unwrap();
    for name in ["0000000000001-1-000000.capture", "0000000000002-1-000000.capture", "kept.txt"] {
        std::fs::write(directory.join(name), "old").unwrap();
    }
    let capture = Capture::start(&settings(&directory, public), &Metrics::new()).unwrap();
    capture.take(captured("one", None));
    capture.flush();
    let names: Vec<String> = files(&directory)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], "0000000000002-1-000000.capture");
    assert_eq!(names[2], "kept.txt");
}

#[test]
fn refused_requests_are_all_captured_and_others_by_the_share() {
    let home = tempfile::tempdir().unwrap();
    let (public, _) = key(home.path(), "key");
    let none = settings(home.path(), public);
    let some = model::Capture { sample_one_in: NonZeroU32::new(10), ..none.clone() };
    let metrics = Metrics::new();
    let of = |settings| Capture::start(settings, &metrics).unwrap();
    let count = |capture: &Capture, refused| (0..100).filter(|_| capture.wants(refused)).count();
    assert_eq!((count(&of(&none), true), count(&of(&none), false)), (100, 0));
    assert_eq!((count(&of(&some), true), count(&of(&some), false)), (100, 10));
}

#[test]
fn a_key_that_nothing_can_be_encrypted_to_is_told() {
    let home = tempfile::tempdir().unwrap();
    let zero = settings(home.path(), model::CaptureKey([0; 32]));
    let refused = Capture::start(&zero, &Metrics::new()).unwrap_err();
    assert!(matches!(refused, CaptureError::Key(_)), "{refused}");
}
