//! Broken texts: whatever is cut, doubled or swapped, decoding ends, and what is refused is refused for a reason.

use super::*;

fn check(text: &str) {
    let decoded = decode_text(text);
    let errors = decoded.problems.iter().filter(|problem| problem.is_error()).count();
    assert!(decoded.config.is_some() || errors > 0, "refused without a reason:\n{text}");
    for problem in &decoded.problems {
        let at = problem.at.as_ref().expect("each problem has a place");
        assert!(at.span.end <= text.len() && at.line >= 1 && at.column >= 1);
    }
    assert!(decoded.problems.is_empty() || !render_all(&decoded.problems, Style::Plain).is_empty());
}

#[test]
fn a_text_that_is_cut_anywhere_is_refused_for_a_reason() {
    for text in [REFERENCE, SAMPLES[2].1] {
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        for (at, _) in text.char_indices().step_by(7) {
            check(text.get(..at).unwrap());
        }
    }
}

#[test]
fn a_text_without_one_of_its_lines_is_refused_for_a_reason() {
    let lines: Vec<_> = REFERENCE.lines().collect();
    for gone in 0..lines.len() {
        let rest: Vec<_> =
            lines.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| *line).collect();
        check(&rest.join("\n"));
        let mut twice = lines.clone();
        twice.insert(gone, lines[gone]);
        check(&twice.join("\n"));
    }
}

#[test]
fn a_value_of_another_kind_is_refused_for_a_reason() {
    for other in [
        "",
        "~",
        "[]",
        "{}",
        "[a, {b: c}]",
        "{a: [b]}",
        "''",
        "\"\\u0000\"",
        "é: é",
        "-1",
        "99999999999999999999",
        "*x",
        "!t x",
        "|\n  x",
    ] {
        for (at, line) in REFERENCE.lines().enumerate() {
            let Some((key, _)) = line.split_once(": ") else { continue };
            let lines: Vec<_> = REFERENCE
                .lines()
                .enumerate()
                .map(|(n, l)| if n == at { format!("{key}: {other}") } else { l.to_owned() })
                .collect();
            check(&lines.join("\n"));
        }
    }
}
