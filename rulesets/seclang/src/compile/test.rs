//! Operators: names and arguments to tests.

use super::Compiler;
use super::expansion::has_macro;
use crate::Diagnostic;
use crate::operator::{self, Operator};
use crate::program::{Operand, Order, Test};
use crate::syntax::OperatorSyntax;

impl Compiler<'_> {
    /// Compiles the operator of a link. `from` is the file against which data files are resolved.
    pub(super) fn test(&mut self, syntax: &OperatorSyntax) -> Result<Test, Diagnostic> {
        let name = syntax.name.to_ascii_lowercase();
        let argument = &syntax.argument;
        let order = match name.as_str() {
            "eq" => Some(Order::Equal),
            "ge" => Some(Order::AtLeast),
            "gt" => Some(Order::Above),
            "le" => Some(Order::AtMost),
            "lt" => Some(Order::Below),
            _ => None,
        };
        if let Some(order) = order {
            return self.number_test(order, syntax);
        }
        match name.as_str() {
            "unconditionalmatch" => return Ok(Test::Always),
            "nomatch" => return Ok(Test::Never),
            "geolookup" => return Ok(Test::Geo),
            _ => {}
        }
        if has_macro(argument.bytes()) {
            if !operator::takes_macro(&name) {
                return Err(argument.place().error(format!("`@{name}` takes no macro")));
            }
            return Ok(Test::Text(name.into(), self.expansion(argument)?));
        }
        let from = &argument.place().source.name.clone();
        let multi_line = self.multi_line;
        match Operator::compile(&syntax.name, argument.bytes(), from, self.resolve, multi_line) {
            Ok(operator) => {
                let note = operator.note().map(|note| syntax.name_at.place().note(note));
                self.problems.extend(note);
                Ok(Test::Operator(Box::new(operator)))
            }
            Err(error) => {
                let at =
                    if argument.is_empty() { syntax.name_at.place() } else { argument.place() };
                Err(Diagnostic { help: error.help, ..at.error(error.message) })
            }
        }
    }

    fn number_test(&mut self, order: Order, syntax: &OperatorSyntax) -> Result<Test, Diagnostic> {
        let argument = &syntax.argument;
        if has_macro(argument.bytes()) {
            return Ok(Test::Number(order, Operand::Text(self.expansion(argument)?)));
        }
        match argument.as_str()?.parse() {
            Ok(number) => Ok(Test::Number(order, Operand::Number(number))),
            Err(_) => Err(argument.place().error("expected a whole number or a macro")),
        }
    }
}
