//! Writes out texts with macros.

use super::state::State;
use super::tx::leading_number;
use crate::program::{Expansion, Operand, Piece, Program, RuleField, RuleIndex};
use crate::variable::{Home, Variable};

impl State {
    /// Appends the expanded text to `out`.
    pub(crate) fn expand(
        &self,
        program: &Program,
        at: RuleIndex,
        text: &Expansion,
        out: &mut Vec<u8>,
    ) {
        for piece in &text.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Tx(id) => {
                    if let Some(var) = self.tx.slot(*id) {
                        var.write(out);
                    }
                }
                Piece::Variable(variable, name) => {
                    self.expand_variable(*variable, name.as_deref(), out)
                }
                Piece::Rule(field) => Self::expand_rule(program, at, *field, out),
            }
        }
    }

    /// The number that an operand comes to.
    pub(crate) fn operand(&self, program: &Program, at: RuleIndex, operand: &Operand) -> i64 {
        let text = match operand {
            Operand::Number(number) => return *number,
            Operand::Text(text) => text,
        };
        self.expanded_number(program, at, text)
    }

    /// The number that an expanded text starts with.
    pub(crate) fn expanded_number(
        &self,
        program: &Program,
        at: RuleIndex,
        text: &Expansion,
    ) -> i64 {
        if let Some(id) = text.single_tx() {
            return self.tx.slot(id).map_or(0, super::tx::Var::number);
        }
        if let Some(literal) = text.literal() {
            return leading_number(literal);
        }
        let mut out = Vec::new();
        self.expand(program, at, text, &mut out);
        leading_number(&out)
    }

    fn expand_variable(&self, variable: Variable, name: Option<&[u8]>, out: &mut Vec<u8>) {
        match variable.home() {
            Home::Scalar | Home::VolatileScalar => {
                out.extend_from_slice(self.values.text(variable))
            }
            Home::Collection => self.expand_first(&[variable], name, out),
            Home::Union(lists) => self.expand_first(lists, name, out),
            Home::Matched => {
                let Some(last) = self.hits.len().checked_sub(1) else { return };
                if matches!(variable, Variable::MatchedVarName | Variable::MatchedVarsNames) {
                    self.hits.write_name(last, out);
                } else {
                    out.extend_from_slice(self.hits.value(last));
                }
            }
            Home::Persistent => {
                if let Some(var) = self.persistent.find(variable, name.unwrap_or_default()) {
                    var.write(out);
                }
            }
            Home::Tx | Home::Xml | Home::Rule => {}
        }
    }

    fn expand_first(&self, lists: &[Variable], name: Option<&[u8]>, out: &mut Vec<u8>) {
        let ids = lists.iter().flat_map(|list| self.values.list(*list));
        let mut ids =
            ids.filter(|id| name.is_none_or(|n| self.values.name(**id).eq_ignore_ascii_case(n)));
        if let Some(id) = ids.next() {
            out.extend_from_slice(self.values.value(*id));
        }
    }

    fn expand_rule(program: &Program, at: RuleIndex, field: RuleField, out: &mut Vec<u8>) {
        let (Some(info), Some(rule)) = (program.infos.get(at.get()), program.rules.get(at.get()))
        else {
            return;
        };
        match field {
            RuleField::Id => out.extend_from_slice(info.id.to_string().as_bytes()),
            // A message that names itself would never end: its own macros stay as written.
            RuleField::Msg => out.extend_from_slice(info.msg.as_bytes()),
            RuleField::Severity => {
                let level = rule.severity.map(|level| level.to_string()).unwrap_or_default();
                out.extend_from_slice(level.as_bytes());
            }
            RuleField::Logdata => out.extend_from_slice(rule.logdata.literal().unwrap_or_default()),
            RuleField::Version => {
                out.extend_from_slice(info.version.as_deref().unwrap_or_default().as_bytes());
            }
        }
    }
}
