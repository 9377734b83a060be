//! Cases for every transformation, and properties that hold for all of them.

use super::*;
use proptest::prelude::*;

type Case = (&'static [u8], &'static [u8]);

fn check(name: &str, cases: &[Case]) {
    let transformation = find(name).unwrap();
    let mut out = b"left over".to_vec();
    for (input, expected) in cases {
        let changed = transformation.apply(input, &mut out);
        let shown = input.escape_ascii();
        assert_eq!(changed == Changed::No, input == expected, "{name} of {shown}");
        let actual = if changed == Changed::No { input } else { out.as_slice() };
        assert_eq!(
            actual.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{name} of {shown}"
        );
    }
}

#[test]
fn base64_is_decoded_up_to_what_is_not_base64() {
    check(
        "base64Decode",
        &[
            (b"", b""),
            (b"VGVzdENhc2U=", b"TestCase"),
            (b"VGVzdENhc2U", b"TestCase"),
            (b"VGVzdABDYXNl", b"Test\0Case"),
            (b"VGVz\r\ndENhc2U=", b"TestCase"),
            (b"VGVz!dENhc2U=", b"Tes"),
            (b"/+8=", b"\xff\xef"),
        ],
    );
    check(
        "base64DecodeExt",
        &[(b"VGVzdENhc2U=", b"TestCase"), (b"VG.Vz dEN,hc2U=", b"TestCase"), (b"....", b"")],
    );
    check(
        "base64Encode",
        &[
            (b"", b""),
            (b"T", b"VA=="),
            (b"Te", b"VGU="),
            (b"Tes", b"VGVz"),
            (b"TestCase", b"VGVzdENhc2U="),
        ],
    );
}

#[test]
fn a_command_line_loses_its_quoting() {
    check(
        "cmdLine",
        &[
            (b"", b""),
            (b"test", b"test"),
            (b"C^OMMAND /c DIR", b"command/c dir"),
            (b"\"command\" /c DIR", b"command/c dir"),
            (b"cmd,/c;dir", b"cmd/c dir"),
            (b"a  ,; b", b"a b"),
            (b"foo (bar", b"foo(bar"),
            (b"c\\at\t\r\n/etc/'pass'wd", b"cat/etc/passwd"),
            (b"a\x0bb", b"a\x0bb"),
        ],
    );
}

#[test]
fn comments_are_replaced_removed_or_unmarked() {
    check(
        "replaceComments",
        &[
            (b"before/* comment */after", b"before after"),
            (b"before/* never ends", b"before "),
            (b"no */ start", b"no */ start"),
            (b"/**//**/", b"  "),
            (b"a/*/b", b"a "),
            (b"/", b"/"),
        ],
    );
    check(
        "removeComments",
        &[
            (b"a/* x */b", b"ab"),
            (b"a<!-- x -->b", b"ab"),
            (b"a-- rest", b"a"),
            (b"a# rest", b"a"),
            (b"a/* open", b"a "),
            (b"a - b / c < d", b"a - b / c < d"),
        ],
    );
    check(
        "removeCommentsChar",
        &[
            (b"a/* x */b", b"a x b"),
            (b"<!--x-->", b"x"),
            (b"UNI--ON", b"UNION"),
            (b"a#b", b"ab"),
            (b"- * / <!-", b"- * / <!-"),
        ],
    );
}

#[test]
fn css_escapes_are_decoded() {
    check(
        "cssDecode",
        &[
            (b"plain", b"plain"),
            (b"ja\\vascript", b"javascript"),
            (b"test\\a\\b\\f", b"test\n\x0b\x0f"),
            (b"\\6a\\61v", b"jav"),
            (b"\\006a x", b"jx"),
            (b"\\00006ax", b"jx"),
            (b"\\0000006a", b"\x006a"),
            (b"\\ff1c", b"<"),
            (b"\\0ff1c", b"<"),
            (b"\\1ff1c", b"\x1c"),
            (b"\\\nx", b"x"),
            (b"x\\", b"x"),
            (b"\\\\", b"\\"),
        ],
    );
}

#[test]
fn c_escapes_are_decoded() {
    check(
        "escapeSeqDecode",
        &[
            (b"\\a\\b\\f\\n\\r\\t\\v\\?\\'\\\"\\\\", b"\x07\x08\x0c\n\r\t\x0b?'\"\\"),
            (b"c\\141t", b"cat"),
            (b"\\x41\\X42", b"AB"),
            (b"\\xag", b"xag"),
            (b"\\0\\12\\1234", b"\0\nS4"),
            (b"\\8\\q", b"8q"),
            (b"end\\", b"end\\"),
        ],
    );
}

#[test]
fn hexadecimal_goes_both_ways() {
    check("hexEncode", &[(b"", b""), (b"Ab\xff\0", b"4162ff00")]);
    check("hexDecode", &[(b"4162fF00", b"Ab\xff\0"), (b"416", b"A"), (b"41zz42", b"A")]);
    check(
        "sqlHexDecode",
        &[
            (b"0x414243", b"ABC"),
            (b"0X41 0x4", b"A 0x4"),
            (b"x 0xzz", b"x 0xzz"),
            (b"00x41", b"0A"),
            (b"0x41424", b"AB4"),
        ],
    );
}

#[test]
fn html_entities_are_decoded() {
    check(
        "htmlEntityDecode",
        &[
            (b"&#x3c;script&GT", b"<script>"),
            (b"&#60;&#X3E;", b"<>"),
            (b"&#0000060", b"<"),
            (b"&#x1003c;", b"<"),
            (b"&quot;&amp;&lt;&gt;&nbsp;", b"\"&<>\xa0"),
            (b"&amp;lt;", b"&lt;"),
            (b"&unknown; &ltx &", b"&unknown; &ltx &"),
            (b"&#;&#x;&#xg", b"&#;&#x;&#xg"),
            (b"&#99999999999999999999999;", b"\xff"),
        ],
    );
}

#[test]
fn javascript_escapes_are_decoded() {
    check(
        "jsDecode",
        &[
            (b"\\u0061lert", b"alert"),
            (b"\\uff1cx", b"<x"),
            (b"\\x3c\\74\\074", b"<<<"),
            (b"\\400", b" 0"),
            (b"\\a\\b\\f\\n\\r\\t\\v\\z\\'", b"\x07\x08\x0c\n\r\t\x0bz'"),
            (b"\\u00g1\\xg", b"u00g1xg"),
            (b"end\\", b"end\\"),
        ],
    );
}

#[test]
fn digests_and_lengths_are_written() {
    let hex = find("hexEncode").unwrap();
    let digest = |name: &str, input: &[u8]| {
        let (mut raw, mut text) = (Vec::new(), Vec::new());
        find(name).unwrap().apply(input, &mut raw);
        hex.apply(&raw, &mut text);
        String::from_utf8(text).unwrap()
    };
    let long = [b'a'; 1000];
    assert_eq!(digest("md5", b""), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(digest("md5", b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(digest("md5", &long), "cabe45dcc9ae5b66ba86600cca6b8ba8");
    assert_eq!(digest("sha1", b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_eq!(digest("sha1", b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(digest("sha1", &long), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
    check("length", &[(b"", b"0"), (b"abc", b"3"), (b"1", b"1")]);
}

#[test]
fn letters_change_case_and_nothing_else_does() {
    check("lowercase", &[(b"SELECT \xc9", b"select \xc9"), (b"abc", b"abc")]);
    check("uppercase", &[(b"select \xe9", b"SELECT \xe9"), (b"ABC", b"ABC")]);
}

#[test]
fn paths_are_normalised() {
    check(
        "normalizePath",
        &[
            (b"", b""),
            (b"/", b"/"),
            (b"/foo/bar", b"/foo/bar"),
            (b"/a/./b//../c", b"/a/c"),
            (b"dir/foo/..", b"dir"),
            (b"/dir/foo/../", b"/dir/"),
            (b"dir/..", b""),
            (b"dir/../", b""),
            (b"dir/../../foo", b"../foo"),
            (b"../../etc/passwd", b"../../etc/passwd"),
            (b"../a/../..", b"../.."),
            (b"/../../etc/passwd", b"/etc/passwd"),
            (b"/./.././../../\0/../etc/./passwd", b"/etc/passwd"),
            (b"/..", b"/"),
            (b"./", b""),
            (b".", b""),
            (b"..", b".."),
            (b"../", b"../"),
            (b"..foo/bar..", b"..foo/bar.."),
            (b"a\\..\\b", b"a\\..\\b"),
        ],
    );
    check(
        "normalizePathWin",
        &[(b"\\a\\.\\b\\\\..\\c", b"/a/c"), (b"a\\..\\..\\b", b"../b"), (b"plain", b"plain")],
    );
    check("normalisePath", &[(b"a//b", b"a/b")]);
    check("normalisePathWin", &[(b"a\\b", b"a/b")]);
}

#[test]
fn nulls_and_white_space_go() {
    check("removeNulls", &[(b"a\0b\0", b"ab"), (b"ab", b"ab")]);
    check("replaceNulls", &[(b"a\0b", b"a b")]);
    check(
        "compressWhitespace",
        &[(b"a \t\n\x0b\x0c\r b  ", b"a b "), (b"a b", b"a b"), (b"\t", b" ")],
    );
    check("removeWhitespace", &[(b" a \t b\n", b"ab"), (b"\xa0", b"\xa0")]);
    check("trim", &[(b" \t a b \n", b"a b"), (b"  ", b"")]);
    check("trimLeft", &[(b" \t a b \n", b"a b \n")]);
    check("trimRight", &[(b" \t a b \n", b" \t a b")]);
}

#[test]
fn parity_is_set_on_seven_bits() {
    check("parityEven7bit", &[(b"a\xe1b", b"\xe1\xe1\xe2")]);
    check("parityOdd7bit", &[(b"a\xe1b\0", b"aab\x80")]);
    check("parityZero7bit", &[(b"\xe1\x80a", b"a\0a")]);
}

#[test]
fn url_escapes_are_decoded_and_broken_ones_stay() {
    check(
        "urlDecode",
        &[
            (b"a+b%20c", b"a b c"),
            (b"%3Cscript%3e", b"<script>"),
            (b"%%3c%3", b"%<%3"),
            (b"%g1%u0041", b"%g1%u0041"),
            (b"%", b"%"),
        ],
    );
    check(
        "urlDecodeUni",
        &[
            (b"%u0041%U0042+", b"AB "),
            (b"%uff1cscript%uFF1e", b"<script>"),
            (b"%uff00%uff5f", b"\x00\x5f"),
            (b"%u00g1%u12", b"%u00g1%u12"),
            (b"%2541", b"%41"),
            (b"%u%41", b"%uA"),
        ],
    );
    check("urlEncode", &[(b"a b/c*\xff", b"a+b%2fc*%ff"), (b"abc", b"abc")]);
}

#[test]
fn utf8_becomes_escapes() {
    check(
        "utf8toUnicode",
        &[
            (b"plain", b"plain"),
            ("é€😀".as_bytes(), b"%u00e9%u20ac%u1f600"),
            (b"\xc0\xaf", b"%u002f"),
            (b"\xe0\x80\xaf", b"%u002f"),
            (b"\xff\x80\xc3", b"\xff\x80\xc3"),
            (b"\xc3(", b"\xc3("),
        ],
    );
}

#[test]
fn names_are_found_in_any_letter_case_and_stand_once() {
    assert_eq!(find("URLDECODEUNI").unwrap().name, "urlDecodeUni");
    assert!(find("none").is_none());
    assert!(find("urlDecodeUn").is_none());
    for row in TABLE {
        assert_eq!(find(row.name).unwrap().name, row.name);
    }
    assert_eq!(TABLE.len(), 37);
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            "%u", "%", "\\u", "\\x", "\\", "&#x", "&#", "&lt", "/*", "*/", "--", "<!--", "-->",
            "../", "./", "//", "0x", "4", "f", ";", " ", "+", "A",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_value_without_trigger_bytes_is_its_own_output(input in fragments()) {
        let mut present = ByteSet::EMPTY;
        input.iter().for_each(|byte| present.insert(*byte));
        let mut out = Vec::new();
        for row in TABLE {
            let changed = row.apply(&input, &mut out);
            if row.trigger.is_some_and(|set| !set.meets(&present)) {
                prop_assert_eq!(changed, Changed::No, "{}", row.name);
            }
            prop_assert!(out.len() <= 3 * input.len() + 48, "{}", row.name);
        }
    }
}

#[test]
fn what_leaves_a_value_gives_it_back() {
    let texts = [
        "a b c", "a  b", "a b ", " a", "a /b", "a (b", "a/b", "A b", "a\tb", "a\x0bb", "", " ",
        "  ",
    ];
    for row in TABLE {
        for text in texts.map(str::as_bytes) {
            let mut out = Vec::new();
            let changed = row.apply(text, &mut out);
            if row.leaves(text, &ByteSet::held_by(text)) {
                assert_eq!(changed, Changed::No, "{} of {}", row.name, text.escape_ascii());
            }
        }
    }
    let cmd_line = find("cmdLine").unwrap();
    assert!(cmd_line.leaves(b"a b c", &ByteSet::held_by(b"a b c")));
}
