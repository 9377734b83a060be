//! The typed tree: what the policy's compiler reads.

use std::sync::Arc;

use ipnet::IpNet;

use super::attribute::{Attribute, MapAttribute};
use super::function::Function;
use super::problem::{Problem, Span};
use super::special::{ListCall, WafCall};

/// An expression that parsed and type-checked.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The text, from which spans are cut.
    pub text: Arc<str>,
    /// The tree.
    pub root: Node,
    /// What loads but deserves a word.
    pub warnings: Vec<Problem>,
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The type of its value.
    pub ty: Type,
    /// Where it stands in the text.
    pub span: Span,
}

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// A 64-bit float.
    Double,
    /// Bytes.
    String,
    /// A list of strings.
    Strings,
    /// A list of ints.
    Ints,
    /// A map from strings.
    Map,
    /// Known only when the request is there: a token's claim.
    Dyn,
}

impl Type {
    /// Returns the word that messages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Strings => "list of strings",
            Self::Ints => "list of ints",
            Self::Map => "map",
            Self::Dyn => "any type",
        }
    }
}

/// A value written in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A string's bytes.
    String(String),
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A value written in the text.
    Literal(Literal),
    /// A list of literals, all strings or all ints.
    List(Vec<Literal>),
    /// An attribute of the request, the client or the token.
    Attribute(Attribute),
    /// `map[key]`; a missing key is an error, which does not match. Literal header names are in lower case.
    Lookup {
        /// The map.
        map: MapAttribute,
        /// The key, a string.
        key: Box<Node>,
    },
    /// A claim of the token by its path; a missing one is an error.
    Claim(Vec<String>),
    /// Whether a [`Kind::Lookup`] or [`Kind::Claim`] finds anything.
    Has(Box<Node>),
    /// `!a`.
    Not(Box<Node>),
    /// `-a`.
    Negate(Box<Node>),
    /// `a && b && …`.
    All(Vec<Node>),
    /// `a || b || …`.
    Any(Vec<Node>),
    /// A comparison of two values of one type.
    Compare {
        /// Which.
        operator: Comparison,
        /// The left side.
        left: Box<Node>,
        /// The right side.
        right: Box<Node>,
    },
    /// `needle in list`, or `'name' in map`.
    In {
        /// What is looked for.
        needle: Box<Node>,
        /// A list, a map or the token's roles.
        haystack: Box<Node>,
    },
    /// Arithmetic, or the concatenation of strings.
    Arithmetic {
        /// Which.
        operator: Arithmetic,
        /// The left side.
        left: Box<Node>,
        /// The right side.
        right: Box<Node>,
    },
    /// A function on values; a method's receiver is the first argument.
    Call {
        /// Which.
        function: Function,
        /// Its arguments, as many and of such types as it takes.
        arguments: Vec<Node>,
    },
    /// `text.matches('regex')`; the regex parses.
    Matches {
        /// What is searched.
        text: Box<Node>,
        /// The regex, in the syntax of `regex-syntax`, with Unicode off.
        pattern: String,
        /// Where the pattern stands in the text.
        pattern_span: Span,
    },
    /// `inIpRange(address, range)`.
    InIpRange {
        /// The address, a string.
        address: Box<Node>,
        /// The range.
        range: IpRange,
    },
    /// `evaluatePreconfiguredWaf` or its deprecated form.
    Waf(WafCall),
    /// `evaluateAddressGroup`, `evaluateThreatIntelligence` or a named IP list.
    AddressList(ListCall),
    /// `evaluateAdaptiveProtection…`: false until adaptive protection is built; loading warns.
    AdaptiveProtection,
}

/// The second argument of `inIpRange`.
#[derive(Clone, Debug)]
pub enum IpRange {
    /// Written in the text, and valid.
    Literal(IpNet),
    /// Computed from the request; what does not parse is an error, which does not match.
    Computed(Box<Node>),
}

/// `== != < <= > >=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// `+ - *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`, which also joins strings.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
}

/// What an evaluation asks for beyond the head of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The token.
    Identity,
    /// The body.
    Body,
}

impl Typed {
    /// Calls `visit` for every node, parents first.
    pub fn walk<'t>(&'t self, visit: &mut dyn FnMut(&'t Node)) {
        self.root.walk(visit);
    }

    /// Whether any part of it asks for `need`.
    #[must_use]
    pub fn asks_for(&self, need: Need) -> bool {
        let mut found = false;
        self.walk(&mut |node| found |= node.need() == Some(need));
        found
    }
}

impl Node {
    /// Returns what this node itself, without its children, asks for.
    #[must_use]
    pub fn need(&self) -> Option<Need> {
        match &self.kind {
            Kind::Attribute(attribute) => attribute.need(),
            Kind::Lookup { map, .. } => map.need(),
            Kind::Claim(_) => Some(Need::Identity),
            Kind::Waf(_) => Some(Need::Body),
            Kind::Literal(_)
            | Kind::List(_)
            | Kind::Has(_)
            | Kind::Not(_)
            | Kind::Negate(_)
            | Kind::All(_)
            | Kind::Any(_)
            | Kind::Compare { .. }
            | Kind::In { .. }
            | Kind::Arithmetic { .. }
            | Kind::Call { .. }
            | Kind::Matches { .. }
            | Kind::InIpRange { .. }
            | Kind::AddressList(_)
            | Kind::AdaptiveProtection => None,
        }
    }

    /// Calls `visit` for this node and everything below it, parents first.
    pub fn walk<'t>(&'t self, visit: &mut dyn FnMut(&'t Self)) {
        visit(self);
        match &self.kind {
            Kind::Literal(_)
            | Kind::List(_)
            | Kind::Attribute(_)
            | Kind::Claim(_)
            | Kind::Waf(_)
            | Kind::AdaptiveProtection => {}
            Kind::Lookup { key: inner, .. }
            | Kind::Has(inner)
            | Kind::Not(inner)
            | Kind::Negate(inner)
            | Kind::Matches { text: inner, .. } => inner.walk(visit),
            Kind::AddressList(call) => call.address.walk(visit),
            Kind::InIpRange { address, range } => {
                address.walk(visit);
                match range {
                    IpRange::Literal(_) => {}
                    IpRange::Computed(inner) => inner.walk(visit),
                }
            }
            Kind::All(inner) | Kind::Any(inner) | Kind::Call { arguments: inner, .. } => {
                for node in inner {
                    node.walk(visit);
                }
            }
            Kind::Compare { left, right, .. }
            | Kind::Arithmetic { left, right, .. }
            | Kind::In { needle: left, haystack: right } => {
                left.walk(visit);
                right.walk(visit);
            }
        }
    }
}
