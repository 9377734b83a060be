//! Which of the listed fingerprints ordinary text has as well.

use super::token::{Kind, Token};

/// Says whether what was found is rather text than SQL. `read` is the number of tokens before folding.
pub(super) fn is_benign(value: &[u8], tokens: &[Token], read: usize) -> bool {
    let ends_in_comment =
        tokens.len() > 1 && tokens.last().is_some_and(|token| token.kind == Kind::Comment);
    // What holds this word is not logged by Microsoft's server.
    if ends_in_comment && holds_sp_password(value) {
        return false;
    }
    match tokens {
        [first, second] => are_two_benign(value, first, second, read),
        [first, second, third] => are_three_benign(first, second, third, read),
        _ => false,
    }
}

fn holds_sp_password(value: &[u8]) -> bool {
    let word = b"sp_password";
    value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

fn are_two_benign(value: &[u8], first: &Token, second: &Token, read: usize) -> bool {
    if second.kind == Kind::Union {
        return read == 2;
    }
    let mark = second.first();
    match (first.kind, second.kind) {
        _ if mark == b'#' => true,
        (Kind::Bareword, Kind::Comment) if mark != b'/' => true,
        (Kind::Number, Kind::Comment) => {
            !(mark == b'/' || read > 2 || ends_plainly(value, first.text().len()))
        }
        // Many put two dashes in plain text: only where nothing follows are they an attack's.
        _ => second.text().len() > 2 && mark == b'-',
    }
}

/// Says whether a number stops at white space or a comment, as it does not in an identifier that starts with digits.
/// libinjection looks behind as many bytes of the value as the number has, wherever the number stands; beyond ASCII
/// its bytes are negative.
fn ends_plainly(value: &[u8], length: usize) -> bool {
    let behind = value.get(length..).unwrap_or_default();
    match behind {
        [] => true, // the string's end, which is NUL
        [0..=b' ' | 0x80.., ..] => true,
        _ => behind.starts_with(b"/*") || behind.starts_with(b"--"),
    }
}

fn are_three_benign(first: &Token, second: &Token, third: &Token, read: usize) -> bool {
    match (first.kind, second.kind, third.kind) {
        // Concatenation in the middle of a string: foo' + 'bar
        (Kind::Text, Kind::Operator | Kind::Logic, Kind::Text) => {
            !(first.open == 0 && third.close == 0 && first.close == third.open)
        }
        (Kind::Text, Kind::Logic, Kind::Bareword)
        | (Kind::Bareword, Kind::Logic, Kind::Number)
        | (Kind::Number, Kind::Logic, Kind::Number | Kind::Variable | Kind::Text) => read == 3,
        (_, Kind::Keyword, _) => {
            // INTO OUTFILE, INTO DUMPFILE
            let text = second.text();
            text.len() < 5 || !text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"INTO"))
        }
        _ => false,
    }
}
