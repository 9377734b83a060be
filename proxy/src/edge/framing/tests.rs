use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 300, fields: 6 };

/// Feeds a connection's bytes in pieces, every request over as soon as it has been handed on; returns what was handed
/// on up to the end, or to the fault.
fn feed(pieces: &[&[u8]], room: usize) -> (Vec<u8>, u64, Option<Fault>) {
    let mut framing = Framing::new(LIMITS);
    let mut passed = Vec::new();
    for piece in pieces {
        let mut space = vec![0; piece.len()];
        let mut buf = ReadBuf::new(&mut space);
        buf.put_slice(piece);
        if let Err(fault) = framing.inspect(&mut buf, 0, true) {
            return (passed, framing.requests(), Some(fault));
        }
        passed.extend_from_slice(buf.filled());
        loop {
            let mut space = vec![0; room];
            let mut buf = ReadBuf::new(&mut space);
            match framing.hand_on(&mut buf) {
                Ok(true) => passed.extend_from_slice(buf.filled()),
                Ok(false) => break,
                Err(fault) => return (passed, framing.requests(), Some(fault)),
            }
        }
    }
    (passed, framing.requests(), None)
}

fn detail(fault: Option<Fault>) -> &'static str {
    match fault {
        None => "",
        Some(Fault::Head(why)) => why.detail,
        Some(Fault::Body(why)) => why,
    }
}

#[test]
fn requests_are_handed_on_whole_and_one_by_one_however_the_bytes_come() {
    let requests: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost:a\r\nA: \t b\tc\xe4 \t\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"DELETE /?a=%0a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000\r\n\r\n",
    ];
    let all = requests.concat();
    for size in [1, 2, 3, 7, 64, all.len()] {
        let pieces: Vec<&[u8]> = all.chunks(size).collect();
        for room in [1, 5, 4096] {
            let (passed, count, fault) = feed(&pieces, room);
            assert_eq!((passed == all, count, detail(fault)), (true, 6, ""), "{size} {room}");
        }
    }
}

#[test]
fn the_next_request_waits_for_its_turn() {
    let first = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
    let second = b"GET /b HTTP/1.1\r\n\r\n";
    let mut framing = Framing::new(LIMITS);
    let mut space = [0; 200];
    let mut buf = ReadBuf::new(&mut space);
    buf.put_slice(first);
    buf.put_slice(second);
    framing.inspect(&mut buf, 0, true).unwrap();
    assert_eq!(buf.filled(), first);
    assert!(framing.is_between_requests() && framing.is_holding());
    assert_eq!(framing.requests(), 1);
    buf.clear();
    assert!(framing.hand_on(&mut buf).unwrap());
    assert_eq!(buf.filled(), second);
    assert!(!framing.is_holding());
    buf.clear();
    buf.put_slice(b"early");
    framing.inspect(&mut buf, 0, false).unwrap();
    assert!(buf.filled().is_empty() && framing.is_holding());
}

#[test]
fn bytes_behind_a_switched_protocol_are_not_looked_at() {
    let mut framing = Framing::new(LIMITS);
    framing.switch_protocol();
    let mut space = [0; 20];
    let mut buf = ReadBuf::new(&mut space);
    buf.put_slice(b"\x81\x85\n\0\r");
    framing.inspect(&mut buf, 0, true).unwrap();
    assert_eq!(buf.filled(), b"\x81\x85\n\0\r");
}

/// The fault of these bytes, which is the same whole and byte by byte, and no byte of the head was handed on before it.
fn fault(bytes: &[u8]) -> Fault {
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    let ((whole, _, at_once), (dripped, _, in_turn)) = (feed(&[bytes], 64), feed(&pieces, 64));
    let shown = bytes.escape_ascii();
    assert!(at_once.is_some(), "{shown}");
    assert_eq!(at_once.is_some(), in_turn.is_some(), "{shown}");
    if let Some(Fault::Head(_)) = at_once {
        assert!(whole.is_empty() && dripped.is_empty(), "{shown}");
    }
    in_turn.unwrap()
}

#[test]
fn what_is_not_a_head_is_refused() {
    let field = |field: &str| format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let cases = [
        line("\r\nGET / HTTP/1.1"),
        line("GET /"),
        line("GET  / HTTP/1.1"),
        line("GET / HTTP/1.1 "),
        line(" GET / HTTP/1.1"),
        line("GET /a b HTTP/1.1"),
        line("GET\t/ HTTP/1.1"),
        line("G@T / HTTP/1.1"),
        line("GET /\u{e4} HTTP/1.1"),
        line("GET /#a HTTP/1.1"),
        line("GET / HTTP/1.2"),
        line("GET / HTTP/2.0"),
        line("GET / http/1.1"),
        line("GET / HTTP/01.1"),
        line("PRI * HTTP/2.0"),
        "GET / HTTP/1.1\nHost: a\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\n\n".into(),
        field("A: b\rc"),
        field("A: b\r"),
        field("A: \0"),
        field("A: \u{7f}"),
        field("A: b\u{b}"),
        field("A: b\u{c}"),
        field("A : b"),
        field("A\t: b"),
        field(" A: b"),
        field("A: b\r\n c"),
        field(": b"),
        field("A"),
        field("A(b): c"),
        field("\u{e4}: c"),
        field("Content-Length: +1"),
        field("Content-Length: -1"),
        field("Content-Length: 01"),
        field("Content-Length: 0x1"),
        field("Content-Length: 1 1"),
        field("Content-Length: 1, 1"),
        field("Content-Length:"),
        field("Content-Length: 99999999999999999999"),
        field("Content-Length: 1\r\ncontent-length: 1"),
        field("Transfer-Encoding: gzip, chunked"),
        field("Transfer-Encoding: chunked, identity"),
        field("Transfer-Encoding: identity"),
        field("Transfer-Encoding: \"chunked\""),
        field("Transfer-Encoding:"),
        field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        field("Transfer-Encoding: chunked\r\nContent-Length: 0"),
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
    ];
    for case in &cases {
        let Fault::Head(why) = fault(case.as_bytes()) else { panic!("{case:?}") };
        assert_eq!(why.reason, Reason::MalformedRequest, "{case:?}");
    }
}

#[test]
fn a_head_is_read_up_to_its_limits() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    let bytes = |count: usize| {
        let frame = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(count - frame))
    };
    for accepted in [fields(5), fields(6), bytes(299), bytes(300)] {
        assert_eq!(feed(&[accepted.as_bytes()], 64).1, 1, "{accepted}");
    }
    for (refused, reason) in [
        (fields(7), Reason::HeaderTooLarge),
        (bytes(301), Reason::HeaderTooLarge),
        ("G".repeat(301), Reason::UriTooLong),
    ] {
        let Fault::Head(why) = fault(refused.as_bytes()) else { panic!("{refused}") };
        assert_eq!(why.reason, reason, "{refused}");
    }
}

#[test]
fn what_is_not_a_chunked_body_breaks_off() {
    for (body, expected) in [
        ("\r\n", "a chunk's size is no hexadecimal number"),
        ("5;a=b\r\nhello\r\n", "a chunk extension"),
        ("5 \r\nhello\r\n", "a chunk's size is no hexadecimal number"),
        (" 5\r\nhello\r\n", "a chunk's size is no hexadecimal number"),
        ("0x5\r\nhello\r\n", "a chunk's size is no hexadecimal number"),
        ("+5\r\nhello\r\n", "a chunk's size is no hexadecimal number"),
        ("5\nhello\r\n", "a chunk's size is no hexadecimal number"),
        ("5\r\r\nhello", "a chunk's line does not end with CRLF"),
        ("000000005\r\nhello\r\n", "a chunk's size has too many digits"),
        ("100000000\r\nhello\r\n", "a chunk's size has too many digits"),
        ("5\r\nhello!\r\n", "a chunk is longer than its size"),
        ("5\r\nhello\n0\r\n", "a chunk is longer than its size"),
        ("5\r\nhell\r\n0\r\n\r\n", "a chunk is longer than its size"),
        ("0\r\nA: b\r\n\r\n", "trailer fields"),
        ("0\r\n\n", "trailer fields"),
        ("0\r\n\r\r", "a chunk's line does not end with CRLF"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(fault(request.as_bytes()), Fault::Body(expected), "{body:?}");
    }
}
