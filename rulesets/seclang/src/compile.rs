//! Rule text to a program: files are read, rules drafted, updates applied, drafts lowered. Every
//! problem on the way is collected; a program comes out only when none is an error.

mod accepted;
mod action;
mod control;
mod directive;
mod draft;
mod expansion;
mod load;
mod lower;
mod set_var;
mod target;
mod test;
mod update;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

pub use accepted::{ACCEPTED, Accepted, AcceptedKind};

use crate::operator::Operator;
use crate::prefilter::Condition;
use crate::program::{Compiled, Settings, TargetRemoval, TxNames};
use crate::syntax::{ActionSyntax, SourceText};
use crate::variable::Variable;
use crate::{Diagnostic, Resolve, Severity};
use draft::Draft;
use update::UpdateSyntax;

/// Rules of a program; past it the load is refused.
const RULES_MAX: usize = 60_000;

/// What is known while files are read.
struct Compiler<'a> {
    resolve: &'a dyn Resolve,
    /// Errors and notes in the order in which they were found.
    problems: Vec<Diagnostic>,
    /// What was noted as being without effect.
    noted: HashSet<(AcceptedKind, &'static str)>,
    files: Vec<String>,
    /// Files being read, outermost first: an `Include` of one of them is a loop.
    open: Vec<String>,
    settings: Settings,
    items: Vec<Item>,
    /// `SecDefaultAction` per phase.
    defaults: [Vec<ActionSyntax>; 5],
    updates: Vec<UpdateSyntax>,
    /// The last rule said `chain`: the next one is its link.
    chain_open: bool,
    tx_names: TxNames,
    removals: Vec<TargetRemoval>,
    /// Variables that rules read, or collections that they open.
    used: HashSet<Variable>,
    multi_line: bool,
    /// Operators that are compiled already: rules share patterns and lists of phrases.
    operators: HashMap<OperatorKey, (Arc<Operator>, Condition)>,
}

/// What an operator is compiled from.
#[derive(PartialEq, Eq, Hash)]
struct OperatorKey {
    /// In lower case.
    name: String,
    argument: Vec<u8>,
    /// The file from which its argument's paths start.
    from: String,
    multi_line: bool,
}

/// What the rule files hold, in order.
enum Item {
    Rule(Rc<Draft>),
    Marker(String),
}

/// Compiles; see [`crate::Program::compile`].
pub(crate) fn compile(
    entry: &str,
    text: &[u8],
    resolve: &dyn Resolve,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut compiler = Compiler {
        resolve,
        problems: Vec::new(),
        noted: HashSet::new(),
        files: Vec::new(),
        open: Vec::new(),
        settings: Settings::new(),
        items: Vec::new(),
        defaults: Default::default(),
        updates: Vec::new(),
        chain_open: false,
        tx_names: TxNames::new(),
        used: HashSet::new(),
        removals: Vec::new(),
        multi_line: false,
        operators: HashMap::new(),
    };
    compiler.source(&Arc::new(SourceText { name: entry.to_owned(), bytes: text.to_vec() }));
    compiler.refuse_duplicate_ids();
    compiler.apply_updates();
    let files = std::mem::take(&mut compiler.files);
    let program = compiler.lower();
    let (errors, notes): (Vec<_>, Vec<_>) =
        compiler.problems.into_iter().partition(|p| p.severity == Severity::Error);
    match program {
        Some(program) if errors.is_empty() => Ok(Compiled { program, notes, files }),
        Some(_) | None => Err(errors),
    }
}

impl Compiler<'_> {
    fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.items.iter().filter_map(|item| match item {
            Item::Rule(draft) => Some(draft.as_ref()),
            Item::Marker(_) => None,
        })
    }

    fn drafts_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Rule(draft) => Rc::get_mut(draft),
            Item::Marker(_) => None,
        })
    }

    fn refuse_duplicate_ids(&mut self) {
        let mut seen: HashMap<u32, (String, u32)> = HashMap::new();
        let mut found = Vec::new();
        for draft in self.drafts() {
            let here = (draft.place.source.name.clone(), draft.place.line());
            if let Some((file, line)) = seen.insert(draft.id, here) {
                let message = format!("the id {} is taken", draft.id);
                found.push(draft.id_at.error_with(message, format!("it stands at {file}:{line}")));
            }
        }
        self.problems.extend(found);
    }

    /// Records a problem, gives nothing: for `?` in functions that collect.
    fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// Advice on a misspelt name: the nearest known one.
fn nearest<'a>(name: &[u8], known: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let scored = known.map(|word| (distance(&name, word.to_ascii_lowercase().as_bytes()), word));
    let (distance, word) = scored.min()?;
    (distance <= name.len().div_ceil(3)).then(|| format!("did you mean `{word}`?"))
}

/// The edit distance of two short words.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, &byte) in left.iter().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (&other, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let step = diagonal + usize::from(byte != other);
            diagonal = *cell;
            last = step.min(last + 1).min(*cell + 1);
            *cell = last;
        }
    }
    row.last().copied().unwrap_or(left.len())
}
