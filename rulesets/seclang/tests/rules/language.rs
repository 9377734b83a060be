//! What rule text may say, and how a load refuses what it may not.

use crate::engine::{Memory, errors, get, ids, program, shown};
use seclang::Program;

/// Each text is refused with one error that says this, at this line and column.
#[test]
fn what_is_unknown_or_broken_is_refused_where_it_stands() {
    let cases: &[(&str, &str, &str)] = &[
        ("SecRulee ARGS \"@rx a\" \"id:1\"", "unknown directive `SecRulee`", "SecRulee"),
        ("SecRule ARG \"@rx a\" \"id:1\"", "unknown variable `ARG`", "ARG"),
        ("SecRule ARGS \"@rxx a\" \"id:1\"", "unknown operator `@rxx`", "a"),
        (
            "SecRule ARGS \"@rx a\" \"id:1,t:lowercse\"",
            "unknown transformation `lowercse`",
            "lowercse",
        ),
        ("SecRule ARGS \"@rx a\" \"id:1,denyy\"", "unknown action `denyy`", "denyy"),
        ("SecRule ARGS \"@rx a\" \"id:1,ctl:ruleRemove=3\"", "unknown `ctl` option", "ruleRemove"),
        ("SecRule ARGS \"@rx a\" \"phase:2\"", "a rule without an id", "SecRule"),
        ("SecRule ARGS \"@rx a\" \"id:1,phase:9\"", "a phase is 1 to 5", "9"),
        ("SecRule ARGS \"@rx a", "this quote is never closed", "\""),
        ("SecRule ARGS \"@rx a\" \"id:1,msg:'a\"", "this quote is never closed", "'"),
        ("SecRule ARGS \"@eq x\" \"id:1\"", "expected a whole number", "x"),
        ("SecRule ARGS \"@rx a\" \"id:1,skipAfter:END\"", "this skips to nowhere", "END"),
        ("SecRule REQUEST_URI:a \"@rx a\" \"id:1\"", "takes no name", "REQUEST_URI"),
        ("SecRule XML:/a/b \"@rx a\" \"id:1\"", "`XML` takes `/*` or `//@*`", "XML"),
        ("SecAction \"id:1,setvar:foo.x=1\"", "not a collection", "foo"),
        ("SecAction \"id:1,setvar:tx.x=%{tx.y\"", "this macro is never closed", "%{"),
        ("SecAction \"id:1,msg:'%{nothing}'\"", "unknown variable in a macro", "nothing"),
        ("SecRuleEngine Maybe", "expected `On`, `Off` or `DetectionOnly`", "Maybe"),
        ("SecRequestBodyLimit many", "expected a whole number", "many"),
        ("Include nothing.conf", "names no file", "nothing.conf"),
        ("SecRule ARGS \"@rx a\" \"id:1,chain\"", "the file ends inside a chain", "\""),
        (
            "SecRule ARGS \"@rx a\" \"id:1,chain\"\nSecMarker X",
            "a chain needs a rule here",
            "SecMarker",
        ),
        (
            "SecRule ARGS \"@rx a\" \"id:1,chain\"\nSecRule ARGS \"@rx b\" \"deny\"",
            "only the first rule of a chain may say this",
            "deny",
        ),
        ("SecRule ARGS \"@rx (a\" \"id:1\"", "", "(a"),
        ("SecRule ARGS \"@pmFromFile none.data\" \"id:1\"", "none.data", "none.data"),
    ];
    for (text, message, under) in cases {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text}: {}", shown(&found));
        let error = &found[0];
        assert!(error.message.contains(message), "{text}: {error}");
        let start = error.column as usize - 1;
        assert_eq!(error.text.get(start..start + error.span as usize), Some(*under), "{error}");
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let text = "SecFoo 1\nSecRule ARG \"@rx a\" \"id:1\"\nSecRule ARGS \"@rx (\" \"id:2\"\n\
                SecRule ARGS \"@rx a\" \"id:3,foo,bar\"\nSecAction \"id:3\"\n";
    let found = errors(text);
    let lines: Vec<u32> = found.iter().map(|error| error.line).collect();
    for line in [1, 2, 3, 4, 4, 5] {
        assert!(lines.contains(&line), "{}", shown(&found));
    }
}

#[test]
fn the_caret_stands_under_the_word_on_a_continued_line() {
    let found = errors("SecRule ARGS \"@rx a\" \\\n    \"id:1,\\\n\tnologg\"\n");
    let text = found[0].to_string();
    assert!(text.contains("test.conf:3:2"), "{text}");
    assert!(text.contains("3 | \tnologg\"\n  | \t^^^^^^"), "{text}");
    assert!(text.contains("did you mean `nolog`?"), "{text}");
}

#[test]
fn a_duplicate_id_names_the_place_of_the_first() {
    let found = errors("SecAction \"id:7\"\n\nSecAction \"id:7\"");
    assert_eq!(found[0].line, 3);
    assert_eq!(found[0].help.as_deref(), Some("it stands at test.conf:1"));
}

#[test]
fn what_has_no_effect_here_says_why() {
    let compiled = Program::compile("x", "SecAuditEngine On", &Memory::default()).unwrap();
    assert!(compiled.notes[0].message.contains("is accepted and has no effect"));
}

#[test]
fn files_include_each_other_but_not_in_a_circle() {
    let files =
        |entries: &[(&'static str, &'static str)]| Memory(entries.iter().copied().collect());
    let good = files(&[("a.conf", "Include b.conf"), ("b.conf", "SecAction \"id:1\"")]);
    let compiled = Program::compile("x", "Include *.conf\nIncludeOptional c*", &good);
    assert!(shown(&compiled.unwrap_err()).contains("the id 1 is taken"));
    let compiled = Program::compile("x", "Include a.conf", &good).unwrap();
    assert_eq!(compiled.files, ["a.conf", "b.conf"]);
    let circle = files(&[("a.conf", "Include b.conf"), ("b.conf", "Include a.conf")]);
    let errors = Program::compile("x", "Include a.conf", &circle).unwrap_err();
    assert!(shown(&errors).contains("includes itself"));
}

#[test]
fn comments_blank_lines_and_continuations_are_read_as_apache_reads_them() {
    let text = "# SecFoo \\\n\n  # indented\nSecRule ARGS:a \\\n  \"@rx ^\\\\\\\\x$\" \\\n  \"id:1,log\"\r\n";
    assert_eq!(ids(&get(&program(text), "/?a=%5cx")), [1]);
}

#[test]
fn updates_reach_rules_of_any_file_and_say_when_they_reach_none() {
    let rules = "SecRule ARGS \"@rx x\" \"id:1,log,tag:'a/b'\"\nSecRule ARGS \"@rx x\" \"id:2,log,msg:'m'\"\n";
    let with = |line: &str| ids(&get(&program(&format!("{rules}{line}")), "/?k=x&l=x"));
    assert_eq!(with(""), [1, 1, 2, 2]);
    assert_eq!(with("SecRuleRemoveById 1"), [2, 2]);
    assert_eq!(with("SecRuleRemoveById 2-9 \"1\""), [0; 0]);
    assert_eq!(with("SecRuleRemoveByTag a/"), [2, 2]);
    assert_eq!(with("SecRuleRemoveByMsg ^m$"), [1, 1]);
    assert_eq!(with("SecRuleUpdateTargetById 1 \"!ARGS:k\""), [1, 2, 2]);
    assert_eq!(with("SecRuleUpdateTargetById 1 \"!ARGS:/^K/\""), [1, 2, 2]);
    assert_eq!(with("SecRuleUpdateTargetByTag a \"!ARGS\""), [2, 2]);
    assert_eq!(with("SecRuleUpdateActionById 1 \"nolog\""), [2, 2]);
    let compiled = Program::compile("x", "SecRuleRemoveById 5", &Memory::default()).unwrap();
    assert!(compiled.notes[0].message.contains("names no rule"));
}
