//! Rule text to syntax: logical lines, words, directives, the parts of a rule. Nothing here knows
//! what a variable or an action means; that is `compile`.

mod lines;
mod rule;
mod text;

pub(crate) use lines::{Directive, directives};
pub(crate) use rule::{ActionSyntax, OperatorSyntax, TargetSyntax, actions, operator, targets};
pub(crate) use text::{Place, SourceText, Text};
