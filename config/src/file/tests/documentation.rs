//! `docs/configuration.md` is made from the table: `UPDATE_EXPECT=1` writes it.

use std::fmt::Write;

use super::super::keys::{Absent, Key, SECTIONS, Section};

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
        Absent::NotBuilt => "**not built yet**: refused when present".to_owned(),
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/configuration.md is old: run with UPDATE_EXPECT=1");
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
