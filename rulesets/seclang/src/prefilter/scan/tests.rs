//! The scan against a search for each literal by itself.

use super::*;
use proptest::prelude::*;

fn plainly(literals: &[Vec<u8>], text: &[u8]) -> Vec<usize> {
    let folded = text.to_ascii_lowercase();
    let stands = |literal: &Vec<u8>| memchr::memmem::find(&folded, literal).is_some();
    (0..literals.len()).filter(|at| stands(&literals[*at])).collect()
}

fn of(literals: &[Vec<u8>]) -> Option<Scan> {
    Scan::new(literals.iter().map(Vec::as_slice).enumerate())
}

fn scanned(literals: &[Vec<u8>], text: &[u8]) -> Vec<usize> {
    let scan = of(literals).expect("literals of two to eight bytes");
    let mut found = Vec::new();
    scan.run(text, |literal| found.push(usize::from(literal)));
    found.sort_unstable();
    found.dedup();
    found
}

fn check(literals: &[&[u8]], text: &[u8]) {
    let literals: Vec<Vec<u8>> = literals.iter().map(|literal| literal.to_vec()).collect();
    assert_eq!(scanned(&literals, text), plainly(&literals, text), "{}", text.escape_ascii());
}

#[test]
fn literals_are_found_at_both_ends_in_any_letter_case() {
    let literals: &[&[u8]] = &[b"ab", b"abc", b"cd", b"script", b"=\"", b"\xe9t\xe9", b"\0\0"];
    for text in [
        b"".as_slice(),
        b"a",
        b"ab",
        b"aB",
        b"xab",
        b"abx",
        b"ABC",
        b"xxABC",
        b"cd",
        b"bcd",
        b"SCRIPT",
        b"<script",
        b"a=\"",
        b"\xe9t\xe9",
        b"\0\0\0",
        b"\0",
        b"scrip",
    ] {
        check(literals, text);
    }
}

#[test]
fn a_literal_has_two_to_eight_bytes() {
    assert!(of(&[b"a".to_vec()]).is_none());
    assert!(of(&[b"ab".to_vec()]).is_some());
    assert!(of(&[b"12345678".to_vec()]).is_some());
    assert!(of(&[b"123456789".to_vec()]).is_none());
}

#[test]
fn more_bytes_than_classes_are_told_apart() {
    let literals: Vec<Vec<u8>> = (0..=255_u8)
        .map(|byte| vec![byte.to_ascii_lowercase(), byte.wrapping_add(1).to_ascii_lowercase()])
        .collect();
    for byte in 0..=255_u8 {
        let text = [byte, byte.wrapping_add(1)];
        assert_eq!(scanned(&literals, &text), plainly(&literals, &text), "{byte}");
    }
}

proptest! {
    #[test]
    fn the_scan_finds_what_a_search_for_each_finds(
        literals in prop::collection::vec("[a-d=<]{2,8}", 1..40),
        text in prop::collection::vec(prop::sample::select(b"abcdABCD=<x".to_vec()), 0..60),
    ) {
        let literals: Vec<Vec<u8>> = literals.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(scanned(&literals, &text), plainly(&literals, &text));
    }
}
