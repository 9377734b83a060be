//! Actions: the table of names, and what a rule's list of them comes to.

use super::accepted::{AcceptedKind, names};
use super::directive::number;
use super::{Compiler, nearest};
use crate::Diagnostic;
use crate::program::{AllowScope, Effect};
use crate::syntax::{ActionSyntax, Place, Text};
use crate::transformation::{self, Transformation};
use crate::variable::Variable;

/// Actions that do something, for advice on a misspelt one.
const KNOWN: &[&str] = &[
    "allow",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "drop",
    "expirevar",
    "id",
    "initcol",
    "log",
    "logdata",
    "msg",
    "multiMatch",
    "nolog",
    "pass",
    "phase",
    "redirect",
    "setsid",
    "setuid",
    "setvar",
    "severity",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
    "ver",
];

/// What `block` and its kin ask for, before `SecDefaultAction` is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Pass,
    Block,
    Allow(AllowScope),
    Deny,
    Drop,
    Redirect(RedirectTo),
}

/// A redirect's target; compared never, so its place does not matter.
#[derive(Clone, Debug)]
pub(super) struct RedirectTo(pub(super) Text);

impl PartialEq for RedirectTo {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes() == other.0.bytes()
    }
}

impl Eq for RedirectTo {}

/// The actions of one link, read.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) verdict: Option<Verdict>,
    pub(super) status: Option<u16>,
    pub(super) log: Option<bool>,
    pub(super) msg: Option<Text>,
    pub(super) logdata: Option<Text>,
    pub(super) severity: Option<u8>,
    pub(super) tags: Vec<String>,
    pub(super) version: Option<String>,
    pub(super) capture: bool,
    pub(super) multi_match: bool,
    /// `t:none` was seen: what `SecDefaultAction` says of transformations is void.
    pub(super) cleared: bool,
    pub(super) transformations: Vec<&'static Transformation>,
    pub(super) effects: Vec<Effect>,
    pub(super) skip: Option<(usize, Place)>,
    pub(super) skip_after: Option<Text>,
}

impl Acts {
    /// The id of a rule and where it is written.
    pub(super) fn id(list: &[ActionSyntax], rule: &Place) -> Result<(u32, Place), Diagnostic> {
        let found = list.iter().find(|action| action.name.is("id"));
        let Some(text) = found.and_then(|action| action.value.as_ref()) else {
            return Err(rule.error_with("a rule without an id", "add `id:N`, unique in all files"));
        };
        match text.as_str()?.parse() {
            Ok(id) if id > 0 => Ok((id, text.place())),
            Ok(_) | Err(_) => Err(text.place().error("an id is a whole number above 0")),
        }
    }

    /// The phase of a rule: 2 when it names none.
    pub(super) fn phase(list: &[ActionSyntax]) -> Result<u8, Diagnostic> {
        let found = list.iter().find(|action| action.name.is("phase"));
        found.and_then(|action| action.value.as_ref()).map_or(Ok(2), phase)
    }

    /// A chain's later links carry no word on the rule as a whole.
    pub(super) fn refuse_in_later_link(list: &[ActionSyntax]) -> Result<(), Diagnostic> {
        let whole = ["id", "phase", "skip", "skipAfter", "deny", "drop", "allow", "redirect"];
        match list.iter().find(|action| whole.iter().any(|name| action.name.is(name))) {
            Some(action) => {
                let help = "write it on the first rule of the chain";
                let message = "only the first rule of a chain may say this";
                Err(action.name.place().error_with(message, help))
            }
            None => Ok(()),
        }
    }
}

/// A phase by number or name.
pub(super) fn phase(text: &Text) -> Result<u8, Diagnostic> {
    match text.bytes() {
        b"1" => Ok(1),
        b"2" | b"request" => Ok(2),
        b"3" => Ok(3),
        b"4" | b"response" => Ok(4),
        b"5" | b"logging" => Ok(5),
        _ => Err(text.place().error("a phase is 1 to 5, `request`, `response` or `logging`")),
    }
}

impl Compiler<'_> {
    /// Reads the actions of one link into `acts`; problems are kept and the rest is read on.
    pub(super) fn acts(&mut self, list: &[ActionSyntax]) -> Acts {
        let mut acts = Acts::default();
        for action in list {
            let result = self.act(action, &mut acts);
            self.keep(result);
        }
        acts
    }

    fn act(&mut self, action: &ActionSyntax, acts: &mut Acts) -> Result<(), Diagnostic> {
        let name = action.name.as_str()?.to_ascii_lowercase();
        match (name.as_str(), action.value.as_ref()) {
            ("id" | "phase", Some(_)) | ("chain", None) => {}
            ("pass", None) => acts.verdict = Some(Verdict::Pass),
            ("block", None) => acts.verdict = Some(Verdict::Block),
            ("deny", None) => acts.verdict = Some(Verdict::Deny),
            ("drop", None) => acts.verdict = Some(Verdict::Drop),
            ("allow", scope) => acts.verdict = Some(Verdict::Allow(allow_scope(scope)?)),
            ("redirect", Some(to)) => {
                acts.verdict = Some(Verdict::Redirect(RedirectTo(to.clone())))
            }
            ("status", Some(text)) => acts.status = Some(status(text)?),
            ("log", None) => acts.log = Some(true),
            ("nolog", None) => acts.log = Some(false),
            ("msg", Some(text)) => acts.msg = Some(text.clone()),
            ("logdata", Some(text)) => acts.logdata = Some(text.clone()),
            ("severity", Some(text)) => acts.severity = Some(severity(text)?),
            ("tag", Some(text)) => acts.tags.push(shown(text)),
            ("ver", Some(text)) => acts.version = Some(shown(text)),
            ("capture", None) => acts.capture = true,
            ("multimatch", None) => acts.multi_match = true,
            ("t", Some(text)) => transform(text, acts)?,
            ("skip", Some(text)) => acts.skip = Some((number(text)?, text.place())),
            ("skipafter", Some(text)) => acts.skip_after = Some(text.clone()),
            ("setvar", Some(text)) => {
                let effect = self.set_var(text)?;
                acts.effects.push(effect);
            }
            ("expirevar", Some(text)) => {
                let effect = self.expire_var(text)?;
                acts.effects.push(effect);
            }
            ("initcol", Some(text)) => {
                let effect = self.init_collection(text)?;
                acts.effects.push(effect);
            }
            ("setsid", Some(text)) => {
                let effect = self.open_collection(Variable::Session, text)?;
                acts.effects.push(effect);
            }
            ("setuid", Some(text)) => {
                let effect = self.open_collection(Variable::User, text)?;
                acts.effects.push(effect);
            }
            ("ctl", Some(text)) => {
                let effect = self.control(text)?;
                acts.effects.extend(effect);
            }
            _ => return self.act_without_effect(action),
        }
        Ok(())
    }

    fn act_without_effect(&mut self, action: &ActionSyntax) -> Result<(), Diagnostic> {
        let name = &action.name;
        if self.accepts(AcceptedKind::Action, name) {
            return Ok(());
        }
        if KNOWN.iter().any(|known| name.is(known)) {
            let message = "this action is written with a value where it takes none, or without one";
            return Err(name.place().error(message));
        }
        let mut problem = name.place().error(format!("unknown action `{}`", name.as_str()?));
        let known = KNOWN.iter().copied().chain(names(AcceptedKind::Action));
        problem.help = nearest(name.bytes(), known);
        Err(problem)
    }
}

fn allow_scope(scope: Option<&Text>) -> Result<AllowScope, Diagnostic> {
    match scope {
        None => Ok(AllowScope::Transaction),
        Some(text) if text.is("phase") => Ok(AllowScope::Phase),
        Some(text) if text.is("request") => Ok(AllowScope::Request),
        Some(text) => Err(text.place().error("expected `phase` or `request`")),
    }
}

fn status(text: &Text) -> Result<u16, Diagnostic> {
    match text.as_str()?.parse() {
        Ok(status) if (100..=599).contains(&status) => Ok(status),
        Ok(_) | Err(_) => Err(text.place().error("a status is a number from 100 to 599")),
    }
}

fn severity(text: &Text) -> Result<u8, Diagnostic> {
    let names = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let digit = text.as_str()?.parse::<u8>().ok().filter(|level| *level < 8);
    let named = || (0..).zip(names).find(|(_, name)| text.is(name)).map(|(level, _)| level);
    digit.or_else(named).ok_or_else(|| {
        text.place().error("a severity is 0 to 7 or a name from `EMERGENCY` to `DEBUG`")
    })
}

/// Text that is only shown: bytes outside printable ASCII are escaped.
pub(super) fn shown(text: &Text) -> String {
    text.bytes().escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn transform(text: &Text, acts: &mut Acts) -> Result<(), Diagnostic> {
    if text.is("none") {
        acts.cleared = true;
        acts.transformations.clear();
        return Ok(());
    }
    match transformation::find(text.as_str()?) {
        Some(found) => acts.transformations.push(found),
        None => {
            let shown = text.as_str()?;
            return Err(text.place().error(format!("unknown transformation `{shown}`")));
        }
    }
    Ok(())
}
