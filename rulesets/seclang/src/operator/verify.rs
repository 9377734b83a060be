//! `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`: match a number that their regular expression finds and that
//! one could have been given: its check digits are right, or its parts are such as are assigned.
//!
//! Source: ModSecurity v3 reference and its answers. Bytes that are no digits are skipped.

use super::Regex;
use std::ops::Range;

/// What a number is checked as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    /// A card number: Luhn's check digit.
    Card,
    /// Brazil's Cadastro de Pessoas Físicas: eleven digits, the last two check digits.
    Cpf,
    /// A social security number of the United States: area, group and serial.
    Ssn,
    /// Austria's Sozialversicherungsnummer: ten digits, the fourth a check digit.
    Svnr,
}

impl Scheme {
    /// The scheme of an operator's name in lower case.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "verifycc" => Some(Self::Card),
            "verifycpf" => Some(Self::Cpf),
            "verifyssn" => Some(Self::Ssn),
            "verifysvnr" => Some(Self::Svnr),
            _ => None, // another operator
        }
    }

    fn passes(self, text: &[u8]) -> bool {
        let digits = text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
        match self {
            Self::Card => passes_luhn(digits.rev()),
            Self::Cpf => first(digits).is_some_and(|digits| is_cpf(&digits)),
            Self::Ssn => only(digits).is_some_and(|digits| is_ssn(&digits)),
            Self::Svnr => first(digits).is_some_and(|digits| is_svnr(&digits)),
        }
    }
}

/// Returns the span of the first number that passes.
pub(super) fn find(regex: &Regex, scheme: Scheme, value: &[u8]) -> Option<Range<usize>> {
    regex.spans(value).find(|span| value.get(span.clone()).is_some_and(|text| scheme.passes(text)))
}

/// The first `N` digits, when there are as many.
fn first<const N: usize>(digits: impl Iterator<Item = u8>) -> Option<[u8; N]> {
    digits.take(N).collect::<Vec<u8>>().try_into().ok()
}

/// The digits, when there are `N`.
fn only<const N: usize>(digits: impl Iterator<Item = u8>) -> Option<[u8; N]> {
    digits.take(N + 1).collect::<Vec<u8>>().try_into().ok()
}

/// The digits from the last to the first; no digit at all fails.
fn passes_luhn(digits: impl Iterator<Item = u8>) -> bool {
    let mut sum = 0_u64;
    let mut count = 0_usize;
    for (index, digit) in digits.enumerate() {
        let doubled = digit * if index % 2 == 1 { 2 } else { 1 };
        sum += u64::from(if doubled > 9 { doubled - 9 } else { doubled });
        count += 1;
    }
    count > 0 && sum.is_multiple_of(10)
}

/// Whether each digit is the one before it plus `step`, after nine a zero.
fn runs_by(digits: &[u8], step: u8) -> bool {
    digits.windows(2).all(|pair| matches!(pair, [a, b] if (a + step) % 10 == *b))
}

/// The sum of the digits, each times its weight.
fn weighted(digits: &[u8], weights: impl Iterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

fn is_cpf(digits: &[u8; 11]) -> bool {
    let check = |sum: u32| match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    let [head @ .., ninth, tenth] = digits;
    let counterfeit = runs_by(digits, 0) || (digits.starts_with(&[0]) && runs_by(digits, 1));
    let first = weighted(head, (2..=10).rev());
    let second = weighted(digits, (2..=11).rev());
    !counterfeit && check(first) == u32::from(*ninth) && check(second) == u32::from(*tenth)
}

fn is_ssn(digits: &[u8; 9]) -> bool {
    let [a, b, c, d, e, serial @ ..] = digits;
    let area = u32::from(*a) * 100 + u32::from(*b) * 10 + u32::from(*c);
    let rises = digits.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
    let given = area != 0 && (*d, *e) != (0, 0) && serial.iter().any(|digit| *digit != 0);
    given && area < 740 && area != 666 && !rises && !runs_by(digits, 0)
}

fn is_svnr(digits: &[u8; 10]) -> bool {
    let [_, _, _, check, ..] = digits;
    let rises = matches!(digits, [0 | 1, ..]) && runs_by(digits, 1);
    // Where the rest is ten, no number is given; ModSecurity takes a zero.
    let rest = weighted(digits, [3, 7, 9, 0, 5, 8, 4, 2, 1, 6].into_iter()) % 11 % 10;
    !rises && !runs_by(digits, 0) && rest == u32::from(*check)
}
