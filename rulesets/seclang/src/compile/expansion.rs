//! Cuts text with macros into pieces.

use super::{Compiler, nearest};
use crate::Diagnostic;
use crate::program::{Expansion, Piece, RuleField};
use crate::syntax::Text;
use crate::variable::{Home, Variable};

/// Whether a text holds a macro.
pub(super) fn has_macro(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"%{").is_some()
}

impl Compiler<'_> {
    /// Cuts `text` at its macros.
    pub(super) fn expansion(&mut self, text: &Text) -> Result<Expansion, Diagnostic> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.byte(at) {
            if byte == b'%' && text.byte(at + 1) == Some(b'{') {
                let rest = text.bytes().get(at + 2..).unwrap_or_default();
                let Some(length) = memchr::memchr(b'}', rest) else {
                    return Err(text.slice(at, at + 2).place().error("this macro is never closed"));
                };
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(self.macro_piece(&text.slice(at + 2, at + 2 + length))?);
                at += length + 3;
            } else {
                literal.push(byte);
                at += 1;
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Expansion { pieces })
    }

    fn macro_piece(&mut self, text: &Text) -> Result<Piece, Diagnostic> {
        let cut = text.split_once(b'.').or_else(|| text.split_once(b':'));
        let (name, field) = match cut {
            Some((name, field)) => (name, Some(field)),
            None => (text.clone(), None),
        };
        let Some(variable) = Variable::find(name.bytes()) else {
            let mut problem = name.place().error("unknown variable in a macro");
            problem.help = nearest(name.bytes(), Variable::names());
            return Err(problem);
        };
        self.used.insert(variable);
        match (variable.home(), field) {
            (Home::Tx, Some(field)) => Ok(Piece::Tx(self.tx_names.intern(field.bytes()))),
            (Home::Rule, Some(field)) => rule_field(&field),
            (Home::Scalar | Home::VolatileScalar | Home::Matched, None) => {
                Ok(Piece::Variable(variable, None))
            }
            (Home::Collection | Home::Union(_) | Home::Persistent, Some(field)) => {
                let name = field.bytes().to_ascii_lowercase();
                Ok(Piece::Variable(variable, Some(name.into())))
            }
            (Home::Collection | Home::Union(_), None) => Ok(Piece::Variable(variable, None)),
            (Home::Scalar | Home::VolatileScalar | Home::Matched, Some(field)) => {
                Err(field.place().error("this variable holds one value and takes no name"))
            }
            (Home::Xml | Home::Tx | Home::Persistent | Home::Rule, _) => {
                Err(text.place().error("a macro names one value of this collection"))
            }
        }
    }
}

fn rule_field(field: &Text) -> Result<Piece, Diagnostic> {
    let fields = [
        ("id", RuleField::Id),
        ("msg", RuleField::Msg),
        ("severity", RuleField::Severity),
        ("logdata", RuleField::Logdata),
        ("ver", RuleField::Version),
    ];
    match fields.iter().find(|row| field.is(row.0)) {
        Some((_, known)) => Ok(Piece::Rule(*known)),
        None => Err(field.place().error("a rule has `id`, `msg`, `severity`, `logdata`, `ver`")),
    }
}
