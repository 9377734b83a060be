//! `@verifyCC`: matches a card number that its regular expression finds and whose Luhn checksum is right.

use super::Regex;
use std::ops::Range;

/// Returns the span of the first number that passes.
pub(super) fn find(regex: &Regex, value: &[u8]) -> Option<Range<usize>> {
    regex.spans(value).find(|span| value.get(span.clone()).is_some_and(passes_luhn))
}

/// Says whether the digits of `text` pass the Luhn test; other bytes are skipped, no digit at all fails.
fn passes_luhn(text: &[u8]) -> bool {
    let digits = text.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
    let mut sum = 0_u64;
    let mut count = 0_usize;
    for (index, digit) in digits.enumerate() {
        let doubled = digit * if index % 2 == 1 { 2 } else { 1 };
        sum += u64::from(if doubled > 9 { doubled - 9 } else { doubled });
        count += 1;
    }
    count > 0 && sum.is_multiple_of(10)
}
