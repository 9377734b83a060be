//! String and number literals: quotes of either kind, single or triple, raw with `r`, and CEL's escapes.

use super::lexer::Token;
use super::problem::{Problem, Span};

/// Reads a string literal if one starts here; returns its value and its length in the text.
pub(super) fn string(rest: &str, at: usize) -> Result<Option<(String, usize)>, Problem> {
    let raw = rest.starts_with("r'")
        || rest.starts_with("r\"")
        || rest.starts_with("R'")
        || rest.starts_with("R\"");
    let prefix = usize::from(raw);
    let Some(quoted) = rest.get(prefix..) else { return Ok(None) };
    let Some(quote) =
        ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| quoted.starts_with(quote))
    else {
        return Ok(None);
    };
    let start = prefix + quote.len();
    let body = rest.get(start..).unwrap_or_default();
    let (value, length) = content(body, quote, raw, at + start)?;
    Ok(Some((value, start + length + quote.len())))
}

fn content(body: &str, quote: &str, raw: bool, at: usize) -> Result<(String, usize), Problem> {
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((offset, character)) = characters.next() {
        if body.get(offset..).is_some_and(|rest| rest.starts_with(quote)) {
            return Ok((value, offset));
        }
        if character != '\\' || raw {
            value.push(character);
            continue;
        }
        let after = body.get(offset + 1..).unwrap_or_default();
        let (decoded, used) = escape(after).ok_or_else(|| bad_escape(after, at + offset))?;
        value.push(decoded);
        for _ in 0..used {
            characters.next();
        }
    }
    let span = Span { start: at.saturating_sub(quote.len()), end: at + body.len() };
    Err(Problem::error("syntax", span, "the string is not closed".to_owned()))
}

fn bad_escape(after: &str, at: usize) -> Problem {
    let escaped = after.chars().next().map_or(String::new(), String::from);
    let span = Span { start: at, end: at + 1 + escaped.len() };
    Problem::error("syntax", span, format!("`\\{escaped}` is no escape")).with_help(
        "write a raw string, r'…', where backslashes are meant, as in a regular expression",
    )
}

/// Decodes one escape; returns the character and how many characters after the backslash it took.
fn escape(after: &str) -> Option<(char, usize)> {
    let first = after.chars().next()?;
    let simple = match first {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '\'' | '"' | '`' | '?' => first,
        'x' | 'X' => return code_point(after.get(1..3)?, 16).map(|c| (c, 3)),
        'u' => return code_point(after.get(1..5)?, 16).map(|c| (c, 5)),
        'U' => return code_point(after.get(1..9)?, 16).map(|c| (c, 9)),
        '0'..='3' => return code_point(after.get(0..3)?, 8).map(|c| (c, 3)),
        _ => return None,
    };
    Some((simple, 1))
}

fn code_point(digits: &str, radix: u32) -> Option<char> {
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}

/// Reads a number that starts with a digit.
pub(super) fn number(rest: &str, at: usize) -> Result<(Token, usize), Problem> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let wrong = |length| {
        let text = rest.get(..length).unwrap_or_default();
        Problem::error(
            "syntax",
            Span { start: at, end: at + length },
            format!("`{text}` is no number that fits"),
        )
    };
    if rest.starts_with("0x") || rest.starts_with("0X") {
        let hex = rest.get(2..).unwrap_or_default();
        let length = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        let value = i64::from_str_radix(hex.get(..length).unwrap_or_default(), 16)
            .map_err(|_| wrong(2 + length))?;
        return Ok((Token::Int(value), 2 + length));
    }
    let mut length = digits(rest);
    let fraction = rest.get(length + 1..).map_or(0, digits);
    let mut double = false;
    if rest.get(length..).is_some_and(|after| after.starts_with('.')) && fraction > 0 {
        length += 1 + fraction;
        double = true;
    }
    let after = rest.get(length..).unwrap_or_default();
    if after.starts_with(['e', 'E']) {
        let sign = usize::from(after.get(1..).is_some_and(|text| text.starts_with(['+', '-'])));
        let exponent = after.get(1 + sign..).map_or(0, digits);
        if exponent > 0 {
            length += 1 + sign + exponent;
            double = true;
        }
    }
    let text = rest.get(..length).unwrap_or_default();
    if double {
        return text.parse().map(|value| (Token::Double(value), length)).map_err(|_| wrong(length));
    }
    text.parse().map(|value| (Token::Int(value), length)).map_err(|_| wrong(length))
}
