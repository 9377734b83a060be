//! Evaluation of conditions, with CEL's error semantics and a third answer: not known yet.
//!
//! `a && b` is false as soon as one side is, whatever the other is or needs; so nothing is fetched for a rule that
//! cannot match. Values borrow from the request; only transformations allocate.

mod answer;
mod claims;
mod exclusion;
mod facts;
mod key;
mod params;
mod value;

pub(crate) use answer::Run;
pub(crate) use facts::{Facts, Found, Given, KeptBody, Token, Worked, user_ip};
pub(crate) use key::{Key, rate_key};
use value::{Stop, Value};

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_config::expr::{Comparison, Need};

use crate::compile::{Code, Operand};

/// What a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    /// An error, such as a missing header: the rule does not match.
    Error,
    /// Not known before this is fetched.
    Needs(Need),
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl From<Stop> for Truth {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Error => Self::Error,
            Stop::Needs(need) => Self::Needs(need),
        }
    }
}

/// Evaluates a condition. Cost: one visit of each node, no more.
pub(crate) fn truth<'f>(code: &'f Code, facts: &mut Facts<'f, '_>) -> Truth {
    match code {
        Code::Constant(value) => (*value).into(),
        Code::Is { text, literal, negated } => {
            ((facts.head_text(*text) == &**literal) != *negated).into()
        }
        Code::Not(inner) => match truth(inner, facts) {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            other @ (Truth::Error | Truth::Needs(_)) => other,
        },
        Code::All(inner) => junction(inner, Truth::False, facts),
        Code::Any(inner) => junction(inner, Truth::True, facts),
        Code::Waf(question) => facts.waf(*question),
        Code::Compare { .. }
        | Code::InTexts(..)
        | Code::InInts(..)
        | Code::InList(..)
        | Code::Contains(..)
        | Code::ContainsText(..)
        | Code::StartsWith(..)
        | Code::EndsWith(..)
        | Code::Matches(..)
        | Code::InRange(..)
        | Code::InComputedRange(..)
        | Code::Listed(_)
        | Code::Has(_)
        | Code::True(_) => predicate(code, facts).map_or_else(Truth::from, Truth::from),
    }
}

/// `decisive` ends it; else what is needed outweighs an error, and an error the rest. Of two needs the cheaper first.
fn junction<'f>(operands: &'f [Code], decisive: Truth, facts: &mut Facts<'f, '_>) -> Truth {
    let mut needs = None;
    let mut error = false;
    for operand in operands {
        match truth(operand, facts) {
            found if found == decisive => return decisive,
            Truth::Error => error = true,
            Truth::Needs(need) => needs = Some(needs.map_or(need, |known: Need| known.min(need))),
            Truth::True | Truth::False => {}
        }
    }
    match (needs, error) {
        (Some(need), _) => Truth::Needs(need),
        (None, true) => Truth::Error,
        (None, false) if decisive == Truth::True => Truth::False,
        (None, false) => Truth::True,
    }
}

fn predicate<'f>(code: &'f Code, facts: &mut Facts<'f, '_>) -> Result<bool, Stop> {
    match code {
        Code::Compare { operator, left, right } => {
            // A need outweighs an error, so that what is not known yet is never taken for wrong.
            let left = facts.value(left);
            let right = facts.value(right);
            match (left, right) {
                (Err(Stop::Needs(need)), _) | (_, Err(Stop::Needs(need))) => Err(Stop::Needs(need)),
                (Ok(Value::Text(left)), Ok(Value::Text(right)))
                    if *operator == Comparison::Equal =>
                {
                    // The usual rule: most texts differ in length, which costs one comparison.
                    Ok(left == right)
                }
                (left, right) => compare(*operator, &left?, &right?),
            }
        }
        Code::InTexts(needle, texts) => {
            let needle = facts.text(needle)?;
            Ok(texts.binary_search_by(|text| (**text).cmp(&needle)).is_ok())
        }
        Code::InInts(needle, ints) => {
            let needle = facts.value(needle)?.int()?;
            Ok(ints.binary_search(&needle).is_ok())
        }
        Code::InList(needle, list) => {
            let needle = facts.value(needle)?;
            facts.value(list)?.holds(&needle)
        }
        Code::Contains(text, part) => {
            pair(text, part, facts, |text, part| memchr::memmem::find(text, part).is_some())
        }
        Code::ContainsText(text, part) => Ok(part.find(&facts.text(text)?).is_some()),
        Code::StartsWith(text, part) => pair(text, part, facts, <[u8]>::starts_with),
        Code::EndsWith(text, part) => pair(text, part, facts, <[u8]>::ends_with),
        Code::Matches(text, regex) => {
            let text = facts.text(text)?;
            Ok(regex.is_match(&*text))
        }
        Code::InRange(address, set) => Ok(set.contains(facts.value(address)?.address()?)),
        Code::InComputedRange(address, range) => {
            let address = facts.value(address)?.address()?;
            let net = parse_net(&facts.text(range)?).ok_or(Stop::Error)?;
            Ok(net.contains(&address.to_canonical()))
        }
        Code::Listed(listed) => {
            let address = facts.value(&listed.address)?.address()?;
            let found = listed.list.contains(address) && !listed.exclusions.contains(address);
            if found {
                facts.note_list(listed.kind, &listed.name);
            }
            Ok(found)
        }
        Code::Has(operand) => {
            let stop = if let Operand::Common(number) = operand {
                facts.common(*number).err()
            } else {
                facts.value(operand).err()
            };
            match stop {
                None => Ok(true),
                Some(Stop::Error) => Ok(false),
                Some(need @ Stop::Needs(_)) => Err(need),
            }
        }
        Code::True(operand) => facts.value(operand)?.bool(),
        Code::Constant(_)
        | Code::Is { .. }
        | Code::Not(_)
        | Code::All(_)
        | Code::Any(_)
        | Code::Waf(_) => match truth(code, facts) {
            Truth::True => Ok(true),
            Truth::False => Ok(false),
            Truth::Error => Err(Stop::Error),
            Truth::Needs(need) => Err(Stop::Needs(need)),
        },
    }
}

fn pair<'f>(
    text: &'f Operand,
    part: &'f Operand,
    facts: &mut Facts<'f, '_>,
    test: fn(&[u8], &[u8]) -> bool,
) -> Result<bool, Stop> {
    let text = facts.text(text)?;
    let part = facts.text(part)?;
    Ok(test(&text, &part))
}

fn compare(operator: Comparison, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Stop> {
    let order = left.order(right)?;
    Ok(match operator {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn parse_net(text: &[u8]) -> Option<IpNet> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
