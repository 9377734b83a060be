//! The three parts of a rule as syntax: targets, operator, actions.

use super::text::Text;
use crate::Diagnostic;

/// One target: `&ARGS:name`, `!REQUEST_COOKIES:/re/`, `XML:/*`.
#[derive(Clone, Debug)]
pub(crate) struct TargetSyntax {
    /// `!`: taken out of what the other targets name.
    pub(crate) excluded: bool,
    /// `&`: how many, instead of which.
    pub(crate) counted: bool,
    pub(crate) variable: Text,
    pub(crate) selector: Option<Text>,
    /// The selector is a regular expression, its slashes removed.
    pub(crate) is_regex: bool,
}

/// `!@name argument`; without `@` the whole is a regular expression.
#[derive(Clone, Debug)]
pub(crate) struct OperatorSyntax {
    pub(crate) negated: bool,
    pub(crate) name: String,
    pub(crate) name_at: Text,
    pub(crate) argument: Text,
}

/// `name` or `name:value`, quotes of the value removed.
#[derive(Clone, Debug)]
pub(crate) struct ActionSyntax {
    pub(crate) name: Text,
    pub(crate) value: Option<Text>,
}

/// Cuts a target list at `|` or `,`, but not inside a selector's slashes or quotes.
pub(crate) fn targets(text: &Text) -> Result<Vec<TargetSyntax>, Diagnostic> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = target_end(text, at);
        found.push(target(&text.slice(at, end).trim())?);
        at = end + 1;
    }
    if found.is_empty() {
        return Err(text.place().error("no target: a rule names at least one variable"));
    }
    Ok(found)
}

/// Where the target that starts at `start` ends. A selector that opens with `/` or `'/` runs to its
/// closing slash (or quote); `XML:/*` and `XML://@*` have none and end at the separator.
fn target_end(text: &Text, start: usize) -> usize {
    let separator = |at: usize| matches!(text.byte(at), None | Some(b'|' | b','));
    let mut at = start;
    while !separator(at) {
        let opens = text.byte(at) == Some(b':');
        at += 1;
        if !opens {
            continue;
        }
        let quoted = text.byte(at) == Some(b'\'');
        let name = text.slice(start, at - 1);
        let slashed = text.byte(at) == Some(b'/') && !name.bytes().eq_ignore_ascii_case(b"XML");
        if !quoted && !slashed {
            continue;
        }
        let close = if quoted { b'\'' } else { b'/' };
        at += 1;
        while let Some(byte) = text.byte(at) {
            if byte == b'\\' {
                at += 1;
            } else if byte == close && separator(at + 1) {
                break;
            }
            at += 1;
        }
        at = (at + 1).min(text.len());
    }
    at
}

fn target(text: &Text) -> Result<TargetSyntax, Diagnostic> {
    let excluded = text.byte(0) == Some(b'!');
    let rest = text.slice(usize::from(excluded), text.len());
    let counted = rest.byte(0) == Some(b'&');
    let rest = rest.slice(usize::from(counted), rest.len());
    // ModSecurity writes `TX:name` and, in some places, `TX.name`.
    let (variable, selector) = match rest.split_once(b':').or_else(|| rest.split_once(b'.')) {
        Some((variable, selector)) => (variable, Some(selector)),
        None => (rest, None),
    };
    if variable.is_empty() {
        return Err(text.place().error("a target without a variable"));
    }
    let selector = selector.map(unquoted);
    let body = selector.as_ref().map(Text::bytes).unwrap_or_default();
    let slashed = body.len() > 2 && body.first() == Some(&b'/') && body.last() == Some(&b'/');
    let is_regex = slashed && !variable.is("XML");
    let selector = match selector {
        Some(text) if is_regex => Some(text.slice(1, text.len() - 1)),
        Some(text) if text.is_empty() => {
            return Err(text.place().error("an empty selector"));
        }
        other => other,
    };
    Ok(TargetSyntax { excluded, counted, variable, selector, is_regex })
}

/// Cuts an operator.
pub(crate) fn operator(text: &Text) -> Result<OperatorSyntax, Diagnostic> {
    let text = &text.trim();
    let negated = text.byte(0) == Some(b'!');
    let rest = text.slice(usize::from(negated), text.len()).trim();
    if rest.byte(0) != Some(b'@') {
        let name_at = rest.slice(0, 0);
        return Ok(OperatorSyntax { negated, name: "rx".to_owned(), name_at, argument: rest });
    }
    let blank = |b: &u8| b.is_ascii_whitespace();
    let end = rest.bytes().iter().position(blank).unwrap_or(rest.len());
    let name_at = rest.slice(1, end);
    let name = name_at.as_str()?.to_owned();
    let argument = rest.slice(end, rest.len()).trim();
    Ok(OperatorSyntax { negated, name, name_at, argument })
}

/// Cuts an action list at commas outside single quotes.
pub(crate) fn actions(text: &Text) -> Result<Vec<ActionSyntax>, Diagnostic> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = action_end(text, at)?;
        let piece = text.slice(at, end).trim();
        at = end + 1;
        if piece.is_empty() {
            continue;
        }
        found.push(match piece.split_once(b':') {
            Some((name, value)) => {
                ActionSyntax { name: name.trim(), value: Some(unquoted(value.trim())) }
            }
            None => ActionSyntax { name: piece, value: None },
        });
    }
    Ok(found)
}

fn action_end(text: &Text, start: usize) -> Result<usize, Diagnostic> {
    let mut at = start;
    let mut open = None;
    while let Some(byte) = text.byte(at) {
        match (byte, open) {
            (b'\\', Some(_)) => at += 1,
            (b'\'', None) => open = Some(at),
            (b'\'', Some(_)) => open = None,
            (b',', None) => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    match open {
        Some(at) => Err(text.slice(at, at + 1).place().error("this quote is never closed")),
        None => Ok(text.len()),
    }
}

/// Removes a pair of single quotes around the whole, and the backslash before a quote inside.
fn unquoted(text: Text) -> Text {
    let body = text.bytes();
    if body.len() < 2 || body.first() != Some(&b'\'') || body.last() != Some(&b'\'') {
        return text;
    }
    let inner = text.slice(1, text.len() - 1);
    let mut out = inner.slice(0, 0);
    for at in 0..inner.len() {
        let escape = inner.byte(at) == Some(b'\\') && inner.byte(at + 1) == Some(b'\'');
        if !escape {
            out.append(&inner, at, at + 1);
        }
    }
    out
}
