//! Syntax to the typed tree, with every problem of the text at once.

mod calls;
mod names;
mod operators;

use super::problem::{Problem, Span};
use super::syntax::{Syntax, SyntaxKind};
use super::typed::{Kind, Literal, Node, Type, Typed};
use crate::Severity;

pub(super) fn check(
    text: &str,
    syntax: &Syntax,
    wanted: Option<Type>,
) -> Result<Typed, Vec<Problem>> {
    let mut checker = Checker { problems: Vec::new() };
    let root = checker.node(syntax);
    if let Some(root) = &root {
        checker.result(root, wanted);
    }
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| problem.span.start);
    match root {
        Some(root) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Typed { text: text.into(), root, warnings: problems })
        }
        _ => Err(problems),
    }
}

/// Gathers problems; `None` from any of its methods means that a problem was recorded.
struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::error(code, span, message.into()));
    }

    fn error_with_help(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::error(code, span, message.into()).with_help(help));
    }

    fn warn(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::warning(code, span, message.into()).with_help(help));
    }

    fn result(&mut self, root: &Node, wanted: Option<Type>) {
        match wanted {
            Some(wanted) => {
                self.expect_type(root, &[wanted]);
            }
            None => {
                self.expect_type(root, &[Type::String, Type::Int]);
            }
        }
    }

    fn node(&mut self, syntax: &Syntax) -> Option<Node> {
        let literal =
            |value: Literal, ty| Some(Node { kind: Kind::Literal(value), ty, span: syntax.span });
        match &syntax.kind {
            SyntaxKind::Str(value) => literal(Literal::String(value.clone()), Type::String),
            SyntaxKind::Int(value) => literal(Literal::Int(*value), Type::Int),
            SyntaxKind::Double(value) => literal(Literal::Double(*value), Type::Double),
            SyntaxKind::Bool(value) => literal(Literal::Bool(*value), Type::Bool),
            SyntaxKind::List(items) => self.list(items, syntax.span),
            SyntaxKind::Map(_) => {
                self.error(
                    "type",
                    syntax.span,
                    "a map stands only as the second argument of `evaluatePreconfiguredWaf`",
                );
                None
            }
            SyntaxKind::Ident(_) | SyntaxKind::Member { .. } | SyntaxKind::Index { .. } => {
                self.name(syntax)
            }
            SyntaxKind::Call { on, name, name_span, arguments } => {
                self.call(on.as_deref(), name, *name_span, arguments, syntax.span)
            }
            SyntaxKind::Not(inner) => self.not(inner, syntax.span),
            SyntaxKind::Negate(inner) => self.negate(inner, syntax.span),
            SyntaxKind::All(operands) => self.junction(operands, Kind::All, syntax.span),
            SyntaxKind::Any(operands) => self.junction(operands, Kind::Any, syntax.span),
            SyntaxKind::Binary { operator, left, right } => {
                self.binary(*operator, left, right, syntax.span)
            }
        }
    }

    fn list(&mut self, items: &[Syntax], span: Span) -> Option<Node> {
        let mut literals = Vec::new();
        let mut ints = 0;
        for item in items {
            if let Some(value) = item.text() {
                literals.push(Literal::String(value.to_owned()));
            } else if let SyntaxKind::Int(value) = &item.kind {
                ints += 1;
                literals.push(Literal::Int(*value));
            } else {
                self.error("type", item.span, "a list holds strings or ints, written out");
            }
        }
        if literals.len() != items.len() {
            return None;
        }
        if ints != 0 && ints != literals.len() {
            self.error("type", span, "a list holds values of one type");
            return None;
        }
        let ty = if ints > 0 { Type::Ints } else { Type::Strings };
        Some(Node { kind: Kind::List(literals), ty, span })
    }

    /// Records a problem unless the node has one of the types; a claim's value fits any of them.
    fn expect_type(&mut self, node: &Node, wanted: &[Type]) -> Option<()> {
        if node.ty == Type::Dyn || wanted.contains(&node.ty) {
            return Some(());
        }
        let names: Vec<_> = wanted.iter().map(|ty| ty.as_str()).collect();
        self.error(
            "type",
            node.span,
            format!("expected {}, found {}", names.join(" or "), node.ty.as_str()),
        );
        None
    }
}
