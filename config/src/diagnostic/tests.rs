use super::*;

fn sample() -> SourceFile {
    SourceFile::new("edge.yaml", "version: 1\nbackend:\n  é: 2\n")
}

#[test]
fn a_place_has_line_and_column_in_characters() {
    let at = sample().location(24..25);
    assert_eq!((at.line, at.column, at.text()), (3, 4, ":"));
    assert_eq!(at.to_string(), "edge.yaml:3:4");
}

#[test]
fn a_span_outside_the_text_is_moved_inside() {
    let at = sample().location(23..999);
    assert_eq!(at.span, 22..28, "23 is the middle of `é`");
    assert_eq!(sample().location(999..1000).line, 4);
}

#[test]
fn the_drawing_shows_file_line_caret_code_and_advice() {
    let drawn = Diagnostic::error("unknown-key", "unknown key `backend`")
        .in_source(&sample(), 11..18)
        .suggest("backend", ["hosts", "backends"])
        .render(Style::Plain);
    for part in [
        "unknown-key",
        "× unknown key `backend`",
        "edge.yaml:2:1",
        "backend:",
        "───",
        "did you mean `backends`?",
    ] {
        assert!(drawn.contains(part), "{part} is missing in\n{drawn}");
    }
    assert!(!drawn.contains('\u{1b}'), "no colour unless asked");
}

#[test]
fn a_word_is_suggested_only_when_near() {
    for (word, expected) in [
        ("backend", Some("backends")),
        ("time_out", Some("timeout")),
        ("TIMEOUT", Some("timeout")),
        ("tiemout", Some("timeout")),
        ("polices", Some("policies")),
        ("x", None),
        ("elephant", None),
    ] {
        assert_eq!(did_you_mean(word, ["backends", "timeout", "policies"]), expected, "{word}");
    }
}
