//! The detector of SQL beside the C library that ModSecurity brings.
//!
//! Not that of scripts: what Debian's ModSecurity brings takes every attribute that starts with `on` for an event
//! handler, as upstream does no more.

use super::sql_plain;
use super::tests::{corpus, sentence, sql_text};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Asks the C library, or says why it cannot be asked.
fn ask(values: &[Vec<u8>]) -> Result<Vec<Option<String>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("oracle");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libinjection/oracle.c");
    let built = Command::new("cc")
        .args([source.as_os_str(), "-o".as_ref(), program.as_os_str(), "-lmodsecurity".as_ref()])
        .output()
        .map_err(|error| format!("no C compiler: {error}"))?;
    if !built.status.success() {
        return Err(built.stderr.escape_ascii().to_string());
    }
    let mut run = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut stdin = run.stdin.take().unwrap();
    let answered = std::thread::scope(|scope| {
        scope.spawn(move || {
            for value in values {
                stdin.write_all(&u32::try_from(value.len()).unwrap().to_le_bytes()).unwrap();
                stdin.write_all(value).unwrap();
            }
        });
        run.wait_with_output()
    });
    let bytes = answered.map_err(|error| error.to_string())?.stdout;
    let answers = bytes.chunks_exact(8).map(|answer| {
        let letters = answer.iter().take_while(|byte| **byte != 0);
        let fingerprint: String = letters.copied().map(char::from).collect();
        (!fingerprint.is_empty()).then_some(fingerprint)
    });
    Ok(answers.collect())
}

/// SQL behind what closes a value, up to a comment, with marks that ordinary text has not.
fn attack() -> impl Strategy<Value = Vec<u8>> {
    let start =
        prop::sample::select(vec!["1", "'", "\"", "1'", "x' ", "-1 ", "1) ", "", "1 or ", "' or "]);
    let odd = prop::sample::select(vec![
        "",
        "$1",
        "$$",
        "$a$",
        "\\",
        "\\N",
        "[a]",
        "[",
        "`",
        "``",
        "#",
        "--",
        "-- ",
        "/*!",
        "/*",
        "*/",
        "{",
        "}",
        "e'",
        "n'",
        "nq'(",
        ")'",
        "q'[",
        "]'",
        "u&'",
        "x'0f'",
        "b'01'",
        "b'",
        "\0",
        "\u{a0}",
        "$",
        "$.",
        "1e",
        "0x",
        "0b1",
        "1.e5f",
        "2d;",
        "@@`",
        "@'",
        "@user(",
        "user(",
        "collate \u{e9}_x",
        "into outfile",
        "sp_password",
        "is not",
        "not in(",
        "select.1",
        "::int",
        "<=>",
        "''",
        "\\'",
        "union all",
        "if(",
    ]);
    let end = prop::sample::select(vec!["", "--", "-- ", "#", "/*", ";", "'", "\"", "--x"]);
    let half = || {
        (sql_text(), odd.clone()).prop_map(|(text, odd)| {
            let start = text.get(..12).unwrap_or(&text);
            [start, odd.as_bytes()].concat()
        })
    };
    (start, half(), half(), end)
        .prop_map(|(start, one, two, end)| [start.as_bytes(), &one, &two, end.as_bytes()].concat())
}

fn generated(strategy: impl Strategy<Value = Vec<u8>>, count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_answers_are_those_of_the_c_library() {
    let count = std::env::var("PORTCULLIS_ORACLE_VALUES").map_or(50_000, |n| n.parse().unwrap());
    let mut values = generated(sql_text(), count);
    values.extend(generated(attack(), count));
    values.extend(generated(sentence(), count));
    values.extend(corpus().into_iter().flatten().map(|(_, input, _)| input));
    let answers = match ask(&values) {
        Ok(answers) => answers,
        Err(why) => {
            assert!(std::env::var_os("REQUIRE_ALL").is_none(), "{why}");
            eprintln!("skipped: {why}");
            return;
        }
    };
    assert_eq!(answers.len(), values.len());
    assert!(answers.iter().flatten().count() > count / 20, "too few attacks");
    let differ = |(value, theirs): (&Vec<u8>, &Option<String>)| {
        let ours = sql_plain(value);
        (ours != *theirs).then(|| format!("{} {ours:?} {theirs:?}", value.escape_ascii()))
    };
    let wrong: Vec<String> = values.iter().zip(&answers).filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), values.len());
}
