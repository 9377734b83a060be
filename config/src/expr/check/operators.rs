//! Operators: both sides of one type, and what each type allows.

use super::super::attribute::MAPS;
use super::super::problem::Span;
use super::super::special::{ListCall, ListKind};
use super::super::syntax::{Operator, Syntax, SyntaxKind};
use super::super::typed::{Arithmetic, Comparison, Kind, Literal, Node, Type};
use super::Checker;

/// What stands before the name of a list in `in`.
pub(super) const LISTS: &str = "lists";

impl Checker {
    pub(super) fn not(&mut self, inner: &Syntax, span: Span) -> Option<Node> {
        let inner = self.node(inner)?;
        self.expect_type(&inner, &[Type::Bool])?;
        Some(Node { kind: Kind::Not(Box::new(inner)), ty: Type::Bool, span })
    }

    pub(super) fn negate(&mut self, inner: &Syntax, span: Span) -> Option<Node> {
        let inner = self.node(inner)?;
        self.expect_type(&inner, &[Type::Int, Type::Double])?;
        let ty = inner.ty;
        let kind = if let Kind::Literal(Literal::Int(value)) = inner.kind {
            Kind::Literal(Literal::Int(value.wrapping_neg()))
        } else if let Kind::Literal(Literal::Double(value)) = inner.kind {
            Kind::Literal(Literal::Double(-value))
        } else {
            Kind::Negate(Box::new(inner))
        };
        Some(Node { kind, ty, span })
    }

    pub(super) fn junction(
        &mut self,
        operands: &[Syntax],
        join: fn(Vec<Node>) -> Kind,
        span: Span,
    ) -> Option<Node> {
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in operands {
            if let Some(node) = self.node(operand)
                && self.expect_type(&node, &[Type::Bool]).is_some()
            {
                nodes.push(node);
            }
        }
        (nodes.len() == operands.len()).then(|| Node { kind: join(nodes), ty: Type::Bool, span })
    }

    pub(super) fn binary(
        &mut self,
        operator: Operator,
        left: &Syntax,
        right: &Syntax,
        span: Span,
    ) -> Option<Node> {
        match operator {
            Operator::Equal => self.compare(Comparison::Equal, left, right, span),
            Operator::NotEqual => self.compare(Comparison::NotEqual, left, right, span),
            Operator::Less => self.compare(Comparison::Less, left, right, span),
            Operator::LessEqual => self.compare(Comparison::LessEqual, left, right, span),
            Operator::Greater => self.compare(Comparison::Greater, left, right, span),
            Operator::GreaterEqual => self.compare(Comparison::GreaterEqual, left, right, span),
            Operator::In => self.membership(left, right, span),
            Operator::Add => self.arithmetic(Arithmetic::Add, left, right, span),
            Operator::Subtract => self.arithmetic(Arithmetic::Subtract, left, right, span),
            Operator::Multiply => self.arithmetic(Arithmetic::Multiply, left, right, span),
        }
    }

    fn compare(
        &mut self,
        operator: Comparison,
        left: &Syntax,
        right: &Syntax,
        span: Span,
    ) -> Option<Node> {
        let (left, right) = self.pair(left, right)?;
        let allowed: &[Type] = match operator {
            Comparison::Equal | Comparison::NotEqual => {
                &[Type::Bool, Type::Int, Type::Double, Type::String]
            }
            Comparison::Less
            | Comparison::LessEqual
            | Comparison::Greater
            | Comparison::GreaterEqual => &[Type::Int, Type::Double],
        };
        self.same_type(&left, &right, allowed, span)?;
        Some(Node {
            kind: Kind::Compare { operator, left: Box::new(left), right: Box::new(right) },
            ty: Type::Bool,
            span,
        })
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Syntax,
        right: &Syntax,
        span: Span,
    ) -> Option<Node> {
        let (left, right) = self.pair(left, right)?;
        let allowed: &[Type] = match operator {
            Arithmetic::Add => &[Type::Int, Type::Double, Type::String],
            Arithmetic::Subtract | Arithmetic::Multiply => &[Type::Int, Type::Double],
        };
        self.same_type(&left, &right, allowed, span)?;
        let ty = if left.ty == Type::Dyn { right.ty } else { left.ty };
        Some(Node {
            kind: Kind::Arithmetic { operator, left: Box::new(left), right: Box::new(right) },
            ty,
            span,
        })
    }

    /// `address in lists['name']`: a list of the configuration.
    fn in_list(&mut self, address: &Syntax, name: &Syntax, span: Span) -> Option<Node> {
        let node = self.node(address)?;
        self.expect_type(&node, &[Type::String])?;
        let Some(list) = name.text() else {
            self.error("type", name.span, "the list is named by a string, written out");
            return None;
        };
        let call = ListCall {
            kind: ListKind::Reference,
            name: list.to_owned(),
            name_span: name.span,
            address: Box::new(node),
            exclusions: Vec::new(),
        };
        Some(Node { kind: Kind::AddressList(call), ty: Type::Bool, span })
    }

    /// Checks both sides even where the first is wrong, so that both are reported.
    fn pair(&mut self, left: &Syntax, right: &Syntax) -> Option<(Node, Node)> {
        let left = self.node(left);
        let right = self.node(right);
        Some((left?, right?))
    }

    fn same_type(&mut self, left: &Node, right: &Node, allowed: &[Type], span: Span) -> Option<()> {
        self.expect_type(left, allowed)?;
        self.expect_type(right, allowed)?;
        if left.ty == right.ty || left.ty == Type::Dyn || right.ty == Type::Dyn {
            return Some(());
        }
        let message =
            format!("{} and {} are never compared or joined", left.ty.as_str(), right.ty.as_str());
        if matches!((left.ty, right.ty), (Type::String, Type::Int) | (Type::Int, Type::String)) {
            self.error_with_help(
                "type",
                span,
                message,
                "convert the string with `int(…)`, or put the number in quotes",
            );
        } else {
            self.error("type", span, message);
        }
        None
    }

    fn membership(&mut self, left: &Syntax, right: &Syntax, span: Span) -> Option<Node> {
        if let SyntaxKind::Index { of, key } = &right.kind
            && of.dotted().as_deref() == Some(LISTS)
        {
            return self.in_list(left, key, span);
        }
        let needle = self.node(left);
        if let Some(name) = right.dotted()
            && MAPS.iter().any(|(known, _)| *known == name)
        {
            let help = format!("write has({name}['…'])");
            self.error_with_help(
                "type",
                right.span,
                format!("`in {name}` is not part of the language"),
                help,
            );
            return None;
        }
        let haystack = self.node(right);
        let (needle, haystack) = (needle?, haystack?);
        self.expect_type(&haystack, &[Type::Strings, Type::Ints])?;
        match haystack.ty {
            Type::Ints => self.expect_type(&needle, &[Type::Int])?,
            Type::Dyn => self.expect_type(&needle, &[Type::String, Type::Int])?,
            Type::Bool | Type::Int | Type::Double | Type::String | Type::Strings | Type::Map => {
                self.expect_type(&needle, &[Type::String])?;
            }
        }
        let kind = Kind::In { needle: Box::new(needle), haystack: Box::new(haystack) };
        Some(Node { kind, ty: Type::Bool, span })
    }
}
