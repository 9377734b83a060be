//! SQL as no one database reads it: what libinjection's tokenizer finds, its oddities included.
//!
//! Each method reads one kind of token at the current place and moves behind it.

use super::keywords::Keywords;
use super::token::{Kind, TEXT_BYTES_MAX, Token};
use crate::byte_set::ByteSet;

/// What is assumed of what stands before a value, and of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Context {
    /// The quote in which the value is taken to stand.
    pub(super) quote: Option<u8>,
    /// Comments as MySQL has them: `#` starts one, `--` only before white space.
    pub(super) is_mysql: bool,
}

/// Reads a value token by token.
#[derive(Debug)]
pub(super) struct Tokenizer<'v> {
    value: &'v [u8],
    at: usize,
    context: Context,
    /// Tokens read so far.
    pub(super) count: usize,
    /// Whether MySQL reads a comment of this value otherwise.
    pub(super) differs_in_mysql: bool,
}

/// Bytes that end a word.
const ENDS_WORD: ByteSet = ByteSet::of(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
/// Bytes that end a variable's name.
const ENDS_VARIABLE: ByteSet = ByteSet::of(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");

// The C library looks bytes up in strings, whose end is a NUL: where it does, NUL is in the set.
const BINARY_DIGITS: ByteSet = ByteSet::of(b"01\0");
const HEX_DIGITS: ByteSet = ByteSet::of(b"0123456789abcdefABCDEF\0");
const OF_AMOUNT: ByteSet = ByteSet::of(b"0123456789.,\0");
const LETTERS: ByteSet =
    ByteSet::range(b'a', b'z').or(ByteSet::range(b'A', b'Z')).or(ByteSet::of(b"\0"));

impl<'v> Tokenizer<'v> {
    pub(super) const fn new(value: &'v [u8], context: Context) -> Self {
        Self { value, at: 0, context, count: 0, differs_in_mysql: false }
    }

    /// Reads the next token.
    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.read()?;
        self.count += 1;
        Some(token)
    }

    fn read(&mut self) -> Option<Token> {
        if let (0, Some(quote), false) = (self.at, self.context.quote, self.value.is_empty()) {
            let token = self.text(0, quote);
            return Some(token.quoted(0, token.close));
        }
        loop {
            let byte = self.peek(0)?;
            if !matches!(byte, 0..=b' ' | 0x7f | 0xa0) {
                return Some(self.token(byte));
            }
            self.at += 1;
        }
    }

    fn token(&mut self, byte: u8) -> Token {
        match byte {
            b'\'' | b'"' => self.text(1, byte),
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => self.operator(),
            b'%' | b'^' | b'+' | b'~' => self.one(Kind::Operator),
            b'#' => self.hash(),
            b'$' => self.money(),
            b'(' => self.one(Kind::LeftParenthesis),
            b')' => self.one(Kind::RightParenthesis),
            b'{' => self.one(Kind::LeftBrace),
            b'}' => self.one(Kind::RightBrace),
            b',' => self.one(Kind::Comma),
            b';' => self.one(Kind::Semicolon),
            b'-' => self.dash(),
            b'/' => self.slash(),
            b'.' | b'0'..=b'9' => self.number(),
            b'?' | b']' => self.one(Kind::Unknown),
            b'@' => self.variable(),
            b'[' => self.bracketed(),
            b'\\' => self.backslash(),
            b'`' => self.back_quoted(),
            b'b' | b'B' => self.digits_in_quotes(&BINARY_DIGITS),
            b'x' | b'X' => self.digits_in_quotes(&HEX_DIGITS),
            b'e' | b'E' => self.escaped_text(),
            b'n' | b'N' => self.national_text(),
            b'q' | b'Q' => self.delimited_text(0),
            b'u' | b'U' => self.unicode_text(),
            _ => self.word(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.value.get(self.at + ahead).copied()
    }

    fn from(&self, at: usize) -> &'v [u8] {
        self.value.get(at..).unwrap_or_default()
    }

    fn rest(&self) -> &'v [u8] {
        self.from(self.at)
    }

    fn length_while(&self, start: usize, holds: impl Fn(&u8) -> bool) -> usize {
        self.from(start).iter().take_while(|byte| holds(byte)).count()
    }

    fn length_in(&self, start: usize, set: &ByteSet) -> usize {
        self.length_while(start, |byte| set.contains(*byte))
    }

    /// Takes bytes for a token.
    fn take(&mut self, length: usize, kind: Kind) -> Token {
        let text = self.rest();
        let text = text.get(..length).unwrap_or(text);
        self.at += text.len();
        Token::new(kind, text)
    }

    fn one(&mut self, kind: Kind) -> Token {
        self.take(1, kind)
    }

    fn operator(&mut self) -> Token {
        let rest = self.rest();
        if rest.starts_with(b"<=>") {
            return self.take(3, Kind::Operator);
        }
        match rest.get(..2).and_then(|pair| Keywords::get().kind(pair)) {
            Some(kind) => self.take(2, kind),
            None if rest.starts_with(b":") && rest.len() > 1 => self.one(Kind::Colon),
            None => self.one(Kind::Operator),
        }
    }

    fn hash(&mut self) -> Token {
        self.differs_in_mysql = true;
        if self.context.is_mysql { self.line_comment() } else { self.one(Kind::Operator) }
    }

    fn dash(&mut self) -> Token {
        if self.peek(1) != Some(b'-') {
            return self.one(Kind::Operator);
        }
        let is_comment_everywhere = self.peek(2).is_none_or(is_white);
        self.differs_in_mysql |= !is_comment_everywhere;
        if is_comment_everywhere || !self.context.is_mysql {
            self.line_comment()
        } else {
            self.one(Kind::Operator)
        }
    }

    fn line_comment(&mut self) -> Token {
        let end = memchr::memchr(b'\n', self.rest());
        let token = self.take(end.unwrap_or(usize::MAX), Kind::Comment);
        self.at += usize::from(end.is_some());
        token
    }

    fn slash(&mut self) -> Token {
        if self.peek(1) != Some(b'*') {
            return self.one(Kind::Operator);
        }
        let body = self.from(self.at + 2);
        let end = memchr::memmem::find(body, b"*/");
        // libinjection looks one byte too far for a comment within the comment.
        let inner = end.and_then(|end| body.get(..=end)).unwrap_or_default();
        let is_nested = memchr::memmem::find(inner, b"/*").is_some();
        let is_executable = body.starts_with(b"!");
        let kind = if is_nested || is_executable { Kind::Evil } else { Kind::Comment };
        self.take(end.map_or(usize::MAX, |end| end + 4), kind)
    }

    /// MySQL's `\N` is NULL.
    fn backslash(&mut self) -> Token {
        if self.peek(1) == Some(b'N') {
            self.take(2, Kind::Number)
        } else {
            self.one(Kind::Backslash)
        }
    }

    /// A string whose content starts some bytes ahead. A backslash or a second quote keeps a quote from ending it.
    fn text(&mut self, ahead: usize, quote: u8) -> Token {
        let content = self.from(self.at + ahead);
        let mut from = 0;
        let end = loop {
            let Some(found) = content.get(from..).and_then(|rest| memchr::memchr(quote, rest))
            else {
                break None;
            };
            let at = from + found;
            let before = content.get(..at).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 1 {
                from = at + 1;
            } else if content.get(at + 1) == Some(&quote) {
                from = at + 2;
            } else {
                break Some(at);
            }
        };
        let text = content.get(..end.unwrap_or(content.len())).unwrap_or_default();
        self.at += ahead + text.len() + usize::from(end.is_some());
        Token::new(Kind::Text, text).quoted(quote, if end.is_some() { quote } else { 0 })
    }

    /// `e'…'`
    fn escaped_text(&mut self) -> Token {
        if self.peek(1) == Some(b'\'') && self.peek(2).is_some() {
            self.text(2, b'\'')
        } else {
            self.word()
        }
    }

    /// `n'…'`, and `nq'(…)'`.
    fn national_text(&mut self) -> Token {
        if self.peek(1) == Some(b'\'') && self.peek(2).is_some() {
            self.text(2, b'\'')
        } else {
            self.delimited_text(1)
        }
    }

    /// `u&'…'`
    fn unicode_text(&mut self) -> Token {
        if !(self.peek(1) == Some(b'&') && self.peek(2) == Some(b'\'')) {
            return self.word();
        }
        let token = self.text(3, b'\'');
        token.quoted(b'u', if token.close == 0 { 0 } else { b'u' })
    }

    /// Oracle's `q'(…)'`, behind so many bytes of a prefix.
    fn delimited_text(&mut self, prefix: usize) -> Token {
        let opens =
            matches!(self.peek(prefix), Some(b'q' | b'Q')) && self.peek(prefix + 1) == Some(b'\'');
        let Some(delimiter @ 33..=127) = self.peek(prefix + 2).filter(|_| opens) else {
            return self.word();
        };
        let closing = match delimiter {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        self.text_up_to(prefix + 3, &[closing, b'\''], b'q')
    }

    /// A string up to a mark of some bytes, or to the end of the value.
    fn text_up_to(&mut self, ahead: usize, mark: &[u8], quote: u8) -> Token {
        let content = self.from(self.at + ahead);
        match memchr::memmem::find(content, mark) {
            Some(end) => self.text_of(ahead, end, mark.len()).quoted(quote, quote),
            None => self.text_of(ahead, content.len(), 0).quoted(quote, 0),
        }
    }

    fn text_of(&mut self, ahead: usize, length: usize, behind: usize) -> Token {
        let text = self.from(self.at + ahead).get(..length).unwrap_or_default();
        self.at = (self.at + ahead + length + behind).min(self.value.len());
        Token::new(Kind::Text, text)
    }

    /// `b'01'` and `x'0f'` are numbers.
    fn digits_in_quotes(&mut self, digits: &ByteSet) -> Token {
        if self.peek(1) != Some(b'\'') {
            return self.word();
        }
        let digits = self.length_in(self.at + 2, digits);
        if self.peek(2 + digits) == Some(b'\'') {
            self.take(digits + 3, Kind::Number)
        } else {
            self.word()
        }
    }

    /// `[column name]`
    fn bracketed(&mut self) -> Token {
        let end = memchr::memchr(b']', self.rest());
        self.take(end.map_or(usize::MAX, |end| end + 1), Kind::Bareword)
    }

    fn back_quoted(&mut self) -> Token {
        let token = self.text(1, b'`');
        let is_function = Keywords::get().kind(token.text()) == Some(Kind::Function);
        token.of_kind(if is_function { Kind::Function } else { Kind::Bareword })
    }

    fn variable(&mut self) -> Token {
        self.at += if self.peek(1) == Some(b'@') { 2 } else { 1 };
        let token = match self.peek(0) {
            Some(b'`') => self.back_quoted(),
            Some(quote @ (b'\'' | b'"')) => self.text(1, quote),
            _ => {
                let length = self.length_while(self.at, |byte| !ENDS_VARIABLE.contains(*byte));
                self.take(length, Kind::Variable)
            }
        };
        token.of_kind(Kind::Variable)
    }

    /// An amount (`$1,000.00`), or PostgreSQL's `$$…$$` and `$tag$…$tag$`.
    fn money(&mut self) -> Token {
        if self.peek(1).is_none() {
            return self.one(Kind::Bareword);
        }
        let amount = self.length_in(self.at + 1, &OF_AMOUNT);
        match amount {
            0 => self.dollar_text(),
            1 if self.peek(1) == Some(b'.') => self.word(),
            _ => self.take(amount + 1, Kind::Number),
        }
    }

    fn dollar_text(&mut self) -> Token {
        if self.peek(1) == Some(b'$') {
            return self.text_up_to(2, b"$$", b'$');
        }
        let tag = self.length_in(self.at + 1, &LETTERS);
        if tag == 0 || self.peek(tag + 1) != Some(b'$') {
            return self.one(Kind::Bareword);
        }
        let mark = self.rest().get(..tag + 2).unwrap_or_default();
        self.text_up_to(mark.len(), mark, b'$')
    }

    fn number(&mut self) -> Token {
        if let (Some(b'0'), Some(base @ (b'x' | b'X' | b'b' | b'B'))) = (self.peek(0), self.peek(1))
        {
            return self.number_of_base(base);
        }
        let mut end = self.length_while(self.at, u8::is_ascii_digit);
        if self.peek(end) == Some(b'.') {
            end += 1 + self.length_while(self.at + end + 1, u8::is_ascii_digit);
            if end == 1 {
                return self.one(Kind::Dot);
            }
        }
        let (end, is_whole) = self.exponent(end);
        let end = self.float_suffix(end);
        self.take(end, if is_whole { Kind::Number } else { Kind::Bareword })
    }

    fn number_of_base(&mut self, base: u8) -> Token {
        let digits = if matches!(base, b'x' | b'X') { &HEX_DIGITS } else { &BINARY_DIGITS };
        let digits = self.length_in(self.at + 2, digits);
        self.take(digits + 2, if digits == 0 { Kind::Bareword } else { Kind::Number })
    }

    /// Steps over an exponent; one without digits is none.
    fn exponent(&self, end: usize) -> (usize, bool) {
        if !matches!(self.peek(end), Some(b'e' | b'E')) {
            return (end, true);
        }
        let start = end + 1 + usize::from(matches!(self.peek(end + 1), Some(b'+' | b'-')));
        let digits = self.length_while(self.at + start, u8::is_ascii_digit);
        (start + digits, digits > 0)
    }

    /// Oracle's suffix of a number: `1f`, also before UNION.
    fn float_suffix(&self, end: usize) -> usize {
        let is_suffix = matches!(self.peek(end), Some(b'd' | b'D' | b'f' | b'F'))
            && self
                .peek(end + 1)
                .is_none_or(|byte| is_white(byte) || matches!(byte, b';' | b'u' | b'U'));
        end + usize::from(is_suffix)
    }

    /// A word. What stands before a dot or a back quote in it is cut off where it is a keyword.
    fn word(&mut self) -> Token {
        let length = self.length_while(self.at, |byte| !ENDS_WORD.contains(*byte));
        let word = self.rest().get(..length).unwrap_or_default();
        let start = word.get(..TEXT_BYTES_MAX).unwrap_or(word);
        let marks = memchr::memchr2_iter(b'.', b'`', start);
        let keyword = marks.filter_map(|mark| {
            let kind = Keywords::get().kind(start.get(..mark)?)?;
            (kind != Kind::Bareword).then_some((mark, kind))
        });
        if let Some((mark, kind)) = { keyword }.next() {
            return self.take(mark, kind);
        }
        self.take(length, Keywords::get().kind(word).unwrap_or(Kind::Bareword))
    }
}

/// White space as the C library's `strchr` finds it, NUL and the hard space of Latin-1 included.
const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0 | 0)
}
