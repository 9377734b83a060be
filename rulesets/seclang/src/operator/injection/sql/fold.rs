//! Reduces a value to at most five tokens: what does not change what a statement does is folded away.
//!
//! A window of eight tokens slides over the value. At its left edge first two tokens are looked at, then three; a
//! rule that folds starts again, mostly from the left. The order of the rules is libinjection's, and matters.

use super::keywords::{FUNCTIONS, Keywords};
use super::token::{Kind, TEXT_BYTES_MAX, Token};
use super::tokenizer::{Context, Tokenizer};

/// Tokens that are kept.
const TOKENS_MAX: usize = 5;

/// What a value was reduced to.
#[derive(Debug)]
pub(super) struct Folded {
    tokens: [Token; TOKENS_MAX + 3],
    length: usize,
    /// Tokens that were read for it.
    pub(super) read: usize,
    /// Whether MySQL reads a comment otherwise, so that it has to be asked too.
    pub(super) differs_in_mysql: bool,
}

impl Folded {
    pub(super) fn tokens(&self) -> &[Token] {
        self.tokens.get(..self.length).unwrap_or_default()
    }
}

/// Reads and folds a value.
pub(super) fn fold(value: &[u8], context: Context) -> Folded {
    let mut window = Window::new(Tokenizer::new(value, context));
    let length = if window.skip_start() { window.fold() } else { 0 };
    Folded {
        tokens: window.tokens,
        length,
        read: window.tokenizer.count,
        differs_in_mysql: window.tokenizer.differs_in_mysql,
    }
}

#[derive(Debug)]
struct Window<'v> {
    tokenizer: Tokenizer<'v>,
    tokens: [Token; TOKENS_MAX + 3],
    /// Where the next token goes.
    end: usize,
    /// How many tokens are done with.
    left: usize,
    has_more: bool,
    /// The comment that was read last, if no token came behind it.
    comment: Option<Token>,
}

/// What a rule came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// It folded: look again.
    Again,
    /// None did, or one that lets the next be asked.
    Passed,
    /// The value is an attack whatever follows.
    Evil,
}

impl<'v> Window<'v> {
    const fn new(tokenizer: Tokenizer<'v>) -> Self {
        let tokens = [Token::EMPTY; TOKENS_MAX + 3];
        Self { tokenizer, tokens, end: 0, left: 0, has_more: true, comment: None }
    }

    /// Reads up to the first token that is no comment, left parenthesis, type or sign.
    fn skip_start(&mut self) -> bool {
        while let Some(token) = self.tokenizer.next() {
            let is_skipped =
                matches!(token.kind, Kind::Comment | Kind::LeftParenthesis | Kind::SqlType)
                    || token.is_unary();
            if !is_skipped {
                self.put(0, token);
                self.end = 1;
                return true;
            }
        }
        false
    }

    /// Returns how many tokens are left.
    fn fold(&mut self) -> usize {
        loop {
            self.fold_five();
            if !self.has_more || self.left >= TOKENS_MAX {
                self.left = self.end;
                break;
            }
            if !self.read_up_to(2) {
                continue;
            }
            match self.fold_two() {
                Rule::Again => continue,
                Rule::Evil => return self.left + 2,
                Rule::Passed => {}
            }
            if self.read_up_to(3) && self.fold_three() == Rule::Passed {
                self.left += 1; // the left-most token stays as it is
            }
        }
        if let Some(comment) = self.comment.filter(|_| self.left < TOKENS_MAX) {
            self.put(self.left, comment);
            self.left += 1;
        }
        let length = self.left.min(TOKENS_MAX);
        self.end_in_comment(length);
        length
    }

    /// An empty back-quoted name that is not closed, behind two tokens, ends a statement as a comment does.
    fn end_in_comment(&mut self, length: usize) {
        let Some(last) = length.checked_sub(1).filter(|last| *last >= 2) else { return };
        let token = self.token(last);
        let is_open = token.kind == Kind::Bareword && token.open == b'`' && token.close == 0;
        if is_open && token.text().is_empty() {
            self.set_kind(last, Kind::Comment);
        }
    }

    fn token(&self, at: usize) -> &Token {
        self.tokens.get(at).unwrap_or(const { &Token::EMPTY })
    }

    fn kind(&self, at: usize) -> Kind {
        self.token(at).kind
    }

    fn put(&mut self, at: usize, token: Token) {
        if let Some(slot) = self.tokens.get_mut(at) {
            *slot = token;
        }
    }

    fn set_kind(&mut self, at: usize, kind: Kind) {
        if let Some(slot) = self.tokens.get_mut(at) {
            slot.kind = kind;
        }
    }

    /// Reads until so many tokens stand at the left edge. Without them the edge moves to the end.
    fn read_up_to(&mut self, wanted: usize) -> bool {
        while self.has_more && self.end <= TOKENS_MAX && self.end - self.left < wanted {
            match self.tokenizer.next() {
                Some(token) if token.kind == Kind::Comment => self.comment = Some(token),
                Some(token) => {
                    self.comment = None;
                    self.put(self.end, token);
                    self.end += 1;
                }
                None => self.has_more = false,
            }
        }
        let has_all = self.end - self.left >= wanted;
        if !has_all {
            self.left = self.end;
        }
        has_all
    }

    /// Drops so many tokens from the end and starts again from the left.
    const fn drop_last(&mut self, count: usize) -> Rule {
        self.end -= count;
        self.left = 0;
        Rule::Again
    }

    /// Drops the last token and looks again one further to the left.
    const fn step_back(&mut self) -> Rule {
        self.end -= 1;
        self.left = self.left.saturating_sub(1);
        Rule::Again
    }

    /// Puts the token at `from` one to its left and drops the last.
    fn overwrite(&mut self, from: usize) -> Rule {
        let token = *self.token(from);
        self.put(from - 1, token);
        self.drop_last(1)
    }

    /// Five tokens that say nothing yet make room for what follows.
    fn fold_five(&mut self) {
        use Kind::{Bareword, Comma, LeftParenthesis, Number, Operator, RightParenthesis};
        if self.end < TOKENS_MAX {
            return;
        }
        let kinds = [0, 1, 2, 3, 4].map(|at| self.kind(at));
        let is_plain = matches!(
            kinds,
            [Number, Operator | Comma, LeftParenthesis, Number, RightParenthesis]
                | [Bareword, Operator, LeftParenthesis, Bareword | Number, RightParenthesis]
                | [Number, RightParenthesis, Comma, LeftParenthesis, Number]
                | [Bareword, RightParenthesis, Operator, LeftParenthesis, Bareword]
        );
        if !is_plain {
            return;
        }
        if self.end > TOKENS_MAX {
            let sixth = *self.token(TOKENS_MAX);
            self.put(1, sixth);
            self.end = 2;
        } else {
            self.end = 1;
        }
        self.left = 0;
    }

    fn fold_two(&mut self) -> Rule {
        let (first, second) = (self.left, self.left + 1);
        let (a, b) = (self.kind(first), self.kind(second));
        match (a, b) {
            (Kind::Text, Kind::Text) | (Kind::Semicolon, Kind::Semicolon) => {
                self.end -= 1;
                Rule::Again
            }
            (Kind::Operator | Kind::Logic, _)
                if self.token(second).is_unary() || b == Kind::SqlType =>
            {
                self.drop_last(1)
            }
            (Kind::LeftParenthesis, _) if self.token(second).is_unary() => self.step_back(),
            _ if self.merge_words() => self.step_back(),
            _ => self.rewrite_two(a, b),
        }
    }

    /// Makes one token of two words that are a phrase.
    fn merge_words(&mut self) -> bool {
        let (first, second) = (self.token(self.left), self.token(self.left + 1));
        let is_word = |kind| {
            matches!(
                kind,
                Kind::Keyword
                    | Kind::Bareword
                    | Kind::Operator
                    | Kind::Union
                    | Kind::Function
                    | Kind::Expression
                    | Kind::Tsql
                    | Kind::SqlType
            )
        };
        if !is_word(first.kind) || !(is_word(second.kind) || second.kind == Kind::Logic) {
            return false;
        }
        // Phrases are made of letters: marks, which may come by thousands, are none.
        if !(first.first().is_ascii_alphabetic() && second.first().is_ascii_alphabetic()) {
            return false;
        }
        let length = first.text().len() + 1 + second.text().len();
        if length > TEXT_BYTES_MAX {
            return false;
        }
        let mut phrase = [0; TEXT_BYTES_MAX];
        let bytes = first.text().iter().chain(b" ").chain(second.text());
        for (to, from) in phrase.iter_mut().zip(bytes) {
            *to = *from;
        }
        let phrase = phrase.get(..length).unwrap_or_default();
        let Some(kind) = Keywords::get().kind(phrase) else { return false };
        let merged = Token::new(kind, phrase).quoted(first.open, first.close);
        self.put(self.left, merged);
        true
    }

    fn rewrite_two(&mut self, a: Kind, b: Kind) -> Rule {
        let (first, second) = (self.left, self.left + 1);
        match (a, b) {
            // In Transact-SQL, IF is a statement.
            (Kind::Semicolon, Kind::Function) if starts_with_if(self.token(second).text()) => {
                self.set_kind(second, Kind::Tsql);
                Rule::Again
            }
            (Kind::Bareword | Kind::Variable, Kind::LeftParenthesis)
                if is_function(self.token(first)) =>
            {
                self.set_kind(first, Kind::Function);
                Rule::Again
            }
            (Kind::Keyword, _) if is_any(self.token(first), &[b"IN", b"NOT IN"]) => {
                let is_operator = b == Kind::LeftParenthesis;
                self.set_kind(first, if is_operator { Kind::Operator } else { Kind::Bareword });
                Rule::Again
            }
            (Kind::Operator, _) if is_any(self.token(first), &[b"LIKE", b"NOT LIKE"]) => {
                if b == Kind::LeftParenthesis {
                    self.set_kind(first, Kind::Function);
                }
                Rule::Passed
            }
            (Kind::SqlType, _) if may_be_typed(b) => self.overwrite(second),
            (Kind::Collate, Kind::Bareword) => {
                if self.token(second).text().contains(&b'_') {
                    self.set_kind(second, Kind::SqlType);
                    self.left = 0;
                }
                Rule::Passed
            }
            (Kind::Backslash, _) if self.token(second).is_arithmetic() => {
                self.set_kind(first, Kind::Number);
                self.left = 0;
                Rule::Again
            }
            (Kind::Backslash, _) => self.overwrite(second),
            (Kind::LeftParenthesis, Kind::LeftParenthesis)
            | (Kind::RightParenthesis, Kind::RightParenthesis) => self.drop_last(1),
            (Kind::LeftBrace, Kind::Bareword) => self.open_brace(second),
            (_, Kind::RightBrace) => self.drop_last(1),
            _ => Rule::Passed,
        }
    }

    /// ODBC's `{name expression}` is its expression; MySQL's brace before an empty name has no honest use.
    fn open_brace(&mut self, name: usize) -> Rule {
        if self.token(name).text().is_empty() {
            self.set_kind(name, Kind::Evil);
            return Rule::Evil;
        }
        self.drop_last(2)
    }

    fn fold_three(&mut self) -> Rule {
        let (first, second, third) = (self.left, self.left + 1, self.left + 2);
        let (a, b, c) = (self.kind(first), self.kind(second), self.kind(third));
        let is_signed = self.token(second).is_unary();
        match (a, b, c) {
            (Kind::Number, Kind::Operator, Kind::Number) => self.drop_last(2),
            (Kind::Operator, _, Kind::Operator) if b != Kind::LeftParenthesis => self.drop_last(2),
            (Kind::Logic, _, Kind::Logic) => self.drop_last(2),
            (Kind::Variable, Kind::Operator, Kind::Variable | Kind::Number | Kind::Bareword)
            | (Kind::Bareword | Kind::Number, Kind::Operator, Kind::Number | Kind::Bareword) => {
                self.drop_last(2)
            }
            // PostgreSQL's cast
            (_, Kind::Operator, Kind::SqlType)
                if is_operand(a) && self.token(second).text() == b"::" =>
            {
                self.drop_last(2)
            }
            (_, Kind::Comma, _) if is_operand(a) && is_operand(c) => self.drop_last(2),
            (Kind::Expression | Kind::Group | Kind::Comma, _, Kind::LeftParenthesis)
                if is_signed =>
            {
                self.overwrite(third)
            }
            (Kind::Keyword | Kind::Expression | Kind::Group, _, _)
                if is_signed && (is_operand(c) || c == Kind::Function) =>
            {
                self.overwrite(third)
            }
            // `1,-1` folds on to `1`.
            (Kind::Comma, _, _) if is_signed && is_operand(c) => {
                let operand = *self.token(third);
                self.put(second, operand);
                self.drop_last(3)
            }
            (Kind::Comma, _, Kind::Function) if is_signed => self.overwrite(third),
            (Kind::Bareword, Kind::Dot, Kind::Bareword) => self.drop_last(2),
            (Kind::Expression, Kind::Dot, Kind::Bareword) => self.overwrite(third),
            // USER() has no arguments: with one it is no function.
            (Kind::Function, Kind::LeftParenthesis, _)
                if c != Kind::RightParenthesis && self.token(first).is(b"USER") =>
            {
                self.set_kind(first, Kind::Bareword);
                Rule::Passed
            }
            _ => Rule::Passed,
        }
    }
}

const fn is_operand(kind: Kind) -> bool {
    matches!(kind, Kind::Bareword | Kind::Number | Kind::Text | Kind::Variable)
}

const fn may_be_typed(kind: Kind) -> bool {
    matches!(kind, Kind::SqlType | Kind::LeftParenthesis | Kind::Function) || is_operand(kind)
}

fn starts_with_if(text: &[u8]) -> bool {
    matches!(text, [b'i' | b'I', b'f' | b'F', ..])
}

fn is_any(token: &Token, words: &[&[u8]]) -> bool {
    words.iter().any(|word| token.is(word))
}

fn is_function(token: &Token) -> bool {
    is_any(token, &FUNCTIONS)
}
