//! What runs: conditions and the values that they compare.

use std::sync::Arc;

use memchr::memmem::Finder;
use portcullis_config::expr::{Arithmetic, Attribute, Comparison, Function, ListKind};
use regex_automata::meta::Regex;

use crate::address_set::IpSet;

/// A condition.
#[derive(Debug)]
pub(crate) enum Code {
    Constant(bool),
    Not(Box<Self>),
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Compare {
        operator: Comparison,
        left: Operand,
        right: Operand,
    },
    /// A text of the head is (or, negated, is not) this one: the usual rule, without a value in between.
    Is {
        text: HeadText,
        literal: Box<[u8]>,
        negated: bool,
    },
    /// The needle is one of the texts, which are sorted.
    InTexts(Operand, Box<[Box<[u8]>]>),
    InInts(Operand, Box<[i64]>),
    /// The needle is one of the token's roles, or an item of a claim.
    InList(Operand, Operand),
    Contains(Operand, Operand),
    /// The text contains this one, of which the search was prepared.
    ContainsText(Operand, Box<Finder<'static>>),
    StartsWith(Operand, Operand),
    EndsWith(Operand, Operand),
    Matches(Operand, Regex),
    InRange(Operand, IpSet),
    InComputedRange(Operand, Operand),
    Listed(Box<Listed>),
    Has(Operand),
    /// A question by its number.
    Waf(usize),
    /// A value that is itself true or false.
    True(Operand),
}

/// The texts that are there, and borrowed, whatever the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadText {
    Method,
    Path,
    Query,
    Region,
}

impl HeadText {
    /// Returns the text that an attribute is, if it is one of these.
    pub(crate) const fn of(attribute: Attribute) -> Option<Self> {
        match attribute {
            Attribute::Method => Some(Self::Method),
            Attribute::Path => Some(Self::Path),
            Attribute::Query => Some(Self::Query),
            Attribute::OriginRegionCode => Some(Self::Region),
            Attribute::OriginIp
            | Attribute::OriginUserIp
            | Attribute::OriginAsn
            | Attribute::OriginJa3
            | Attribute::OriginJa4
            | Attribute::ClientSubject
            | Attribute::ClientIssuer
            | Attribute::ClientSha256
            | Attribute::ClientNames
            | Attribute::Scheme
            | Attribute::Body
            | Attribute::TokenValid
            | Attribute::TokenSubject
            | Attribute::TokenTenant
            | Attribute::TokenIssuer
            | Attribute::TokenRoles
            | Attribute::Recaptcha(_) => None,
        }
    }
}

/// Whether an address is in a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) kind: ListKind,
    pub(crate) name: Arc<str>,
    pub(crate) address: Operand,
    pub(crate) list: Arc<IpSet>,
    pub(crate) exclusions: IpSet,
}

/// A value that costs more to read than to keep: it is worked out once for each request, however many rules read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Common {
    /// A header by its name in lower case.
    Header(Box<[u8]>),
    Cookie(Box<[u8]>),
    /// A parameter of query or body.
    Param(Box<[u8]>),
    /// A function of an attribute.
    Applied(Function, Attribute),
    /// A function of a common value with a lower number.
    Nested(Function, usize),
}

/// A value.
#[derive(Debug)]
pub(crate) enum Operand {
    Text(Box<[u8]>),
    Int(i64),
    Double(f64),
    Bool(bool),
    Attribute(Attribute),
    /// One of the policy's common values, by its number.
    Common(usize),
    HeaderBy(Box<Self>),
    CookieBy(Box<Self>),
    ParamBy(Box<Self>),
    Claim(Box<[String]>),
    Negate(Box<Self>),
    Arithmetic {
        operator: Arithmetic,
        left: Box<Self>,
        right: Box<Self>,
    },
    Function(Function, Box<Self>),
    Condition(Box<Code>),
}
