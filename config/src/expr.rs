//! The rules language: Cloud Armor's subset of CEL, with the project's extensions, parsed and type-checked.
//!
//! The parser is our own rather than the `cel` crate's: that one refuses `has(request.headers['x'])`, which
//! Cloud Armor's users write in nearly every header rule, and brings an ANTLR runtime for a grammar that fits
//! in two files here. The tree is typed and every node carries its span, so that the policy's compiler never
//! meets a type error and every message can point at the text that it is about.
//!
//! Nothing in here evaluates: `portcullis-policy` does. Text is limited to [`TEXT_BYTES_MAX`] and nesting to
//! [`DEPTH_MAX`].

mod attribute;
mod check;
mod function;
mod lexer;
mod literal;
mod parser;
mod problem;
mod special;
mod syntax;
#[cfg(test)]
mod tests;
mod typed;

pub use attribute::{Attribute, MapAttribute, Recaptcha};
pub use function::Function;
pub use parser::DEPTH_MAX;
pub use problem::{Problem, Span};
pub use special::{ListCall, ListKind, SetVersion, SignatureRef, WafCall, WafSet, signature_id};
pub use typed::{Arithmetic, Comparison, IpRange, Kind, Literal, Need, Node, Type, Typed};

/// The longest expression that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Parses and type-checks one rule's expression, which must be a bool.
///
/// # Errors
/// Every problem that forbids loading, in the order of the text; warnings among them too.
pub fn parse_and_check(text: &str) -> Result<Typed, Vec<Problem>> {
    checked(text, Some(Type::Bool))
}

/// Parses and type-checks an expression that yields a rate-limit key: a string or an int.
///
/// # Errors
/// Every problem that forbids loading, in the order of the text.
pub fn parse_and_check_key(text: &str) -> Result<Typed, Vec<Problem>> {
    checked(text, None)
}

fn checked(text: &str, wanted: Option<Type>) -> Result<Typed, Vec<Problem>> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the expression is longer than {TEXT_BYTES_MAX} bytes");
        return Err(vec![Problem::error(
            "expression-too-long",
            Span { start: 0, end: 0 },
            message,
        )]);
    }
    let tokens = lexer::tokens(text).map_err(|problem| vec![problem])?;
    let syntax = parser::parse(text, &tokens).map_err(|problem| vec![problem])?;
    check::check(text, &syntax, wanted)
}
