//! Cases for every operator.

use super::*;
use crate::source::{ResolveError, Source};

struct Files(&'static [(&'static str, &'static str)]);

impl Resolve for Files {
    fn read(&self, path: &str, _from: &str) -> Result<Source, ResolveError> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        let (name, text) = found.ok_or_else(|| ResolveError::NotFound(path.to_owned()))?;
        Ok(Source { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() })
    }

    fn expand(&self, _pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
        Ok(Vec::new())
    }
}

const FILES: Files = Files(&[
    ("words.data", "# comment\nCall to private \r\n\nfoo bar\n"),
    ("nets.data", "# comment\n10.0.0.0/8 # inner\n\n2001:db8::/32\n"),
]);

fn compile(name: &str, argument: &str) -> Result<Operator, OperatorError> {
    Operator::compile(name, argument.as_bytes(), "test.conf", &FILES, false)
}

fn check(name: &str, argument: &str, yes: &[&str], no: &[&str]) {
    let operator = compile(name, argument).unwrap();
    for (values, expected) in [(yes, true), (no, false)] {
        for value in values {
            let mut captures = Captures::default();
            assert_eq!(
                operator.is_match(value.as_bytes()),
                expected,
                "@{name} {argument} of {value}"
            );
            let found = operator.captures(value.as_bytes(), &mut captures);
            assert_eq!(found, expected, "captures of @{name} {argument} of {value}");
            assert_eq!(
                captures.span().is_some(),
                expected,
                "span of @{name} {argument} of {value}"
            );
        }
    }
}

#[test]
fn strings_compare() {
    check("streq", "abc", &["abc"], &["ABC", "abcd", ""]);
    check("contains", "abc", &["abc", "xabcx"], &["ab", "ABC"]);
    check("strmatch", "abc", &["xabcx"], &["ab"]);
    check("containsWord", "abc", &["abc", "x abc.", "xabc abc"], &["xabc", "abc_", "abc1"]);
    check("beginsWith", "abc", &["abc", "abcd"], &["xabc", "ab"]);
    check("endsWith", "abc", &["abc", "xabc"], &["abcx", "bc"]);
    check("within", "GET POST", &["GET", "POST", "T P", ""], &["PUT", "get"]);
}

#[test]
fn numbers_compare_and_what_is_none_is_zero() {
    check("eq", "5", &["5", " 5", "5x", "+5", "05"], &["6", "", "x5"]);
    check("eq", "0", &["", "abc", "-0"], &["1"]);
    check("ge", "5", &["5", "6", "99999999999999999999"], &["4", "-5"]);
    check("gt", "5", &["6"], &["5", "4"]);
    check("le", "5", &["5", "-6"], &["6"]);
    check("lt", "5", &["4", ""], &["5"]);
}

#[test]
fn patterns_are_dot_all_byte_clean_and_case_sensitive() {
    check("rx", "a.b", &["a\nb", "xa b"], &["ab", "A.B"]);
    check("rx", "^a$", &["a"], &["a\n", "x\na"]);
    check("rx", "(?i)select", &["SeLeCt"], &["selec"]);
    check("rx", r"\bfoo\b", &["a foo b"], &["foobar"]);
    let operator = compile("rx", r"^[^a]+$").unwrap();
    assert!(operator.is_match(b"\xff\xfe\x80"));
    let several = Operator::compile("rx", b"^b$", "", &FILES, true).unwrap();
    assert!(several.is_match(b"a\nb\nc"));
}

#[test]
fn groups_are_captured_up_to_the_ninth() {
    let operator = compile("rx", "(a)(x)?(b)(c)(d)(e)(f)(g)(h)(i)(j)").unwrap();
    let mut captures = Captures::default();
    let value = b"__abcdefghij";
    assert!(operator.captures(value, &mut captures));
    assert_eq!(captures.group(0, value), Some(b"abcdefghij".as_slice()));
    assert_eq!(captures.group(1, value), Some(b"a".as_slice()));
    assert_eq!(captures.group(2, value), None);
    assert_eq!(captures.group(9, value), Some(b"h".as_slice()));
    assert_eq!(captures.group(10, value), None);
}

#[test]
fn syntax_of_pcre_is_understood() {
    check("rx", r"\x{3c}\x3e\xC3", &[], &["<>"]);
    check("rx", "a{b", &["a{b"], &["ab"]);
    check("rx", "{{a{,3}", &["{{a{,3}"], &["{{aaa"]);
    check("rx", "a{2}b{1,}c{0,1}", &["aabc", "aabb"], &["abc"]);
    check("rx", "[[a]", &["[", "a"], &["b"]);
    check("rx", "[]a]+$", &["]a"], &["b"]);
    check("rx", "[^]a]", &["b"], &["]"]);
    check("rx", "^[a&&~~b-]+$", &["&b-~a"], &["d"]);
    check("rx", r"^[\w-.]+$", &["a-.b"], &["a/b"]);
    check("rx", r"^[+--]+$", &["+,-"], &["."]);
    check("rx", r"[\b]", &["\u{8}"], &["b"]);
    check("rx", r"\<a\>", &["<a>"], &["a"]);
    check("rx", r"\'\i\_", &["'i_"], &["'x_"]);
    check("rx", r"\141\0", &["a\0"], &["a0"]);
    check("rx", r"a\h\v", &["a\t\n"], &["a\n\t"]);
    check("rx", r"[\h]", &["\t"], &["\n"]);
    check("rx", "a*+b++c?+d{1,2}+", &["aabbcd"], &["ac"]);
    check("rx", "a*?b+?c??", &["b"], &["a"]);
    check("rx", "(?>ab|a)c", &["abc", "ac"], &["b"]);
    check("rx", "a(?#note)b", &["ab"], &["a"]);
    check("rx", r"a\Z", &["a", "a\n"], &["ab"]);
    check("rx", "[[:alpha:]_]+$", &["ab_"], &["1"]);
    check("rx", "[é]", &["é"], &["e"]);
    check("rx", "é+", &["é"], &["e"]);
    check("rx", r#"["'`]"#, &["\"", "'", "`"], &["a"]);
    check("rx", "]}", &["]}"], &["]"]);
}

#[test]
fn broken_patterns_say_why() {
    for (pattern, why) in [
        ("a(?=b)", "look-around"),
        ("(?<=a)b", "look-around"),
        (r"(a)\1", "back reference"),
        ("a(b", "cannot be compiled"),
        ("[a", "not closed"),
        ("a\\", "ends in a backslash"),
        (r"\p{L}", "not supported"),
        (r"\x{100}", "one byte"),
        ("((((a{100}){100}){100}){100})", "bytes"),
    ] {
        let error = compile("rx", pattern).unwrap_err();
        assert!(error.message.contains(why), "{pattern}: {error}");
    }
}

#[test]
fn fixed_text_may_be_followed_by_anything_but() {
    check(
        "rx",
        r"<\?(?!xml)",
        &["<?php", "<?", "<?xml ?><?php"],
        &["<?xml", "php", "<? xml".get(..1).unwrap()],
    );
    let entities = r#"(?<!&(?:[aAoO]uml)|&(?:amp));|['\"=]"#;
    check(
        "rx",
        entities,
        &["a;b", "=", "'", "\"", "&amp;;", "&quot;"],
        &["a&auml;b", "&amp;", "abc", "&Ouml;"],
    );
}

#[test]
fn compared_words_are_found_as_the_pattern_of_942130_finds_them() {
    let yes = [
        "1=1",
        "a = 'a'",
        "1' or 'x'='x",
        "a<b",
        "a <= b",
        "a<=>a",
        "a<>b",
        "a != b",
        "a not  like b",
        "a is not b",
        "a is nothing",
        "a ^ b",
        "foo like FOO",
        "a sounds like a",
        "a rlike a",
        "a regexp (a)",
        "x>=y",
        "x>y",
    ];
    let no = [
        "a=b",
        "a<a",
        "a <= A",
        "a<=>b",
        "a<>a",
        "a != a",
        "a not like",
        "a like b",
        "",
        "=",
        "a =",
    ];
    for (values, expected) in [(yes.as_slice(), true), (no.as_slice(), false)] {
        for value in values {
            let found = look_around::LookAround::ComparedWords.find(value.as_bytes());
            assert_eq!(found.is_some(), expected, "{value}");
        }
    }
    let found = look_around::LookAround::ComparedWords.find(b"x ('a' = 'a')").unwrap();
    assert_eq!((found.whole, found.group), (1..11, Some(4..5)));
}

#[test]
fn phrases_are_found_in_any_letter_case() {
    check("pm", "foo  BAR |41 42|x", &["a FOO b", "xbar", "abx"], &["fo", "ba r"]);
    check("pm", "a|b", &["a|b"], &["a", "b"]);
    check(
        "pmFromFile",
        "words.data",
        &["call to PRIVATE x", "foo bar"],
        &["call to private", "foo"],
    );
    check("pmf", "words.data", &["foo bar"], &["# comment"]);
    assert!(compile("pm", " ").unwrap_err().message.contains("no phrase"));
    assert!(compile("pmFromFile", "gone.data").unwrap_err().message.contains("gone.data"));
    assert!(compile("pmFromFile", "https://x/y").unwrap_err().message.contains("not a file"));
}

#[test]
fn addresses_are_in_networks_of_either_family() {
    check(
        "ipMatch",
        "192.0.2.1, 10.0.0.0/8,2001:db8::/32,10.1.0.0/16",
        &["192.0.2.1", "10.255.0.1", "10.1.2.3", "2001:db8::1", "::ffff:10.0.0.1"],
        &["192.0.2.2", "11.0.0.0", "9.255.255.255", "2001:db9::", "", "x"],
    );
    check("ipMatchFromFile", "nets.data", &["10.0.0.1", "2001:db8::1"], &["11.0.0.1"]);
    for broken in ["10.0.0.0/33", "x", "1.2.3"] {
        assert!(compile("ipMatch", broken).is_err(), "{broken}");
    }
}

#[test]
fn bytes_and_encodings_are_validated() {
    check("validateByteRange", "9,10,13,32-126", &["a\0", "é", "\u{7f}"], &["abc\t", ""]);
    check("validateByteRange", "1-255", &["\0"], &["é"]);
    for broken in ["256", "a", "5-1", "1-", ""] {
        assert!(compile("validateByteRange", broken).is_err(), "{broken}");
    }
    check("validateUrlEncoding", "", &["%", "%4", "%zz", "a%%41"], &["%41", "", "abc"]);
    let utf8 = compile("validateUtf8Encoding", "").unwrap();
    for (value, expected) in [
        ("é".as_bytes(), false),
        (b"", false),
        (b"\xc0\xaf", true),
        (b"\xed\xa0\x80", true),
        (b"\xf5\x80\x80\x80", true),
        (b"\xff", true),
    ] {
        assert_eq!(utf8.is_match(value), expected, "{}", value.escape_ascii());
    }
}

#[test]
fn card_numbers_need_their_checksum() {
    let pattern = r"\d{13,16}";
    check(
        "verifyCC",
        pattern,
        &["x 4111111111111111", "5500005555555559"],
        &["4111111111111112", "4111"],
    );
    check(
        "verifyCPF",
        r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}",
        &["529.982.247-25", "CPF 11144477735."],
        &["529.982.247-26", "111.444.777-05", "111.111.111-11", "012.345.678-90", "5299822472"],
    );
    check(
        "verifySSN",
        r"\d{3}-?\d{2}-?\d{4}",
        &["078-05-1120", "739019999"],
        &["000-05-1120", "078-00-1120", "078-05-0000", "666-05-1120", "740-05-1120"],
    );
    check("verifySSN", r"\d{9,10}", &[], &["123456789", "555555555", "0780511201"]);
    check(
        "verifySVNR",
        r"\d{4} ?\d{6}",
        &["1237 010180", "1237010180", "1100 000000"],
        &["1238 010180", "1111 111111", "0123456789", "123701018"],
    );
}

#[test]
fn injections_are_detected_with_their_fingerprint() {
    check("detectSQLi", "", &["1' OR '1'='1"], &["hello"]);
    check("detectXSS", "", &["<script>alert(1)</script>"], &["hello"]);
    let mut captures = Captures::default();
    let value = b"1' or '1'='1";
    assert!(compile("detectSQLi", "").unwrap().captures(value, &mut captures));
    assert_eq!(captures.group(0, value), Some(b"s&sos".as_slice()));
}

#[test]
fn constants_and_look_ups_answer_without_looking() {
    check("unconditionalMatch", "", &["", "x"], &[]);
    check("noMatch", "", &[], &["", "x"]);
    check("geoLookup", "", &[], &["192.0.2.1"]);
    check("rbl", "dnsbl.example.com", &[], &["192.0.2.1"]);
    assert!(compile("rbl", "x").unwrap().note().is_some());
    assert!(compile("noMatch", "").unwrap().note().is_none());
}

#[test]
fn unknown_operators_are_errors_and_known_ones_compile() {
    let error = compile("rxx", "a").unwrap_err();
    assert_eq!(error.message, "unknown operator `@rxx`");
    assert!(error.help.unwrap().contains("validateByteRange"));
    for name in NAMES {
        let argument = match *name {
            "pmf" | "pmFromFile" => "words.data",
            "ipMatchF" | "ipMatchFromFile" => "nets.data",
            "ipMatch" => "10.0.0.0/8",
            _ => "1",
        };
        assert!(compile(name, argument).is_ok(), "{name}");
        assert!(compile(&name.to_uppercase(), argument).is_ok(), "{name}");
    }
}

#[test]
fn expanded_arguments_are_compared_at_once() {
    assert!(takes_macro("within") && takes_macro("RX") && takes_macro("ge"));
    assert!(!takes_macro("pm") && !takes_macro("ipMatch"));
    assert_eq!(compare("streq", b"a", b"a"), Some(true));
    assert_eq!(compare("ge", b"5", b"4"), Some(false));
    assert_eq!(compare("rx", b"^utf-8|latin1$", b"utf-8"), Some(true));
    assert_eq!(compare("rx", b"^utf-8|latin1$", b"ibm037"), Some(false));
    assert_eq!(compare("rx", b"broken(", b"broken("), Some(false));
    assert_eq!(compare("pm", b"a", b"a"), None);
    for index in 0..40 {
        let pattern = format!("^{index}$");
        assert_eq!(compare("rx", pattern.as_bytes(), index.to_string().as_bytes()), Some(true));
    }
}

#[test]
fn what_an_operator_needs_is_told_once() {
    let needs = |name, argument| compile(name, argument).unwrap().take_condition().describe();
    assert_eq!(needs("rx", "a{b"), "at least 3 bytes, one of 1 literals (shortest 3), 3 byte sets");
    assert_eq!(
        needs("pm", "Be ad"),
        "at least 2 bytes, one of 2 literals (shortest 2), 2 byte sets"
    );
    assert_eq!(
        needs("validateUrlEncoding", ""),
        "at least 1 bytes, one of 0 literals (shortest 0), 1 byte sets"
    );
    assert_eq!(needs("streq", "a"), "none");
    let mut pattern = compile("rx", "a{b").unwrap();
    assert!(pattern.take_condition().is_useful());
    assert!(!pattern.take_condition().is_useful());
    assert!(pattern.is_match(b"xa{b"));
}

#[test]
fn a_match_in_a_long_value_may_be_cut_short_when_it_is_only_shown() {
    let operator = compile("rx", "b(c+)").unwrap();
    let mut long = b"abccc".to_vec();
    for (length, shown) in [(5, 1..5), (1024, 1..5), (1025, 1..3)] {
        long.resize(length, b'x');
        let mut captures = Captures::default();
        assert!(operator.captures(&long, &mut captures));
        assert_eq!(captures.span(), Some(1..5), "{length}");
        let mut captures = Captures::default();
        assert!(operator.first_captures(&long, &mut captures));
        assert_eq!(captures.span(), Some(shown), "{length}");
    }
    assert!(!operator.first_captures(&[b'x'; 2000], &mut Captures::default()));
}
