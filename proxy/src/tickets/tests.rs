use super::file::MalformedSecrets;
use super::*;
use std::os::unix::fs::PermissionsExt;

const HOUR: u64 = 3600;

fn settings() -> SessionTickets {
    SessionTickets {
        keys: None,
        rotate: Duration::from_secs(HOUR),
        lifetime: Duration::from_secs(3 * HOUR),
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn secrets(texts: &[u8]) -> Vec<TicketSecret> {
    let line = |byte: &u8| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode([*byte; SECRET_BYTES]);
        format!("portcullis-ticket-key-1 {text}\n")
    };
    parse(texts.iter().map(line).collect::<String>().as_bytes()).unwrap()
}

/// Terms of a generation.
fn terms<'a>(
    generation: u64,
    settings: &'a SessionTickets,
    secrets: Option<&'a [TicketSecret]>,
) -> Terms<'a> {
    Terms { generation, settings, secrets }
}

#[test]
fn a_ticket_opens_for_its_lifetime_and_no_longer_than_an_interval_beyond() {
    let settings = settings();
    let file = secrets(b"a");
    for secrets in [None, Some(file.as_slice())] {
        let terms = terms(1, &settings, secrets);
        let begin = 1000 * HOUR;
        for sealed_at in [begin, begin + 10, begin + HOUR - 1] {
            let tickets = Tickets::new(Vec::new());
            let ticket = tickets.seal(b"session", terms, at(sealed_at)).unwrap();
            // Under, at and over.
            for (later, opens) in [
                (0, true),
                (3 * HOUR - 1, true),
                (3 * HOUR, true),
                (4 * HOUR, false),
                (50 * HOUR, false),
            ] {
                let opened = tickets.open(&ticket, terms, at(sealed_at + later));
                assert_eq!(opened.is_some(), opens, "{later} s later, {secrets:?}");
                assert!(opened.is_none_or(|plain| plain == b"session"));
            }
        }
    }
}

#[test]
fn each_interval_seals_with_another_key() {
    let settings = settings();
    let file = secrets(b"a");
    for secrets in [None, Some(file.as_slice())] {
        let tickets = Tickets::new(Vec::new());
        let name = |secs| {
            let ticket = tickets.seal(b"s", terms(1, &settings, secrets), at(secs)).unwrap();
            ticket[..NAME_BYTES].to_vec()
        };
        let first = name(0);
        assert_eq!(first, name(HOUR - 1));
        assert_ne!(first, name(HOUR));
    }
}

#[test]
fn nodes_with_one_file_open_each_others_tickets_and_others_do_not() {
    let settings = settings();
    let (one, other) = (secrets(b"a"), secrets(b"b"));
    let (here, there) = (Tickets::new(Vec::new()), Tickets::new(Vec::new()));
    let ours = terms(1, &settings, Some(&one));
    let ticket = here.seal(b"session", ours, at(5 * HOUR)).unwrap();
    // A clock that runs two minutes behind, over the change of the interval.
    for now in [5 * HOUR - 120, 5 * HOUR, 6 * HOUR] {
        assert_eq!(there.open(&ticket, ours, at(now)).unwrap(), b"session", "{now}");
    }
    let stranger = Tickets::new(Vec::new());
    assert!(stranger.open(&ticket, terms(1, &settings, Some(&other)), at(5 * HOUR)).is_none());
    assert!(stranger.open(&ticket, terms(2, &settings, None), at(5 * HOUR)).is_none());
}

#[test]
fn a_key_that_goes_down_in_the_file_still_opens_and_one_that_leaves_does_not() {
    let settings = settings();
    let tickets = Tickets::new(Vec::new());
    let (old, both, new) = (secrets(b"a"), secrets(b"ba"), secrets(b"b"));
    let now = at(7 * HOUR);
    let ticket = tickets.seal(b"session", terms(1, &settings, Some(&old)), now).unwrap();
    assert!(tickets.open(&ticket, terms(2, &settings, Some(&both)), now).is_some());
    let next = tickets.seal(b"session", terms(2, &settings, Some(&both)), now).unwrap();
    assert_ne!(ticket[..NAME_BYTES], next[..NAME_BYTES], "the first line seals");
    assert!(tickets.open(&ticket, terms(3, &settings, Some(&new)), now).is_none());
    assert!(tickets.open(&next, terms(3, &settings, Some(&new)), now).is_some());
}

#[test]
fn a_successor_opens_what_the_process_before_has_sealed() {
    let settings = settings();
    let before = Tickets::new(Vec::new());
    let terms = terms(1, &settings, None);
    let ticket = before.seal(b"session", terms, at(HOUR)).unwrap();
    let passed = serde_json::to_vec(&before.drawn()).unwrap();
    let successor = Tickets::new(serde_json::from_slice(&passed).unwrap());
    assert_eq!(successor.open(&ticket, terms, at(2 * HOUR)).unwrap(), b"session");
    assert!(Tickets::new(Vec::new()).open(&ticket, terms, at(2 * HOUR)).is_none());
    assert!(successor.open(&ticket, terms, at(6 * HOUR)).is_none());
    assert_eq!(successor.drawn().len(), 1, "the old secret is forgotten");
}

#[test]
fn no_changed_bit_and_no_cut_opens() {
    let settings = settings();
    let tickets = Tickets::new(Vec::new());
    let terms = terms(1, &settings, None);
    let ticket = tickets.seal(b"session", terms, at(0)).unwrap();
    for at_byte in 0..ticket.len() {
        assert!(tickets.open(&ticket[..at_byte], terms, at(0)).is_none(), "cut at {at_byte}");
        for bit in 0..8 {
            let mut forged = ticket.clone();
            forged[at_byte] ^= 1 << bit;
            assert!(tickets.open(&forged, terms, at(0)).is_none(), "byte {at_byte}, bit {bit}");
        }
    }
    assert!(tickets.open(&[0; TICKET_BYTES_MAX + 1], terms, at(0)).is_none());
}

#[test]
fn a_session_at_the_limit_is_sealed_and_one_beyond_is_not() {
    let settings = settings();
    let tickets = Tickets::new(Vec::new());
    let terms = terms(1, &settings, None);
    let most = TICKET_BYTES_MAX - NAME_BYTES - NONCE_LEN - 16;
    for (what, length, is_sealed) in
        [("one under", most - 1, true), ("at it", most, true), ("one over", most + 1, false)]
    {
        let plain = vec![7; length];
        let ticket = tickets.seal(&plain, terms, at(0));
        assert_eq!(ticket.is_some(), is_sealed, "{what}");
        assert!(ticket.is_none_or(|ticket| tickets.open(&ticket, terms, at(0)).unwrap() == plain));
    }
}

#[test]
fn the_command_adds_a_key_on_top_and_keeps_the_file_to_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tickets.keys");
    let read = || parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(add_secret(&path, 3).unwrap(), 1);
    let first = read();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for count in [2, 3, 4, 4] {
        assert_eq!(add_secret(&path, 3).unwrap(), count);
    }
    assert!(!read().contains(&first[0]), "the fifth change has pushed it out");
    assert_eq!(add_secret(&path, 0).unwrap(), 1);
    for _ in 0..9 {
        add_secret(&path, 100).unwrap();
    }
    assert_eq!(read().len(), 8);
    std::fs::write(&path, "something else").unwrap();
    assert!(matches!(add_secret(&path, 3), Err(KeyFileError::NotOurs { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(add_secret(&path, 3), Err(KeyFileError::Secret(_))));
}

#[test]
fn a_damaged_file_says_where() {
    let good = String::from_utf8(std::iter::repeat_n(b'A', 43).chain([b'=']).collect()).unwrap();
    let line = format!("portcullis-ticket-key-1 {good}\n");
    let many: String = (0..9_u8)
        .map(|byte| {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
            format!("portcullis-ticket-key-1 {text}\n")
        })
        .collect();
    for (text, expected) in [
        (String::new(), MalformedSecrets::None),
        ("\n\n".to_owned(), MalformedSecrets::None),
        ("abc".to_owned(), MalformedSecrets::Line(1)),
        (format!("\n{line}portcullis-ticket-key-1 AAAA\n"), MalformedSecrets::Line(3)),
        (format!("{line}{line}"), MalformedSecrets::Repeated(2)),
        (many.clone(), MalformedSecrets::TooMany),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
    }
    let eight: String = many.split_inclusive('\n').take(8).collect();
    assert_eq!(parse(eight.as_bytes()).unwrap().len(), 8);
    assert_eq!(parse(format!(" {line}\r\n").as_bytes()).unwrap().len(), 1);
}
