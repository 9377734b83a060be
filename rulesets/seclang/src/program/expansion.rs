//! Text with macros (`%{tx.name}`), cut once at load.

use super::names::TxId;
use crate::variable::{Home, Variable};

/// One piece of a text with macros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// As written.
    Literal(Box<[u8]>),
    /// `%{tx.name}`.
    Tx(TxId),
    /// `%{variable}` or `%{collection.name}`: the first value.
    Variable(Variable, Option<Box<[u8]>>),
    /// `%{rule.id}` and its kin: known at load, filled in when the rule is complete.
    Rule(RuleField),
}

/// A field of the running rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RuleField {
    Id,
    Msg,
    Severity,
    Logdata,
    Version,
}

/// A text with macros.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Expansion {
    pub(crate) pieces: Vec<Piece>,
}

impl Expansion {
    /// The text, when it has no macro.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it reads `MATCHED_VAR` or its kin.
    pub(crate) fn reads_hits(&self) -> bool {
        let matched = |piece: &Piece| match piece {
            Piece::Variable(variable, _) => variable.home() == Home::Matched,
            Piece::Literal(_) | Piece::Tx(_) | Piece::Rule(_) => false,
        };
        self.pieces.iter().any(matched)
    }

    /// Whether it reads `TX:0` to `TX:9`.
    pub(crate) fn reads_captures(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Tx(id) if id.is_capture()))
    }

    /// The variable, when the text is `%{tx.name}` and nothing else.
    pub(crate) fn single_tx(&self) -> Option<TxId> {
        match self.pieces.as_slice() {
            [Piece::Tx(id)] => Some(*id),
            _ => None,
        }
    }
}
