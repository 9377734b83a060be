//! `check --capacity`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_config::{Style, load};
use serde_json::{Value, json};

use super::super::{Done, Failed, say, say_json, table};
use crate::limits::{Available, Item, available, capacity};

pub(super) fn run(files: &[PathBuf], as_json: bool) -> Done {
    let available = available();
    let mut shown = Vec::new();
    for file in files {
        let loaded = load(file).map_err(|report| Failed::Said(report.render(Style::Plain)))?;
        let (items, sum) = capacity(&loaded.config.limits, loaded.config.log.capture.is_some());
        let exceeded = available.as_ref().is_some_and(|there| sum > there.bytes);
        if as_json {
            shown.push(view(file, &items, sum, available.as_ref(), exceeded));
        } else {
            say(&drawn(file, &items, sum, available.as_ref(), exceeded))?;
        }
    }
    if as_json {
        say_json(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn view(
    file: &Path,
    items: &[Item],
    sum: u64,
    available: Option<&Available>,
    exceeded: bool,
) -> Value {
    json!({
        "file": file.display().to_string(), "items": items, "total_bytes": sum, "exceeded": exceeded,
        "available_bytes": available.map(|there| there.bytes),
        "available_from": available.map(|there| there.from.display().to_string()),
    })
}

fn drawn(
    file: &Path,
    items: &[Item],
    sum: u64,
    available: Option<&Available>,
    exceeded: bool,
) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| vec![item.name.to_owned(), mebibytes(item.bytes), item.how.clone()])
        .chain([vec!["together".to_owned(), mebibytes(sum), file.display().to_string()]])
        .collect();
    let mut text = table::draw(&["LIMIT", "AT MOST", "HOW"], &rows);
    match available {
        None => text.push_str("the system does not say how much memory there is\n"),
        Some(there) => {
            let from = there.from.display();
            text.push_str(&format!("there is: {} ({from})\n", mebibytes(there.bytes)));
        }
    }
    if exceeded {
        text.push_str(
            "warning: the limits allow more than there is\n  help: lower the largest of them, or give the process more memory\n",
        );
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_said_with_what_to_do() {
        let items = [Item { name: "connections", how: "2 B each".to_owned(), bytes: 3 << 20 }];
        let there = |bytes| Available { bytes, from: "/cgroup/memory.max".into() };
        for (bytes, exceeded) in [((3 << 20) - 1, true), (3 << 20, false), (4 << 20, false)] {
            let there = there(bytes);
            let text = drawn(Path::new("a.yaml"), &items, 3 << 20, Some(&there), 3 << 20 > bytes);
            assert_eq!(text.contains("warning: "), exceeded, "{text}");
            assert!(text.contains("connections  3 MiB    2 B each"), "{text}");
        }
    }
}
