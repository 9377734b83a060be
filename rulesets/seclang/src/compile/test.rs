//! Operators: names and arguments to tests.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::expansion::has_macro;
use super::{Compiler, OperatorKey};
use crate::Diagnostic;
use crate::operator::{self, Operator};
use crate::prefilter::Condition;
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
        let operator = Arc::clone(&self.operator(syntax)?.0);
        let note = operator.note().map(|note| syntax.name_at.place().note(note));
        self.problems.extend(note);
        Ok(Test::Operator(operator))
    }

    /// What a value must hold for an operator to match. Of a negated one, which matches where the operator does
    /// not, and of tests that are no operators nothing can be asked.
    pub(super) fn condition(&mut self, syntax: &OperatorSyntax, test: &Test) -> Condition {
        match test {
            Test::Operator(_) if !syntax.negated => {
                self.operator(syntax).map_or_else(|_| Condition::default(), |(_, c)| c.clone())
            }
            Test::Operator(_)
            | Test::Always
            | Test::Never
            | Test::Number(..)
            | Test::Text(..)
            | Test::Geo => Condition::default(),
        }
    }

    /// Compiles an operator, unless another rule has it already.
    fn operator(
        &mut self,
        syntax: &OperatorSyntax,
    ) -> Result<&(Arc<Operator>, Condition), Diagnostic> {
        let argument = &syntax.argument;
        let key = OperatorKey {
            name: syntax.name.to_ascii_lowercase(),
            argument: argument.bytes().to_vec(),
            from: argument.place().source.name.clone(),
            multi_line: self.multi_line,
        };
        let resolve = self.resolve;
        let entry = match self.operators.entry(key) {
            Entry::Occupied(entry) => return Ok(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        let (from, multi_line) = (entry.key().from.as_str(), entry.key().multi_line);
        let compiled = Operator::compile(&syntax.name, argument.bytes(), from, resolve, multi_line);
        let mut operator = compiled.map_err(|error| {
            let at = if argument.is_empty() { syntax.name_at.place() } else { argument.place() };
            Diagnostic { help: error.help, ..at.error(error.message) }
        })?;
        let condition = operator.take_condition();
        Ok(entry.insert((Arc::new(operator), condition)))
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
