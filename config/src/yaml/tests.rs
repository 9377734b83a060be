use super::*;
use crate::diagnostic::{Diagnostic, SourceFile};

fn read(text: &str) -> Result<(SourceFile, Node), Vec<Diagnostic>> {
    let source = SourceFile::new("t.yaml", text);
    parse(&source).map(|node| (source, node))
}

#[test]
fn every_node_knows_its_place() {
    let (source, root) =
        read("a: 1\nb:\n  - {c: 'é', d: [x, y]}\n  - key: value # note\n    more: v\nlast: >\n  folded\n  text\n").unwrap();
    let text = |node: &Node| source.text().get(node.span.clone()).unwrap().to_owned();
    let place = |node: &Node| source.text().get(node.place()).unwrap().to_owned();
    assert_eq!(text(root.get("a").unwrap()), "1");
    assert_eq!(place(root.get("a").unwrap()), "a");
    let items = root.get("b").unwrap().as_list().unwrap();
    assert_eq!(text(&items[0]), "{c: 'é', d: [x, y]}");
    assert_eq!(text(items[0].get("c").unwrap()), "'é'");
    assert_eq!(items[0].get("c").unwrap().as_text(), Some("é"));
    assert_eq!(text(items[0].get("d").unwrap()), "[x, y]");
    assert_eq!(text(&items[1]), "key");
    assert_eq!(text(items[1].get("key").unwrap()), "value");
    assert_eq!(root.get("last").unwrap().as_text(), Some("folded text\n"));
}

#[test]
fn json_is_read_too() {
    let (_, root) = read("{\"a\": [1, {\"b\": \"\\u00e9\"}], \"c\": null}").unwrap();
    assert_eq!(root.get("a").unwrap().as_list().unwrap()[1].get("b").unwrap().as_text(), Some("é"));
    assert_eq!(root.get("c").unwrap().value, Value::Null);
}

#[test]
fn nothing_is_nothing_unless_it_is_quoted() {
    for (text, null) in [
        ("a:", true),
        ("a: ~", true),
        ("a: null", true),
        ("a: ''", false),
        ("a: 'null'", false),
        ("a: no", false),
    ] {
        let (_, root) = read(text).unwrap();
        assert_eq!(root.get("a").unwrap().value == Value::Null, null, "{text}");
    }
    assert_eq!(read("").unwrap().1.value, Value::Null);
}

#[test]
fn an_alias_is_what_it_names() {
    let (_, root) = read("a: &x [1, 2]\nb: *x\n").unwrap();
    assert_eq!(root.get("b").unwrap().as_list().unwrap().len(), 2);
}

#[test]
fn what_is_not_ours_is_refused_with_its_place() {
    for (text, code, at) in [
        ("a: 1\na: 2\n", "duplicate-key", "t.yaml:2:1"),
        ("a: !!binary x\n", "tag", "t.yaml:1:13"),
        ("[a]: 1\n", "key-not-text", "t.yaml:1:1"),
        ("a: 1\n---\nb: 2\n", "several-documents", "t.yaml:2:1"),
        ("a: [1\nb: 2\n", "not-yaml", "t.yaml:"),
        ("a: *none\n", "not-yaml", "t.yaml:1:4"),
        ("a: &x [*x]\n", "not-yaml", "t.yaml:1:"),
        ("%YAML 1.2\n---\na: 1\n", "not-yaml", "t.yaml:1:1"),
        ("a:\n\tb: 1\n", "not-yaml", "t.yaml:2:"),
    ] {
        let problems = read(text).unwrap_err();
        assert_eq!(problems[0].code, code, "{text:?} {problems:?}");
        assert!(problems[0].to_string().starts_with(at), "{text:?} {problems:?}");
    }
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", before.repeat(10)));
    }
    assert_eq!(read(&text).unwrap_err()[0].code, "file-too-large");
}

#[test]
fn deep_nesting_is_refused() {
    assert!(read(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    assert_eq!(
        read(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap_err()[0].code,
        "not-yaml"
    );
}

#[test]
fn all_duplicate_keys_are_reported_at_once() {
    assert_eq!(read("a: 1\na: 2\nb: {c: 1, c: 2}\n").unwrap_err().len(), 2);
}
