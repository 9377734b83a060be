//! `docs/configuration.md` is made from the table: `UPDATE_EXPECT=1` writes it.

use std::fmt::Write;

use super::super::keys::{Absent, Key, SECTIONS, Section};
use super::super::problems::PROBLEMS;
use crate::diagnostic::Severity;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the table in `config/src/file/keys.rs`; `UPDATE_EXPECT=1 cargo test -p portcullis-config` writes it. -->

`portcullis run --config FILE` reads one YAML file; `portcullis check FILE` reads it the same way and prints every error
and lint, each with its line and a caret. Samples stand in `config/examples/`: `development.yaml` (what `portcullis run`
uses without a file), `staging.yaml`, `production.yaml`, and `reference.yaml` with every key once.

- An unknown key, a missing file, a name that refers to nothing: the file is refused, with all its errors at once.
- **Paths** are relative to the directory of the file.
- **Durations** are a number with `ms`, `s`, `m`, `h` or `d`; **sizes** a number with `B`, `KiB`, `MiB` or `GiB`.
- **Networks** are written `10.0.0.0/8`; one address is a network of its own.
- **Names and ids** are 1 to 63 letters, digits, `-`, `_` or `.`.
- **Secrets** are references, never the secret itself: `file:PATH` (only its owner may have any access to the file: mode
  0600 or 0400), `env:NAME`, or `credential:NAME` (a file in `$CREDENTIALS_DIRECTORY`, as systemd's `LoadCredential=`
  makes it; a mounted Kubernetes secret can be named the same way). They are read again at each reload.
- YAML anchors and aliases work; tags, merge keys and several documents in one file are refused.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        write_section(&mut page, section);
    }
    page
}

fn write_section(page: &mut String, section: &Section) {
    let title = if section.path.is_empty() {
        "The whole file".to_owned()
    } else {
        format!("`{}`", section.path)
    };
    writeln!(page, "\n## {title}\n").unwrap();
    if !section.path.is_empty() {
        writeln!(page, "{}\n", section.doc).unwrap();
    }
    page.push_str("| key | value | when absent | |\n|---|---|---|---|\n");
    for key in section.keys {
        writeln!(page, "| `{}` | {} | {} | {} |", key.name, key.kind, absent(key), key.doc)
            .unwrap();
    }
}

fn absent(key: &Key) -> String {
    match key.absent {
        Absent::Refused => "refused".to_owned(),
        Absent::Default(text) => format!("`{text}`"),
        Absent::Means(words) => words.to_owned(),
    }
}

const PROBLEMS_INTRODUCTION: &str = "\
# What `portcullis check` says of a configuration

<!-- Made from the table in `config/src/file/problems.rs`; `UPDATE_EXPECT=1 cargo test -p portcullis-config` writes it. -->

Every problem of a file is shown at once: its code, the message, the line with a caret, and advice where there is some.

```text
unknown-key

  × unknown key `tiemout` in `backends.<id>`
    ╭─[portcullis.yaml:24:5]
 23 │     policy: license-api
 24 │     tiemout: 30s
    ·     ───────
 25 │ hosts:
    ╰────
  help: did you mean `timeout`?
```

An error (`×`) refuses the file: `check` exits with 1, `run` does not start, a reload keeps what runs. A warning (`⚠`) does
not. Files that a configuration names (policies, rules, certificates, keys) have problems of their own beside these.

| code | | what it means |
|---|---|---|
";

fn problems_page() -> String {
    let mut page = PROBLEMS_INTRODUCTION.to_owned();
    for problem in PROBLEMS {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(page, "| `{}` | {severity} | {} |", problem.code, problem.meaning).unwrap();
    }
    page
}

fn compare(name: &str, page: &str) {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    let path = format!("{docs}/{name}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(docs).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/{name} is old: run with UPDATE_EXPECT=1");
}

#[test]
fn the_pages_are_what_the_tables_say() {
    compare("configuration.md", &page());
    compare("configuration-problems.md", &problems_page());
    compare("lints.md", &crate::armor::lint::page());
}

/// Codes whose cases stand with what finds them: the YAML reader, and the tests that make files.
const FOUND_ELSEWHERE: [&str; 7] = [
    "file-too-large",
    "key-not-text",
    "not-yaml",
    "several-documents",
    "tag",
    "unreadable-file",
    "unreadable-secret",
];

#[test]
fn every_problem_of_the_table_is_found_by_a_test_and_every_found_one_is_in_the_table() {
    let found = super::rejections::found().into_iter().chain(super::across::found());
    let found: std::collections::BTreeSet<_> = found.chain(FOUND_ELSEWHERE).collect();
    let table: std::collections::BTreeSet<_> =
        PROBLEMS.iter().map(|problem| problem.code).collect();
    assert_eq!(found, table);
}

#[test]
fn no_text_of_the_table_breaks_its_row() {
    for section in SECTIONS {
        for key in section.keys {
            assert!(!key.doc.contains('|') && !key.kind.contains('|'), "`{}`", key.name);
            assert!(key.doc.ends_with('.'), "`{}`", key.name);
        }
    }
}
