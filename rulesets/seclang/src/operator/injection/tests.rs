//! The gates against the detectors, and upstream's files as a corpus.

use super::{
    cross_site as cross_site_of, cross_site_gate, cross_site_plain, sql as sql_of, sql_gate,
    sql_plain,
};
use crate::byte_set::ByteSet;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn sql(value: &[u8]) -> Option<String> {
    sql_of(value, &ByteSet::held_by(value))
}

fn cross_site(value: &[u8]) -> bool {
    cross_site_of(value, &ByteSet::held_by(value))
}

#[test]
fn attacks_are_flagged_and_ordinary_text_is_not() {
    let attacks: [&[u8]; 6] = [
        b"1' OR '1'='1",
        b"1 UNION SELECT password FROM users--",
        b"1;DROP TABLE users",
        b"-1' and 1=1 union/* foo */select load_file('/etc/passwd')--",
        b"1 or 1=1",
        b"admin'--",
    ];
    for attack in attacks {
        assert!(sql(attack).is_some(), "{}", attack.escape_ascii());
    }
    let ordinary: [&[u8]; 6] = [
        b"hello world",
        b"O'Brien",
        b"jane.doe@example.com",
        b"550e8400-e29b-41d4-a716-446655440000",
        b"please select a union representative",
        b"",
    ];
    for text in ordinary {
        assert!(sql(text).is_none(), "{}", text.escape_ascii());
    }
}

#[test]
fn scripts_are_flagged_and_markup_free_text_is_not() {
    let attacks: [&[u8]; 7] = [
        b"<img src=x onerror\t =alert(1)>",
        b"<img src=x onerror\x0b\r\n=alert(1)>",
        b"<script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b"<img src=x onerror\t=alert(1)>",
        b"x\" onmouseover=\"alert(1)",
        b"<svg/onload=alert(1)>",
    ];
    for attack in attacks {
        assert!(cross_site(attack), "{}", attack.escape_ascii());
    }
    for text in [b"a=b&c=d".as_slice(), b"1 < 2", b"x = y", b"", b"<p>hello</p>"] {
        assert!(!cross_site(text), "{}", text.escape_ascii());
    }
}

#[test]
fn the_gates_skip_ordinary_values() {
    let values: [&[u8]; 10] = [
        b"application/xhtml+xml,application/xml;q=0.9,image/avif",
        b"hello world",
        b"jane.doe@example.com",
        b"550e8400-e29b-41d4-a716-446655440000",
        b"/usr/local/share/licenses/product-1.2.3.lic",
        b"application/json",
        b"https://www.example.com/path/page?x=1",
        b"2026-11-22T17:00:00Z",
        b"en-US,en;q=0.9",
        b"gzip, deflate, br",
    ];
    for value in values {
        assert!(!sql_gate(value, &ByteSet::held_by(value)), "{}", value.escape_ascii());
        assert!(!cross_site_gate(value, &ByteSet::held_by(value)), "{}", value.escape_ascii());
    }
}

/// Values at which a gate was wrong once.
#[test]
fn what_fuzzing_found_stays_found() {
    for value in [
        b"=union/*!=".as_slice(),
        b"1::@x",
        b"1.inunionunion(1:",
        b"inin;inin:binary ",
        b"onload=/",
        b"xmlns\"=>",
        b"O ONERROR\x00\x0b\x0b\x0b\x0b=v=",
        b"xx o\"if =:\0o xmlNS\xf60SKVo xmlNS\0REAi\x87\x03\x0e\xff=o\xff",
    ] {
        assert_eq!(sql(value), sql_plain(value), "{}", value.escape_ascii());
        assert_eq!(cross_site(value), cross_site_plain(value), "{}", value.escape_ascii());
    }
}

pub(super) fn corpus() -> Option<Vec<(PathBuf, Vec<u8>, String)>> {
    let shared = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from).or_else(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().map(|folder| folder.join("shared")).find(|path| path.is_dir())
    });
    let Some(folder) = shared.map(|shared| shared.join("vectors/libinjection")) else {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "the shared vectors are absent");
        eprintln!("skipped: the shared vectors are absent");
        return None;
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let case = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let find = |mark: &[u8]| memchr::memmem::find(&bytes, mark).unwrap();
        let input = find(b"--INPUT--\n") + 10;
        let expected = find(b"--EXPECTED--");
        let text = bytes[input..expected].trim_ascii_end().to_vec();
        let answer = String::from_utf8(bytes[expected + 12..].trim_ascii().to_vec()).unwrap();
        (path, text, answer)
    };
    Some(paths.into_iter().map(case).collect())
}

#[test]
fn upstreams_files_give_upstreams_answers_through_the_gates() {
    let Some(corpus) = corpus() else { return };
    assert_eq!(corpus.len(), 480);
    let mut checked = 0;
    for (path, input, expected) in &corpus {
        assert_eq!(sql(input), sql_plain(input), "{}", path.display());
        assert_eq!(cross_site(input), cross_site_plain(input), "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("test-sqli") {
            let answer = sql(input).unwrap_or_default();
            assert_eq!(answer, *expected, "{}", path.display());
            checked += 1;
        }
    }
    assert_eq!(checked, 50);
}

pub(super) fn sql_text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "union",
        "select",
        "or",
        "and",
        "1",
        "0x41",
        "1e5",
        "1.5",
        "a",
        "users",
        "@x",
        "@@version",
        "in",
        "like",
        "is",
        "not",
        "null",
        "group",
        "by",
        "order",
        "left",
        "user",
        "if",
        "sleep",
        "case",
        "when",
        "then",
        "end",
        "concat",
        "hello",
        "world",
        "from",
        "where",
        "into",
        "1and",
        "0x1or",
        "2b",
        "3e",
        "database",
        "create",
        "xor",
        "div",
        "mod",
        "binary",
        "collate",
        "utf8_bin",
        "int",
        "char",
        "begin",
        "go",
        "waitfor",
        "delay",
        "\u{e9}t\u{e9}",
        "current_user",
        "dbms_lock.sleep",
        "a.b",
        "1.",
        ".5",
        "having",
        "limit",
        "offset",
        "as",
    ]);
    let mark = prop::sample::select(vec![
        " ", " ", " ", "(", ")", ",", ";", "=", "<", ">", "!", "%", "^", "+", "-", "*", "/", "&",
        "|", "~", ":", "?", ".", "{", "}", "]", "@", "\t", "\n", "::", ":=", "<=>", "!=", "'",
        "\"", "--", "/*", "*/", "&&", "",
    ]);
    let any = prop::collection::vec(any::<u8>(), 0..3);
    let piece = prop_oneof![
        8 => word.prop_map(|word| word.as_bytes().to_vec()),
        8 => mark.prop_map(|mark| mark.as_bytes().to_vec()),
        1 => any,
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Text that begins with a word of SQL's, as sentences do.
pub(super) fn sentence() -> impl Strategy<Value = Vec<u8>> {
    let lead = prop::sample::select(vec![
        "between", "is", "as", "both", "default", "from", "match", "open", "return", "then",
        "time", "when", "where", "binary", "int", "real", "text",
    ]);
    let spare = prop::sample::select(vec!["", "(", "-", "int ", "hello ", "from ", "'", "1 "]);
    let plain =
        prop::sample::select(vec![" a b ", " the shop ", " a", " 1 ", "/", "'", " of(", ""]);
    (spare, lead, plain, sql_text()).prop_map(|(spare, lead, plain, rest)| {
        [spare.as_bytes(), lead.as_bytes(), plain.as_bytes(), &rest].concat()
    })
}

#[test]
fn a_function_behind_a_word_that_folds_away_is_found() {
    for value in [&b"LIKE a=(1)"[..], b"like the=(1)", b"not like a=(1)"] {
        assert_eq!(sql(value), sql_plain(value), "{}", value.escape_ascii());
    }
    assert!(sql(b"LIKE a=(1)").is_some());
}

pub(super) fn html_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "<",
        ">",
        "=",
        "\"",
        "'",
        "`",
        " ",
        "\t",
        "/",
        "onload",
        "onerror",
        "style",
        "href",
        "src",
        "javascript:",
        "script",
        "svg",
        "x",
        "!--",
        "--",
        "[if",
        "?",
        "xmlns",
        "\u{0}",
        "\u{e9}",
        "on",
        "a",
        "&#",
        ";",
        "data:",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_gate_of_sql_changes_no_answer(value in sql_text()) {
        prop_assert_eq!(sql(&value), sql_plain(&value), "{}", value.escape_ascii());
    }

    #[test]
    fn the_gate_of_sql_changes_no_answer_on_sentences(value in sentence()) {
        prop_assert_eq!(sql(&value), sql_plain(&value), "{}", value.escape_ascii());
    }

    #[test]
    fn the_gate_of_scripts_changes_no_answer(value in html_text()) {
        prop_assert_eq!(cross_site(&value), cross_site_plain(&value), "{}", value.escape_ascii());
    }
}
