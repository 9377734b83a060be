//! Text to tokens. String literals are decoded here, so that the parser never sees an escape.

use super::literal;
use super::problem::{Problem, Span};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Str(String),
    Int(i64),
    Double(f64),
    Punct(Punct),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Punct {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
    Colon,
    Dot,
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Question,
}

const PUNCTUATION: &[(&str, Punct)] = &[
    ("&&", Punct::And),
    ("||", Punct::Or),
    ("==", Punct::Equal),
    ("!=", Punct::NotEqual),
    ("<=", Punct::LessEqual),
    (">=", Punct::GreaterEqual),
    ("(", Punct::Open),
    (")", Punct::Close),
    ("[", Punct::OpenBracket),
    ("]", Punct::CloseBracket),
    ("{", Punct::OpenBrace),
    ("}", Punct::CloseBrace),
    (",", Punct::Comma),
    (":", Punct::Colon),
    (".", Punct::Dot),
    ("!", Punct::Not),
    ("<", Punct::Less),
    (">", Punct::Greater),
    ("+", Punct::Plus),
    ("-", Punct::Minus),
    ("*", Punct::Star),
    ("/", Punct::Slash),
    ("%", Punct::Percent),
    ("?", Punct::Question),
];

impl Punct {
    pub(super) fn as_str(self) -> &'static str {
        PUNCTUATION.iter().find(|(_, punct)| *punct == self).map_or("?", |(text, _)| text)
    }
}

/// Splits the text into tokens with their spans; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (token, length) = one(rest, at)?;
        tokens.push((token, Span { start: at, end: at + length }));
        at += length;
    }
    tokens.push((Token::End, Span { start: text.len(), end: text.len() }));
    Ok(tokens)
}

fn one(rest: &str, at: usize) -> Result<(Token, usize), Problem> {
    if let Some((value, length)) = literal::string(rest, at)? {
        return Ok((Token::Str(value), length));
    }
    let first = rest.bytes().next().unwrap_or_default();
    if first.is_ascii_digit() {
        return literal::number(rest, at);
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let length =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        return Ok((Token::Ident(rest.get(..length).unwrap_or_default().to_owned()), length));
    }
    if let Some((text, punct)) = PUNCTUATION.iter().find(|(text, _)| rest.starts_with(text)) {
        return Ok((Token::Punct(*punct), text.len()));
    }
    Err(stray(rest, at))
}

fn stray(rest: &str, at: usize) -> Problem {
    let found = rest.chars().next().unwrap_or_default();
    let span = Span { start: at, end: at + found.len_utf8() };
    let problem = Problem::error("syntax", span, format!("`{found}` has no meaning here"));
    match found {
        '=' => problem.with_help("equality is written `==`"),
        '&' => problem.with_help("write `&&`"),
        '|' => problem.with_help("write `||`"),
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => {
            problem.with_help("use plain quotes: ' or \"")
        }
        _ => problem,
    }
}
