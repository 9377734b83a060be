//! `ctl`: what a match changes for the rest of the transaction. The rules that one names are
//! looked up once all files are read.

use super::accepted::{AcceptedKind, names};
use super::directive::{engine, number, switch};
use super::update::{RuleSelector, selected};
use super::{Compiler, nearest};
use crate::Diagnostic;
use crate::body::Kind;
use crate::program::{Control, Effect, RuleIndex, TargetRemoval};
use crate::syntax::{Text, targets};

const KNOWN: &[&str] = &[
    "forceRequestBodyVariable",
    "requestBodyAccess",
    "requestBodyLimit",
    "requestBodyProcessor",
    "responseBodyAccess",
    "responseBodyLimit",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];

impl Compiler<'_> {
    /// `option=value`; nothing for an option without effect here.
    pub(super) fn control(&mut self, text: &Text) -> Result<Option<Effect>, Diagnostic> {
        let Some((name, value)) = text.split_once(b'=') else {
            return Err(text.place().error("`ctl` is `option=value`"));
        };
        let (name, value) = (name.trim(), value.trim());
        let option = name.as_str()?.to_ascii_lowercase();
        let control = match option.as_str() {
            "ruleengine" => Control::Engine(engine(&value)?),
            "forcerequestbodyvariable" => Control::ForceBodyVariable(switch(&value)?),
            "requestbodyaccess" => Control::RequestBody(switch(&value)?),
            "responsebodyaccess" => Control::ResponseBody(switch(&value)?),
            "requestbodylimit" => Control::RequestBodyLimit(number(&value)?),
            "responsebodylimit" => Control::ResponseBodyLimit(number(&value)?),
            "requestbodyprocessor" => Control::BodyProcessor(processor(&value)?),
            "ruleremovebyid" => Control::RemoveRules(self.indices(&RuleSelector::ids(&value)?)),
            "ruleremovebytag" => Control::RemoveRules(self.indices(&RuleSelector::tag(&value)?)),
            "ruleremovebymsg" => Control::RemoveRules(self.indices(&RuleSelector::msg(&value)?)),
            "ruleremovetargetbyid" => self.target_removal(&value, RuleSelector::ids)?,
            "ruleremovetargetbytag" => self.target_removal(&value, RuleSelector::tag)?,
            "ruleremovetargetbymsg" => self.target_removal(&value, RuleSelector::msg)?,
            _ if self.accepts(AcceptedKind::Control, &name) => return Ok(None),
            _ => {
                let shown = name.as_str()?;
                let mut problem = name.place().error(format!("unknown `ctl` option `{shown}`"));
                problem.help = nearest(
                    name.bytes(),
                    KNOWN.iter().copied().chain(names(AcceptedKind::Control)),
                );
                return Err(problem);
            }
        };
        Ok(Some(Effect::Control(control)))
    }

    fn indices(&self, selector: &RuleSelector) -> Vec<RuleIndex> {
        let kept = self.drafts().filter(|draft| !draft.removed);
        let chosen = kept.enumerate().filter(|(_, draft)| selected(selector, draft));
        chosen.map(|(at, _)| RuleIndex::new(at)).collect()
    }

    fn target_removal(
        &mut self,
        value: &Text,
        selector: impl Fn(&Text) -> Result<RuleSelector, Diagnostic>,
    ) -> Result<Control, Diagnostic> {
        let Some((rules, target)) = value.split_once(b';') else {
            return Err(value.place().error("expected `RULES;TARGET`"));
        };
        let rules = self.indices(&selector(&rules.trim())?);
        let list = targets(&target.trim())?;
        let [target] = list.as_slice() else {
            return Err(target.place().error("expected one target"));
        };
        let exclusion = self.exclusion(target)?;
        self.removals.push(TargetRemoval { rules, exclusion });
        Ok(Control::RemoveTarget(self.removals.len() - 1))
    }
}

fn processor(value: &Text) -> Result<Kind, Diagnostic> {
    let kinds = [
        ("URLENCODED", Kind::Urlencoded),
        ("MULTIPART", Kind::Multipart),
        ("JSON", Kind::Json),
        ("XML", Kind::Xml),
    ];
    match kinds.into_iter().find(|row| value.is(row.0)) {
        Some((_, kind)) => Ok(kind),
        None => Err(value.place().error("expected `URLENCODED`, `MULTIPART`, `JSON` or `XML`")),
    }
}
