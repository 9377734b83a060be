//! Targets: names to variables, selectors to tests of names.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::{Compiler, nearest};
use crate::Diagnostic;
use crate::program::{Exclusion, Select, Target, TargetSource};
use crate::syntax::{TargetSyntax, Text};
use crate::variable::{Home, Variable};

/// Bytes that the pattern of a selector may compile to.
const SELECTOR_BYTES_MAX: usize = 1 << 20;

/// A target list, lowered.
pub(super) struct Targets {
    pub(super) included: Vec<Target>,
    pub(super) excluded: Vec<Exclusion>,
}

impl Compiler<'_> {
    /// Lowers a target list. A whole variable that is excluded is taken out here; named values are
    /// taken out at run time.
    pub(super) fn targets(&mut self, list: &[TargetSyntax]) -> Result<Targets, Diagnostic> {
        let mut targets = Targets { included: Vec::new(), excluded: Vec::new() };
        for syntax in list {
            let (variable, source, select) = self.place_of(syntax)?;
            if syntax.excluded {
                targets.excluded.push(Exclusion { source, select });
            } else {
                let counted = syntax.counted;
                let slots = Vec::new();
                targets.included.push(Target { variable, counted, source, select, slots });
            }
        }
        let whole = |exclusion: &&Exclusion| matches!(exclusion.select, Select::All);
        let gone: Vec<_> = targets.excluded.iter().filter(whole).map(|e| e.source).collect();
        targets.included.retain(|target| !gone.contains(&target.source));
        Ok(targets)
    }

    /// What `!VARIABLE:name` takes out, for `ctl` and updates.
    pub(super) fn exclusion(&mut self, syntax: &TargetSyntax) -> Result<Exclusion, Diagnostic> {
        let (_, source, select) = self.place_of(syntax)?;
        Ok(Exclusion { source, select })
    }

    fn place_of(
        &mut self,
        syntax: &TargetSyntax,
    ) -> Result<(Variable, TargetSource, Select), Diagnostic> {
        let name = &syntax.variable;
        let Some(variable) = Variable::find(name.bytes()) else {
            let shown = name.as_str()?;
            let mut problem = name.place().error(format!("unknown variable `{shown}`"));
            problem.help = nearest(name.bytes(), Variable::names());
            return Err(problem);
        };
        self.used.insert(variable);
        if let (Home::Xml, selector) = (variable.home(), &syntax.selector) {
            return Ok((variable, TargetSource::Lists(xml(name, selector.as_ref())?), Select::All));
        }
        let select = select(syntax)?;
        let source = match (variable.home(), &select) {
            (Home::Scalar | Home::VolatileScalar, Select::All) => TargetSource::Scalar(variable),
            (Home::Scalar | Home::VolatileScalar, Select::Name(_) | Select::Pattern(_)) => {
                return Err(name.place().error("this variable holds one value and takes no name"));
            }
            (Home::Collection, _) => TargetSource::Lists(only(variable)),
            (Home::Union(lists), _) => TargetSource::Lists(lists),
            (Home::Tx, Select::Name(name)) => TargetSource::TxSlot(self.tx_names.intern(name)),
            (Home::Tx, Select::All | Select::Pattern(_)) => TargetSource::Tx,
            (Home::Matched, _) => TargetSource::Matched(variable),
            (Home::Persistent, _) => TargetSource::Persistent(variable),
            (Home::Rule, Select::Name(_)) => TargetSource::Rule,
            (Home::Rule, Select::All | Select::Pattern(_)) => {
                return Err(name.place().error("`RULE` takes the name of one field"));
            }
            (Home::Xml, _) => TargetSource::Lists(&[]),
        };
        Ok((variable, source, select))
    }
}

/// A list of the one variable, for the whole life of the program.
fn only(variable: Variable) -> &'static [Variable] {
    Variable::alone(variable)
}

fn xml(name: &Text, selector: Option<&Text>) -> Result<&'static [Variable], Diagnostic> {
    match selector.map(Text::bytes) {
        Some(b"/*") => Ok(only(Variable::XmlTexts)),
        Some(b"//@*") => Ok(only(Variable::XmlAttributes)),
        Some(_) | None => {
            let help = "other paths are not evaluated";
            Err(name.place().error_with("`XML` takes `/*` or `//@*`", help))
        }
    }
}

fn select(syntax: &TargetSyntax) -> Result<Select, Diagnostic> {
    let Some(selector) = &syntax.selector else { return Ok(Select::All) };
    if !syntax.is_regex {
        return Ok(Select::Name(selector.bytes().to_ascii_lowercase().into()));
    }
    let config = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(true)
        .dot_matches_new_line(true);
    let limits = Regex::config().nfa_size_limit(Some(SELECTOR_BYTES_MAX)).utf8_empty(false);
    let built = Regex::builder().syntax(config).configure(limits).build(selector.as_str()?);
    match built {
        Ok(pattern) => Ok(Select::Pattern(Box::new(pattern))),
        Err(error) => Err(selector.place().error(format!("not a regular expression: {error}"))),
    }
}
