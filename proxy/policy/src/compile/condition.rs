//! Conditions: the typed tree to [`Code`].

use memchr::memmem::Finder;
use portcullis_config::Diagnostic;
use portcullis_config::armor::{self, Expression};
use portcullis_config::expr::{
    Attribute, Comparison, Function, IpRange, Kind, ListCall, Literal, MapAttribute, Node, Span,
};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::Compiler;
use super::code::{Code, Common, HeadText, Listed, Operand};
use crate::address_set::IpSet;

/// How large one regex's automaton may be.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// What the compilation of one expression needs to know.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) rule: &'c armor::Rule,
    pub(super) expression: &'c Expression,
}

impl Compiler<'_> {
    pub(super) fn condition(&mut self, rule: &armor::Rule) -> Option<Code> {
        match &rule.condition {
            armor::Condition::Any => Some(Code::Constant(true)),
            armor::Condition::SourceRanges(nets) => Some(Code::InRange(
                Operand::Attribute(Attribute::OriginIp),
                IpSet::new(nets.iter().copied()),
            )),
            armor::Condition::Expression(expression) => {
                self.code(&expression.typed.root, Context { rule, expression })
            }
        }
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: Context<'_>,
        span: Span,
        message: String,
    ) -> &mut Diagnostic {
        let at = at.expression.location(span);
        self.problems.push(Diagnostic::error(code, message).at(at));
        self.problems.last_mut().expect("one was just pushed")
    }

    fn code(&mut self, node: &Node, at: Context<'_>) -> Option<Code> {
        match &node.kind {
            Kind::Literal(Literal::Bool(value)) => Some(Code::Constant(*value)),
            Kind::Not(inner) => Some(Code::Not(Box::new(self.code(inner, at)?))),
            Kind::All(inner) => Some(Code::All(self.codes(inner, at)?)),
            Kind::Any(inner) => Some(Code::Any(self.codes(inner, at)?)),
            Kind::Compare { operator, left, right } => {
                if is_recaptcha(left) || is_recaptcha(right) {
                    return Some(Code::Constant(false));
                }
                if let Some(code) =
                    is(*operator, left, right).or_else(|| is(*operator, right, left))
                {
                    return Some(code);
                }
                let (left, right) = (self.operand(left, at), self.operand(right, at));
                Some(Code::Compare { operator: *operator, left: left?, right: right? })
            }
            Kind::In { needle, haystack } => self.membership(needle, haystack, at),
            Kind::Call { function, arguments } => self.call(*function, arguments, at),
            Kind::Matches { text, pattern, pattern_span } => {
                let text = self.operand(text, at);
                let regex = self.regex(pattern, *pattern_span, at);
                Some(Code::Matches(text?, regex?))
            }
            Kind::InIpRange { address, range } => {
                let address = self.operand(address, at)?;
                match range {
                    IpRange::Literal(net) => Some(Code::InRange(address, IpSet::new([*net]))),
                    IpRange::Computed(range) => {
                        Some(Code::InComputedRange(address, self.operand(range, at)?))
                    }
                }
            }
            Kind::AddressList(call) => self.listed(call, at),
            Kind::Has(inner) => Some(Code::Has(self.operand(inner, at)?)),
            Kind::Waf(call) => self.question(call, at).map(Code::Waf),
            Kind::AdaptiveProtection => Some(Code::Constant(false)),
            Kind::Attribute(Attribute::Recaptcha(_)) => Some(Code::Constant(false)),
            Kind::Literal(Literal::Int(_) | Literal::Double(_) | Literal::String(_))
            | Kind::List(_)
            | Kind::Attribute(_)
            | Kind::Lookup { .. }
            | Kind::Claim(_)
            | Kind::Negate(_)
            | Kind::Arithmetic { .. } => Some(Code::True(self.operand(node, at)?)),
        }
    }

    fn codes(&mut self, nodes: &[Node], at: Context<'_>) -> Option<Box<[Code]>> {
        let codes: Vec<Option<Code>> = nodes.iter().map(|node| self.code(node, at)).collect();
        codes.into_iter().collect()
    }

    pub(super) fn operand(&mut self, node: &Node, at: Context<'_>) -> Option<Operand> {
        match &node.kind {
            Kind::Literal(literal) => Some(match literal {
                Literal::Bool(value) => Operand::Bool(*value),
                Literal::Int(value) => Operand::Int(*value),
                Literal::Double(value) => Operand::Double(*value),
                Literal::String(value) => Operand::Text(value.as_bytes().into()),
            }),
            Kind::Attribute(attribute) => {
                self.reads_body |= *attribute == Attribute::Body;
                Some(Operand::Attribute(*attribute))
            }
            Kind::Lookup { map, key } => self.lookup(*map, key, at),
            Kind::Claim(path) => {
                self.reads_claims = true;
                Some(Operand::Claim(path.clone().into()))
            }
            Kind::Negate(inner) => Some(Operand::Negate(Box::new(self.operand(inner, at)?))),
            Kind::Arithmetic { operator, left, right } => {
                let (left, right) = (self.operand(left, at), self.operand(right, at));
                Some(Operand::Arithmetic {
                    operator: *operator,
                    left: Box::new(left?),
                    right: Box::new(right?),
                })
            }
            Kind::Call { function, arguments } if !is_predicate(*function) => {
                let argument = arguments.first().and_then(|argument| self.operand(argument, at))?;
                Some(self.applied(*function, argument))
            }
            Kind::List(_)
            | Kind::Has(_)
            | Kind::Not(_)
            | Kind::All(_)
            | Kind::Any(_)
            | Kind::Compare { .. }
            | Kind::In { .. }
            | Kind::Call { .. }
            | Kind::Matches { .. }
            | Kind::InIpRange { .. }
            | Kind::Waf(_)
            | Kind::AddressList(_)
            | Kind::AdaptiveProtection => Some(Operand::Condition(Box::new(self.code(node, at)?))),
        }
    }

    fn lookup(&mut self, map: MapAttribute, key: &Node, at: Context<'_>) -> Option<Operand> {
        self.reads_body |= map == MapAttribute::Params;
        if let Kind::Literal(Literal::String(name)) = &key.kind {
            let name = name.as_bytes().into();
            let common = match map {
                MapAttribute::Headers => Common::Header(name),
                MapAttribute::Cookies => Common::Cookie(name),
                MapAttribute::Params => Common::Param(name),
                MapAttribute::Claims => return None,
            };
            return Some(self.common(common));
        }
        let key = Box::new(self.operand(key, at)?);
        match map {
            MapAttribute::Headers => Some(Operand::HeaderBy(key)),
            MapAttribute::Cookies => Some(Operand::CookieBy(key)),
            MapAttribute::Params => Some(Operand::ParamBy(key)),
            MapAttribute::Claims => None,
        }
    }

    fn membership(&mut self, needle: &Node, haystack: &Node, at: Context<'_>) -> Option<Code> {
        let needle = self.operand(needle, at)?;
        let Kind::List(literals) = &haystack.kind else {
            return Some(Code::InList(needle, self.operand(haystack, at)?));
        };
        let mut texts: Vec<Box<[u8]>> = Vec::new();
        let mut ints = Vec::new();
        for literal in literals {
            match literal {
                Literal::String(text) => texts.push(text.as_bytes().into()),
                Literal::Int(int) => ints.push(*int),
                Literal::Bool(_) | Literal::Double(_) => {}
            }
        }
        if ints.is_empty() {
            texts.sort_unstable();
            return Some(Code::InTexts(needle, texts.into()));
        }
        ints.sort_unstable();
        Some(Code::InInts(needle, ints.into()))
    }

    fn call(&mut self, function: Function, arguments: &[Node], at: Context<'_>) -> Option<Code> {
        let make: fn(Operand, Operand) -> Code = match function {
            Function::Contains => Code::Contains,
            Function::StartsWith => Code::StartsWith,
            Function::EndsWith => Code::EndsWith,
            Function::Lower
            | Function::Upper
            | Function::UrlDecode
            | Function::UrlDecodeUni
            | Function::Base64Decode
            | Function::Utf8ToUnicode
            | Function::Size
            | Function::Int
            | Function::Double
            | Function::String => {
                let argument = arguments.first().and_then(|argument| self.operand(argument, at))?;
                return Some(Code::True(self.applied(function, argument)));
            }
        };
        let [text, part] = arguments else { return None };
        let (text, part) = (self.operand(text, at), self.operand(part, at));
        Some(match (function, text?, part?) {
            (Function::Contains, text, Operand::Text(part)) => {
                Code::ContainsText(text, Box::new(Finder::new(&part).into_owned()))
            }
            (_, text, part) => make(text, part),
        })
    }

    fn applied(&mut self, function: Function, argument: Operand) -> Operand {
        match &argument {
            Operand::Attribute(attribute) => self.common(Common::Applied(function, *attribute)),
            Operand::Common(number) => self.common(Common::Nested(function, *number)),
            Operand::Text(_)
            | Operand::Int(_)
            | Operand::Double(_)
            | Operand::Bool(_)
            | Operand::HeaderBy(_)
            | Operand::CookieBy(_)
            | Operand::ParamBy(_)
            | Operand::Claim(_)
            | Operand::Negate(_)
            | Operand::Arithmetic { .. }
            | Operand::Function(..)
            | Operand::Condition(_) => Operand::Function(function, Box::new(argument)),
        }
    }

    /// Returns the number of a common value; equal ones have one.
    pub(super) fn common(&mut self, common: Common) -> Operand {
        let next = self.commons.len();
        let number = *self.commons.entry(common).or_insert(next);
        Operand::Common(number)
    }

    fn regex(&mut self, pattern: &str, span: Span, at: Context<'_>) -> Option<Regex> {
        let built = Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(64))
            .configure(Regex::config().utf8_empty(false).nfa_size_limit(Some(REGEX_BYTES_MAX)))
            .build(pattern);
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                let reason = match error.size_limit() {
                    Some(limit) => format!("its automaton is larger than {limit} bytes"),
                    None => error.to_string(),
                };
                self.error("regex", at, span, format!("the pattern does not compile: {reason}"));
                None
            }
        }
    }

    fn listed(&mut self, call: &ListCall, at: Context<'_>) -> Option<Code> {
        let address = self.operand(&call.address, at)?;
        let Some(list) = self.with.lists.get(&call.name) else {
            let known: Vec<&str> = self.with.lists.keys().map(String::as_str).collect();
            let help = match portcullis_config::did_you_mean(&call.name, known) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!(
                    "declare it in the configuration: lists: {{ {}: {{ file: … }} }}",
                    call.name
                ),
            };
            self.error(
                "unknown-list",
                at,
                call.name_span,
                format!("no address list `{}`", call.name),
            )
            .help = Some(help);
            return None;
        };
        let listed = Listed {
            kind: call.kind,
            name: call.name.as_str().into(),
            address,
            list: list.clone(),
            exclusions: IpSet::new(call.exclusions.iter().copied()),
        };
        Some(Code::Listed(Box::new(listed)))
    }
}

/// Returns the short form of an attribute's comparison with a literal.
fn is(operator: Comparison, value: &Node, literal: &Node) -> Option<Code> {
    let negated = match operator {
        Comparison::Equal => false,
        Comparison::NotEqual => true,
        Comparison::Less
        | Comparison::LessEqual
        | Comparison::Greater
        | Comparison::GreaterEqual => return None,
    };
    let (Kind::Attribute(attribute), Kind::Literal(Literal::String(literal))) =
        (&value.kind, &literal.kind)
    else {
        return None;
    };
    let text = HeadText::of(*attribute)?;
    Some(Code::Is { text, literal: literal.as_bytes().into(), negated })
}

const fn is_predicate(function: Function) -> bool {
    matches!(function, Function::Contains | Function::StartsWith | Function::EndsWith)
}

fn is_recaptcha(node: &Node) -> bool {
    matches!(node.kind, Kind::Attribute(Attribute::Recaptcha(_)))
}
