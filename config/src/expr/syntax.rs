//! What was written, before anything is known of its meaning.

use super::problem::Span;

#[derive(Clone, Debug)]
pub(super) struct Syntax {
    pub(super) kind: SyntaxKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum SyntaxKind {
    Ident(String),
    Str(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Member { of: Box<Syntax>, name: String },
    Index { of: Box<Syntax>, key: Box<Syntax> },
    Call { on: Option<Box<Syntax>>, name: String, name_span: Span, arguments: Vec<Syntax> },
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    All(Vec<Syntax>),
    Any(Vec<Syntax>),
    Binary { operator: Operator, left: Box<Syntax>, right: Box<Syntax> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
}

impl Syntax {
    /// Returns the string that this is, or none.
    pub(super) fn text(&self) -> Option<&str> {
        if let SyntaxKind::Str(text) = &self.kind { Some(text) } else { None }
    }

    /// Returns the dotted name this is, as in `origin.region_code`, or none.
    pub(super) fn dotted(&self) -> Option<String> {
        match &self.kind {
            SyntaxKind::Ident(name) => Some(name.clone()),
            SyntaxKind::Member { of, name, .. } => of.dotted().map(|of| format!("{of}.{name}")),
            SyntaxKind::Str(_)
            | SyntaxKind::Int(_)
            | SyntaxKind::Double(_)
            | SyntaxKind::Bool(_)
            | SyntaxKind::List(_)
            | SyntaxKind::Map(_)
            | SyntaxKind::Index { .. }
            | SyntaxKind::Call { .. }
            | SyntaxKind::Not(_)
            | SyntaxKind::Negate(_)
            | SyntaxKind::All(_)
            | SyntaxKind::Any(_)
            | SyntaxKind::Binary { .. } => None,
        }
    }
}
