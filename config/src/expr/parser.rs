//! Tokens to syntax: CEL's precedence (`!` and `-`, `*`, `+`, comparisons and `in`, `&&`, `||`).
//!
//! Chains of `&&` and `||` are flat, so only parentheses, brackets, calls and prefix operators nest.

use super::lexer::{Punct, Token};
use super::problem::{Problem, Span};
use super::syntax::{Operator, Syntax, SyntaxKind};

/// How deep parentheses, brackets, calls and prefix operators may nest.
pub const DEPTH_MAX: usize = 32;

/// How many `+`, `*`, comparisons or `.name` may follow one another; `&&` and `||` have no such limit.
const LINKS_MAX: usize = 16;

pub(super) fn parse(text: &str, tokens: &[(Token, Span)]) -> Result<Syntax, Problem> {
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    if parser.peek() == &Token::End {
        let span = Span { start: 0, end: text.len() };
        return Err(Problem::error("syntax", span, "the expression is empty".to_owned()));
    }
    let root = parser.any()?;
    match parser.peek() {
        Token::End => Ok(root),
        Token::Punct(Punct::Question) => Err(parser
            .unexpected("the end")
            .with_help("`?:` is not part of the language: write `a && b || !a && c`")),
        Token::Ident(word)
            if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") =>
        {
            Err(parser
                .unexpected("an operator")
                .with_help("the operators are written `&&` and `||`"))
        }
        Token::Ident(_) | Token::Str(_) | Token::Int(_) | Token::Double(_) | Token::Punct(_) => {
            Err(parser.unexpected("an operator or the end"))
        }
    }
}

struct Parser<'t> {
    tokens: &'t [(Token, Span)],
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Syntax, Problem> {
        self.chain(Punct::Or, Self::all, SyntaxKind::Any)
    }

    fn all(&mut self) -> Result<Syntax, Problem> {
        self.chain(Punct::And, Self::relation, SyntaxKind::All)
    }

    fn chain(
        &mut self,
        joint: Punct,
        operand: fn(&mut Self) -> Result<Syntax, Problem>,
        join: fn(Vec<Syntax>) -> SyntaxKind,
    ) -> Result<Syntax, Problem> {
        let first = operand(self)?;
        let mut span = first.span;
        let mut operands = vec![first];
        while self.takes(joint) {
            let next = operand(self)?;
            span = span.to(next.span);
            operands.push(next);
        }
        match operands.len() {
            1 => Ok(operands.swap_remove(0)),
            _ => Ok(Syntax { kind: join(operands), span }),
        }
    }

    fn relation(&mut self) -> Result<Syntax, Problem> {
        let mut left = self.sum()?;
        let mut links = 0;
        while let Some(operator) = self.relation_operator() {
            self.link(&mut links)?;
            self.at += 1;
            let right = self.sum()?;
            left = binary(operator, left, right);
        }
        Ok(left)
    }

    fn relation_operator(&self) -> Option<Operator> {
        match self.peek() {
            Token::Punct(punct) => match punct {
                Punct::Equal => Some(Operator::Equal),
                Punct::NotEqual => Some(Operator::NotEqual),
                Punct::Less => Some(Operator::Less),
                Punct::LessEqual => Some(Operator::LessEqual),
                Punct::Greater => Some(Operator::Greater),
                Punct::GreaterEqual => Some(Operator::GreaterEqual),
                Punct::Open
                | Punct::Close
                | Punct::OpenBracket
                | Punct::CloseBracket
                | Punct::OpenBrace
                | Punct::CloseBrace
                | Punct::Comma
                | Punct::Colon
                | Punct::Dot
                | Punct::And
                | Punct::Or
                | Punct::Not
                | Punct::Plus
                | Punct::Minus
                | Punct::Star
                | Punct::Slash
                | Punct::Percent
                | Punct::Question => None,
            },
            Token::Ident(word) if word == "in" => Some(Operator::In),
            Token::Ident(_) | Token::Str(_) | Token::Int(_) | Token::Double(_) | Token::End => None,
        }
    }

    fn sum(&mut self) -> Result<Syntax, Problem> {
        let mut left = self.product()?;
        let mut links = 0;
        loop {
            let operator = if self.takes(Punct::Plus) {
                Operator::Add
            } else if self.takes(Punct::Minus) {
                Operator::Subtract
            } else {
                return Ok(left);
            };
            self.link(&mut links)?;
            let right = self.product()?;
            left = binary(operator, left, right);
        }
    }

    fn product(&mut self) -> Result<Syntax, Problem> {
        let mut left = self.prefix()?;
        let mut links = 0;
        loop {
            if matches!(self.peek(), Token::Punct(Punct::Slash | Punct::Percent)) {
                return Err(self
                    .unexpected("`*`")
                    .with_help("`/` and `%` are not part of the language"));
            }
            if !self.takes(Punct::Star) {
                return Ok(left);
            }
            self.link(&mut links)?;
            let right = self.prefix()?;
            left = binary(Operator::Multiply, left, right);
        }
    }

    fn prefix(&mut self) -> Result<Syntax, Problem> {
        let start = self.span();
        let wrap: fn(Box<Syntax>) -> SyntaxKind = if self.takes(Punct::Not) {
            SyntaxKind::Not
        } else if self.takes(Punct::Minus) {
            SyntaxKind::Negate
        } else {
            return self.postfix();
        };
        let operand = self.nested(Self::prefix)?;
        let span = start.to(operand.span);
        Ok(Syntax { kind: wrap(Box::new(operand)), span })
    }

    fn postfix(&mut self) -> Result<Syntax, Problem> {
        let mut syntax = self.primary()?;
        let mut links = 0;
        loop {
            self.link(&mut links)?;
            if self.takes(Punct::Dot) {
                syntax = self.member(syntax)?;
            } else if self.takes(Punct::OpenBracket) {
                let key = self.nested(Self::any)?;
                let end = self.expect(Punct::CloseBracket)?;
                let span = syntax.span.to(end);
                syntax = Syntax {
                    kind: SyntaxKind::Index { of: Box::new(syntax), key: Box::new(key) },
                    span,
                };
            } else {
                return Ok(syntax);
            }
        }
    }

    fn member(&mut self, of: Syntax) -> Result<Syntax, Problem> {
        let name_span = self.span();
        let name = self.word("a name")?;
        if self.takes(Punct::Open) {
            let (arguments, end) = self.list(Punct::Close)?;
            let span = of.span.to(end);
            return Ok(Syntax {
                kind: SyntaxKind::Call { on: Some(Box::new(of)), name, name_span, arguments },
                span,
            });
        }
        let span = of.span.to(name_span);
        Ok(Syntax { kind: SyntaxKind::Member { of: Box::new(of), name }, span })
    }

    fn primary(&mut self) -> Result<Syntax, Problem> {
        let span = self.span();
        let tokens = self.tokens;
        let kind = match tokens.get(self.at).map_or(&Token::End, |(token, _)| token) {
            Token::Str(value) => SyntaxKind::Str(value.clone()),
            Token::Int(value) => SyntaxKind::Int(*value),
            Token::Double(value) => SyntaxKind::Double(*value),
            Token::Ident(word) if word == "true" || word == "false" => {
                SyntaxKind::Bool(word == "true")
            }
            Token::Ident(word) if word != "in" => return self.name(word.clone(), span),
            Token::Punct(Punct::Open) => {
                self.at += 1;
                let mut inner = self.nested(Self::any)?;
                inner.span = span.to(self.expect(Punct::Close)?);
                return Ok(inner);
            }
            Token::Punct(Punct::OpenBracket) => {
                self.at += 1;
                let (items, end) = self.list(Punct::CloseBracket)?;
                return Ok(Syntax { kind: SyntaxKind::List(items), span: span.to(end) });
            }
            Token::Punct(Punct::OpenBrace) => return self.map(span),
            Token::Ident(_) | Token::Punct(_) | Token::End => {
                return Err(self.unexpected("a value"));
            }
        };
        self.at += 1;
        Ok(Syntax { kind, span })
    }

    fn name(&mut self, name: String, name_span: Span) -> Result<Syntax, Problem> {
        self.at += 1;
        if !self.takes(Punct::Open) {
            return Ok(Syntax { kind: SyntaxKind::Ident(name), span: name_span });
        }
        let (arguments, end) = self.list(Punct::Close)?;
        let kind = SyntaxKind::Call { on: None, name, name_span, arguments };
        Ok(Syntax { kind, span: name_span.to(end) })
    }

    fn list(&mut self, close: Punct) -> Result<(Vec<Syntax>, Span), Problem> {
        let mut items = Vec::new();
        loop {
            let end = self.span();
            if self.takes(close) {
                return Ok((items, end));
            }
            items.push(self.nested(Self::any)?);
            if !self.takes(Punct::Comma) {
                let end = self.expect(close)?;
                return Ok((items, end));
            }
        }
    }

    fn map(&mut self, start: Span) -> Result<Syntax, Problem> {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            let end = self.span();
            if self.takes(Punct::CloseBrace) {
                return Ok(Syntax { kind: SyntaxKind::Map(entries), span: start.to(end) });
            }
            let key = self.nested(Self::any)?;
            self.expect(Punct::Colon)?;
            entries.push((key, self.nested(Self::any)?));
            if !self.takes(Punct::Comma) {
                let end = self.expect(Punct::CloseBrace)?;
                return Ok(Syntax { kind: SyntaxKind::Map(entries), span: start.to(end) });
            }
        }
    }

    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Syntax, Problem>,
    ) -> Result<Syntax, Problem> {
        if self.depth >= DEPTH_MAX {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Counts one more link of a chain that makes the tree deeper.
    fn link(&self, links: &mut usize) -> Result<(), Problem> {
        *links += 1;
        if *links > LINKS_MAX { Err(self.too_deep()) } else { Ok(()) }
    }

    fn peek(&self) -> &'t Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Span {
        self.tokens
            .get(self.at)
            .or_else(|| self.tokens.last())
            .map_or(Span { start: 0, end: 0 }, |(_, span)| *span)
    }

    fn takes(&mut self, punct: Punct) -> bool {
        let found = self.peek() == &Token::Punct(punct);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: Punct) -> Result<Span, Problem> {
        let span = self.span();
        if self.takes(punct) {
            Ok(span)
        } else {
            Err(self.unexpected(&format!("`{}`", punct.as_str())))
        }
    }

    fn word(&mut self, wanted: &str) -> Result<String, Problem> {
        match self.peek() {
            Token::Ident(word) => {
                self.at += 1;
                Ok(word.clone())
            }
            Token::Str(_) | Token::Int(_) | Token::Double(_) | Token::Punct(_) | Token::End => {
                Err(self.unexpected(wanted))
            }
        }
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        let found = match self.peek() {
            Token::Ident(word) => format!("`{word}`"),
            Token::Str(_) => "a string".to_owned(),
            Token::Int(_) | Token::Double(_) => "a number".to_owned(),
            Token::Punct(punct) => format!("`{}`", punct.as_str()),
            Token::End => "the end".to_owned(),
        };
        Problem::error("syntax", self.span(), format!("expected {wanted}, found {found}"))
    }

    fn too_deep(&self) -> Problem {
        let message = format!("the expression nests deeper than {DEPTH_MAX}");
        Problem::error("expression-too-deep", self.span(), message)
    }
}

fn binary(operator: Operator, left: Syntax, right: Syntax) -> Syntax {
    let span = left.span.to(right.span);
    Syntax {
        kind: SyntaxKind::Binary { operator, left: Box::new(left), right: Box::new(right) },
        span,
    }
}
