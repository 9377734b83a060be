//! Cases for every kind of body.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits =
    Limits { arguments: 100, files: 3, depth: 10, bytes: 10_000, bytes_per_byte: 0 };

/// Bodies up to this length are cut at every place.
const SPLIT_BYTES_MAX: usize = 600;

fn read(kind: Kind, content_type: &[u8], pieces: &[&[u8]]) -> Parsed {
    let mut parser = Parser::new(kind, content_type, LIMITS).unwrap();
    pieces.iter().for_each(|piece| parser.push(piece));
    parser.finish()
}

/// Reads a body whole, and holds every way of cutting it in two, and that byte by byte, to the same outcome.
fn parse(kind: Kind, content_type: &[u8], body: &[u8]) -> Parsed {
    let whole = read(kind, content_type, &[body]);
    for at in (0..=body.len()).filter(|_| body.len() <= SPLIT_BYTES_MAX) {
        let (left, right) = body.split_at(at);
        assert_eq!(read(kind, content_type, &[left, right]), whole, "{} at {at}", show(body));
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(read(kind, content_type, &bytes), whole, "{}", show(body));
    whole
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn pairs(parsed: &Parsed) -> Vec<(String, String)> {
    parsed.arguments.iter().map(|(name, value)| (show(name), show(value))).collect()
}

fn check(kind: Kind, body: &[u8], expected: &[(&str, &str)]) {
    let parsed = parse(kind, b"", body);
    assert_eq!(parsed.error, None, "{}", show(body));
    let actual = pairs(&parsed);
    let actual: Vec<(&str, &str)> = actual.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(actual, expected, "{}", show(body));
}

fn error_of(kind: Kind, body: &[u8]) -> String {
    parse(kind, b"", body).error.unwrap_or_default()
}

#[test]
fn json_is_flattened_with_every_duplicate_kept() {
    let check =
        |body: &str, expected: &[(&str, &str)]| check(Kind::Json, body.as_bytes(), expected);
    check(
        r#"{"a":1,"b":{"c":"x","d":[true,null,{"e":-1.5e3}]}}"#,
        &[
            ("json.a", "1"),
            ("json.b.c", "x"),
            ("json.b.d.array_0", "true"),
            ("json.b.d.array_1", ""),
            ("json.b.d.array_2.e", "-1.5e3"),
        ],
    );
    check(r#"{"a":1,"a":2}"#, &[("json.a", "1"), ("json.a", "2")]);
    check(
        r#"[1,[2,3],[],{}]"#,
        &[("json.array_0", "1"), ("json.array_1.array_0", "2"), ("json.array_1.array_1", "3")],
    );
    check(r#" "x" "#, &[("json", "x")]);
    check(
        r#"{"":1,"\u0061\n":"\u003cscript\u003e\u20ac"}"#,
        &[("json.empty-key", "1"), ("json.a\\n", "<script>\\xe2\\x82\\xac")],
    );
    check(
        r#"{"n":123456789012345678901234567890}"#,
        &[("json.n", "123456789012345678901234567890")],
    );
}

#[test]
fn json_that_is_not_utf8_keeps_its_bytes() {
    check(Kind::Json, b"{\"a\":\"\xff<\"}", &[("json.a", "\\xff<")]);
    check(Kind::Json, b"{\"a\":\"\xff\\u20ac\"}", &[("json.a", "\\xff\\xe2\\x82\\xac")]);
}

#[test]
fn broken_json_is_an_error_and_keeps_what_was_read() {
    for body in [
        "",
        "{",
        r#"{"a":"#,
        r#"{"a":1}x"#,
        r#"{"a":1,}"#,
        "[1,]",
        "nul",
        "{'a':1}",
        r#"{"a":01}"#,
        "NaN",
    ] {
        assert!(error_of(Kind::Json, body.as_bytes()).starts_with("JSON: "), "{body}");
    }
    let parsed = parse(Kind::Json, b"", br#"{"a":1,"b":"#);
    assert_eq!(pairs(&parsed), [("json.a".to_owned(), "1".to_owned())]);
}

#[test]
fn depth_arguments_and_bytes_are_limited() {
    let nested = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
    for (depth, over) in [(9, false), (10, false), (11, true)] {
        let parsed = parse(Kind::Json, b"", nested(depth).as_bytes());
        assert_eq!((parsed.overflowed, parsed.error), (over, None), "{depth}");
    }
    let deep = parse(Kind::Json, b"", &[b'['; 200_000]);
    assert!(deep.overflowed);
    let xml = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    for (depth, over) in [(9, false), (10, false), (11, true)] {
        assert_eq!(parse(Kind::Xml, b"", xml(depth).as_bytes()).overflowed, over, "{depth}");
    }
    for (size, over) in [(9_995, false), (9_996, false), (9_997, true)] {
        let body = format!("\"{}\"", "x".repeat(size));
        assert_eq!(parse(Kind::Json, b"", body.as_bytes()).overflowed, over, "{size}");
    }
    for (count, over) in [(99, false), (100, false), (101, true)] {
        let body = format!("[{}]", vec!["1"; count].join(","));
        let parsed = parse(Kind::Json, b"", body.as_bytes());
        assert_eq!((parsed.overflowed, parsed.arguments.len()), (over, count.min(100)), "{count}");
    }
    let long_names = format!(r#"{{"{}":[{}1]}}"#, "k".repeat(2_000), "1,".repeat(50));
    assert!(parse(Kind::Json, b"", long_names.as_bytes()).overflowed);
}

#[test]
fn xml_gives_its_text_and_its_attributes() {
    let parsed = parse(
        Kind::Xml,
        b"",
        b"<?xml version='1.0'?><!DOCTYPE a><a x='1&lt;2' y=\"&#x3c;s&gt;\">t<b z='3'/>&amp;&#60;<![CDATA[<c>]]><!-- n --></a>\n",
    );
    assert_eq!(parsed.error, None);
    assert_eq!(show(&parsed.xml_text.unwrap()), "t&<<c>\\n");
    let values: Vec<String> = parsed.xml_attributes.iter().map(|value| show(value)).collect();
    assert_eq!(values, ["1<2", "<s>", "3"]);
    let bytes = parse(Kind::Xml, b"", b"<a b='\xe9'>\xff</a>");
    assert_eq!(bytes.xml_text.as_deref(), Some(b"\xff".as_slice()));
    assert_eq!(bytes.xml_attributes, [b"\xe9"]);
}

#[test]
fn broken_xml_is_an_error_and_entities_are_not_read() {
    for body in
        ["", "x", "<a>", "<a></b>", "<a>&x;</a>", "<a b='&x;'/>", "<a", "<a b='&lt'/>", "</a>"]
    {
        assert!(error_of(Kind::Xml, body.as_bytes()).starts_with("XML: "), "{body}");
    }
    let bomb = r#"<!DOCTYPE a [<!ENTITY x "lol">]><a>&x;</a>"#;
    assert!(error_of(Kind::Xml, bomb.as_bytes()).contains("entity `x` is not read"));
}

const TYPE: &[u8] = b"multipart/form-data; boundary=B";

fn multipart(content_type: &[u8], body: &str) -> Parsed {
    parse(Kind::Multipart, content_type, body.replace('\n', "\r\n").as_bytes())
}

fn part(headers: &str) -> String {
    format!("--B\n{headers}\n\nx\n--B--\n")
}

#[test]
fn parts_become_arguments_files_and_headers() {
    let body = "--B\nContent-Disposition: form-data; name=\"a\"\n\none\ntwo\n--B\n\
        Content-Disposition: form-data; name=f; filename=\"x\\\"y.php\"\nContent-Type: text/plain\n\ndata\n--B--\n";
    let parsed = multipart(TYPE, body);
    assert_eq!(parsed.error, None);
    assert_eq!(pairs(&parsed), [("a".to_owned(), "one\\r\\ntwo".to_owned())]);
    let file = File { field: b"f".to_vec(), file_name: b"x\"y.php".to_vec(), bytes: 4 };
    assert_eq!(parsed.files, [file]);
    let headers: Vec<_> =
        parsed.part_headers.iter().map(|(name, line)| (show(name), show(line))).collect();
    assert_eq!(headers.len(), 3);
    assert_eq!(headers[2], ("f".to_owned(), "Content-Type: text/plain".to_owned()));
    assert_eq!(parsed.multipart, MultipartFlags::default());
    assert!(!parsed.multipart.strict_error(false));
}

#[test]
fn oddities_of_a_frame_are_flagged() {
    let named = "Content-Disposition: form-data; name=a";
    let flags = |content_type: &str, body: &str| multipart(content_type.as_bytes(), body).multipart;
    let plain = "multipart/form-data; boundary=B";
    assert!(flags("multipart/form-data; boundary=\"B\"", &part(named)).boundary_quoted);
    assert!(flags("multipart/form-data; boundary =B", &part(named)).boundary_whitespace);
    assert!(flags("multipart/form-data; boundary= B", &part(named)).boundary_whitespace);
    assert!(flags(plain, &part(named).replace("--B\n", "--B \n")).boundary_whitespace);
    assert!(flags(plain, &("x\n".to_owned() + &part(named))).data_before);
    assert!(flags(plain, &(part(named) + "x")).data_after);
    assert!(!flags(plain, &(part(named) + "\n")).data_after);
    assert!(flags(plain, &part("Content-Disposition: form-data;\n name=a")).header_folding);
    assert!(flags(plain, &part("Content-Disposition: form-data name=a")).missing_semicolon);
    assert!(flags(plain, &part("Content-Disposition: form-data; name='a'")).invalid_quoting);
    assert!(flags(plain, &part("Content-Type: x")).invalid_part);
    assert_eq!(
        flags(plain, &part(&(named.to_owned() + "\n\n--x"))).unmatched_boundary,
        Unmatched::Dashes
    );
    assert_eq!(
        flags(plain, &part(&(named.to_owned() + "\n\n--xB"))).unmatched_boundary,
        Unmatched::Boundary
    );
    let mixed = part(named).replace('\n', "\r\n").replacen("\r\n", "\n", 1);
    let mixed = parse(Kind::Multipart, TYPE, mixed.as_bytes()).multipart;
    assert!(mixed.lf_line && mixed.crlf_lf_lines && mixed.strict_error(false));
}

#[test]
fn multipart_that_parsers_may_read_differently_is_an_error() {
    let ok = part("Content-Disposition: form-data; name=a");
    for (content_type, why) in [
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; x=y", "no boundary"),
        ("multipart/form-data; boundary", "no value"),
        ("multipart/form-data; boundary=", "empty"),
        ("multipart/form-data; boundary=\"B", "not closed"),
        ("multipart/form-data; boundary=B; Boundary=C", "two boundaries"),
        ("multipart/form-data; boundary=B[", "byte"),
        ("multipart/mixed; boundary=B", "media type"),
        (&format!("multipart/form-data; boundary={}", "B".repeat(71)), "70"),
    ] {
        let error = multipart(content_type.as_bytes(), &ok).error.unwrap_or_default();
        assert!(error.contains(why), "{content_type}: {error}");
    }
    for (body, why) in [
        ("--B\nContent-Disposition: form-data; name=a\n\nx\n", "final boundary"),
        ("", "final boundary"),
        ("--B\nContent-Disposition: form-data; name=a", "ends in its headers"),
        (&part("no colon"), "colon"),
        (&part(": x"), "no name"),
        (&part("A: 1\na: 2"), "twice"),
        (&part(" folded"), "folded"),
        (&part("Content-Disposition: form-data"), "no name"),
        (&part("Content-Disposition: attachment; name=a"), "form-data"),
        (&part("Content-Disposition: form-data; name=a; name=b"), "twice"),
        (&part("Content-Disposition: form-data; name=\"a"), "not closed"),
        (&part("Content-Disposition: form-data; other=a"), "unknown"),
        (&part("Content-Disposition: form-data; name"), "no value"),
        (&part(&format!("A: {}", "x".repeat(5_000))), "too long"),
        (&ok.replace("--B--", "--Bx"), "behind a boundary"),
        (&ok.replace("--B--", "-- B"), "before a boundary"),
        (&ok.replace("--B--", "--\"B\""), "quotes"),
    ] {
        let error = multipart(TYPE, body).error.unwrap_or_default();
        assert!(error.contains(why), "{body}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "--B", "\r\n", "\n", "--", "Content-Disposition: form-data; name=a", "; filename=\"", "\"", ":", "{", "}",
            "[", "]", ",", "\"a\"", "1", "\\u00e9", "\\ud800", "<a", ">", "</a>", " b='", "'", "&lt;", "&#", "<![CDATA[",
            "]]>", "<!--", "-->", "<!DOCTYPE", "=", "&", "%", "\u{e9}", "true", "null", "-",
        ]), 0..40),
        noise in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut body = pieces.concat().into_bytes();
        body.extend(noise);
        for kind in [Kind::Multipart, Kind::Json, Kind::Xml] {
            let parsed = parse(kind, TYPE, &body);
            prop_assert!(parsed.arguments.len() <= LIMITS.arguments);
            let bytes: usize = parsed.arguments.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(bytes <= LIMITS.bytes);
        }
    }
    /// Another reader of JSON takes and refuses the same texts.
    #[test]
    fn json_is_taken_where_another_reader_takes_it(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\n", "\\x", "1",
            "0", "-", ".", "e", "E+", "true", "false", "null", "nul", " ", "\n", "\t", "\u{e9}", "\u{1}",
        ]), 0..14),
    ) {
        let text = pieces.concat();
        let ours = read(Kind::Json, b"", &[text.as_bytes()]);
        let theirs = jiter::JsonValue::parse(text.as_bytes(), false);
        if !ours.overflowed {
            prop_assert_eq!(ours.error.is_none(), theirs.is_ok(), "{} {:?} {:?}", text, ours.error, theirs.err());
        }
    }
}
