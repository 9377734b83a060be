//! What an expression says, and what its author most likely meant.

use ipnet::IpNet;

use super::country::is_country;
use super::order::{asks_waf, decides};
use super::{Findings, named};
use crate::armor::{Action, Condition, Expression, Rule, Scoring, SecurityPolicy};
use crate::expr::{
    Attribute, Comparison, Function, Kind, Literal, MapAttribute, Node, SetVersion, WafCall,
};

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

pub(super) fn lint(_policy: &SecurityPolicy, rule: &Rule, found: &mut Findings) {
    match &rule.condition {
        Condition::Any => {}
        Condition::SourceRanges(nets) => ranges(rule, nets, found),
        Condition::Expression(expression) => {
            let scope = Scope { rule, expression };
            if let Some(value) = constant(&expression.typed.root) {
                let id = if value { "always-true" } else { "always-false" };
                scope.report(
                    id,
                    &expression.typed.root,
                    &format!("the condition is always {value}"),
                    found,
                );
            }
            expression.typed.walk(&mut |node| scope.node(node, found));
            scope.unguarded(&expression.typed.root, &mut Vec::new(), found);
            scope.unknown_region(found);
            scope.secret_bypass(found);
            scope.exclusions(found);
        }
    }
    if rule.scoring != Scoring::Any && !asks_waf(rule) {
        let message = format!("{} asks no WAF set", named(rule));
        found.report("scoring-not-asked", message, rule.at.clone());
    }
}

/// Returns what a condition always is, as far as its form says.
pub(super) fn constant(node: &Node) -> Option<bool> {
    match &node.kind {
        Kind::Literal(Literal::Bool(value)) => Some(*value),
        Kind::Not(inner) => constant(inner).map(|value| !value),
        Kind::Any(inner) => {
            let known: Vec<Option<bool>> = inner.iter().map(constant).collect();
            if known.contains(&Some(true)) || contradicts(inner, Comparison::NotEqual) {
                return Some(true);
            }
            known.iter().all(|value| *value == Some(false)).then_some(false)
        }
        Kind::All(inner) => {
            let known: Vec<Option<bool>> = inner.iter().map(constant).collect();
            if known.contains(&Some(false)) || contradicts(inner, Comparison::Equal) {
                return Some(false);
            }
            known.iter().all(|value| *value == Some(true)).then_some(true)
        }
        Kind::Literal(_)
        | Kind::List(_)
        | Kind::Attribute(_)
        | Kind::Lookup { .. }
        | Kind::Claim(_)
        | Kind::Has(_)
        | Kind::Negate(_)
        | Kind::Compare { .. }
        | Kind::In { .. }
        | Kind::Arithmetic { .. }
        | Kind::Call { .. }
        | Kind::Matches { .. }
        | Kind::InIpRange { .. }
        | Kind::Waf(_)
        | Kind::AddressList(_)
        | Kind::AdaptiveProtection => None,
    }
}

/// Whether one attribute is compared with two different literals by the operator.
fn contradicts(operands: &[Node], wanted: Comparison) -> bool {
    let pairs: Vec<(Attribute, &Literal)> =
        operands.iter().filter_map(|node| compared(node, wanted)).collect();
    pairs.iter().enumerate().any(|(index, (attribute, literal))| {
        pairs.iter().skip(index + 1).any(|(other, value)| other == attribute && value != literal)
    })
}

fn compared(node: &Node, wanted: Comparison) -> Option<(Attribute, &Literal)> {
    let Kind::Compare { operator, left, right } = &node.kind else { return None };
    if *operator != wanted {
        return None;
    }
    attribute_and_literal(left, right).or_else(|| attribute_and_literal(right, left))
}

fn attribute_and_literal<'n>(left: &Node, right: &'n Node) -> Option<(Attribute, &'n Literal)> {
    let (Kind::Attribute(attribute), Kind::Literal(literal)) = (&left.kind, &right.kind) else {
        return None;
    };
    Some((*attribute, literal))
}

fn ranges(rule: &Rule, nets: &[IpNet], found: &mut Findings) {
    for (index, net) in nets.iter().enumerate() {
        let holder = nets.iter().enumerate().find(|(other, outer)| {
            *other != index && outer.contains(net) && (*outer != net || *other < index)
        });
        if let Some((_, outer)) = holder {
            let message = format!("{}: {net} lies inside {outer}", named(rule));
            found.report("contained-range", message, rule.at.clone());
        }
        if is_private(net) {
            found.report(
                "private-range",
                format!("{}: {net} is private", named(rule)),
                rule.at.clone(),
            );
        }
    }
}

fn is_private(net: &IpNet) -> bool {
    const PRIVATE: &[&str] =
        &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10"];
    PRIVATE
        .iter()
        .filter_map(|text| text.parse::<IpNet>().ok())
        .any(|private| private.contains(net))
}

/// One rule's expression.
struct Scope<'r> {
    rule: &'r Rule,
    expression: &'r Expression,
}

impl<'r> Scope<'r> {
    fn report(&self, id: &'static str, node: &Node, message: &str, found: &mut Findings) {
        let message = format!("{}: {message}", named(self.rule));
        found.report(id, message, self.expression.location(node.span));
    }

    fn refuses(&self) -> bool {
        matches!(self.rule.action, Action::Deny(_) | Action::Throttle(_) | Action::RateBasedBan(_))
    }

    fn node(&self, node: &Node, found: &mut Findings) {
        match &node.kind {
            Kind::Compare { operator, left, right } => {
                self.comparison(*operator, left, right, node, found);
            }
            Kind::In { needle, haystack } => {
                if let Kind::List(literals) = &haystack.kind {
                    for literal in literals {
                        self.literal(needle, literal, haystack, found);
                    }
                    self.raw_path(needle, node, found);
                }
            }
            Kind::Call { function, arguments } => self.call(*function, arguments, node, found),
            Kind::Matches { text, pattern, .. } => self.pattern(text, pattern, node, found),
            Kind::Waf(call) => self.waf(call, node, found),
            Kind::Literal(_)
            | Kind::List(_)
            | Kind::Attribute(_)
            | Kind::Lookup { .. }
            | Kind::Claim(_)
            | Kind::Has(_)
            | Kind::Not(_)
            | Kind::Negate(_)
            | Kind::All(_)
            | Kind::Any(_)
            | Kind::Arithmetic { .. }
            | Kind::InIpRange { .. }
            | Kind::AddressList(_)
            | Kind::AdaptiveProtection => {}
        }
    }

    fn waf(&self, call: &WafCall, node: &Node, found: &mut Findings) {
        let name = &call.set.name;
        if call.sensitivity.is_none() {
            let message = format!("`{name}` is asked at level 4");
            self.report("sensitivity-not-set", node, &message, found);
        }
        if !call.opt_out.is_empty() && call.set.version == SetVersion::Crs30 {
            let message = format!("`{name}` is a set of CRS 3.0");
            self.report("opt-out-on-crs-30", node, &message, found);
        }
    }

    fn comparison(
        &self,
        operator: Comparison,
        left: &Node,
        right: &Node,
        node: &Node,
        found: &mut Findings,
    ) {
        for (value, other) in [(left, right), (right, left)] {
            if let Kind::Literal(literal) = &other.kind {
                self.literal(value, literal, other, found);
                if matches!(operator, Comparison::Equal) {
                    self.raw_path(value, node, found);
                }
            }
        }
        let ordered = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
        if ordered && (reads_content_length(left) || reads_content_length(right)) {
            self.report(
                "content-length-guard",
                node,
                "the length is what Content-Length says",
                found,
            );
        }
    }

    fn literal(&self, value: &Node, literal: &Literal, at: &Node, found: &mut Findings) {
        let (Kind::Attribute(attribute), Literal::String(text)) = (&value.kind, literal) else {
            return;
        };
        if *attribute == Attribute::OriginRegionCode && !text.is_empty() && !is_country(text) {
            self.report("unknown-country", at, &format!("`{text}` is no country"), found);
        }
        if *attribute == Attribute::Method && !METHODS.contains(&text.as_str()) {
            self.report("unknown-method", at, &format!("`{text}` is no method"), found);
        }
    }

    fn raw_path(&self, value: &Node, at: &Node, found: &mut Findings) {
        if self.refuses() && matches!(value.kind, Kind::Attribute(Attribute::Path)) {
            self.report("path-not-normalised", at, "the path is compared as it was sent", found);
        }
    }

    fn call(&self, function: Function, arguments: &[Node], node: &Node, found: &mut Findings) {
        if matches!(function, Function::UrlDecode | Function::UrlDecodeUni) {
            self.decoded_after_lowering(arguments, node, found);
        }
        let [text, part] = arguments else { return };
        self.raw_path(text, node, found);
        let searched = matches!(text.kind, Kind::Literal(_)) && function == Function::Contains;
        if searched && matches!(part.kind, Kind::Attribute(Attribute::OriginRegionCode)) {
            self.report("region-in-text", node, "the text contains '' too", found);
        }
    }

    /// A second lower() behind the decoding makes it good.
    fn decoded_after_lowering(&self, arguments: &[Node], node: &Node, found: &mut Findings) {
        let [inner] = arguments else { return };
        let Kind::Call { function: Function::Lower, arguments } = &inner.kind else { return };
        let on_path =
            arguments.iter().any(|of| matches!(of.kind, Kind::Attribute(Attribute::Path)));
        let lowered_again = self.text_behind(node).trim_start().starts_with(".lower()");
        if on_path && self.refuses() && !lowered_again {
            self.report(
                "path-lowered-before-decoding",
                node,
                "/%41dmin is decoded to /Admin",
                found,
            );
        }
    }

    fn text_behind(&self, node: &Node) -> &'r str {
        self.expression.typed.text.get(node.span.end..).unwrap_or_default()
    }

    fn pattern(&self, text: &Node, pattern: &str, node: &Node, found: &mut Findings) {
        self.raw_path(text, node, found);
        let mut on_path = false;
        text.walk(&mut |inner| on_path |= matches!(inner.kind, Kind::Attribute(Attribute::Path)));
        if on_path && !pattern.contains('^') && !pattern.contains(r"\A") {
            self.report("unanchored-path", node, "the pattern has no ^", found);
        }
        let begins = pattern.contains('^') || pattern.contains(r"\A");
        let ends = pattern.contains('$') || pattern.contains(r"\z");
        let mut on_host = false;
        text.walk(&mut |inner| on_host |= lookup_name(inner) == Some("host"));
        if on_host && !(begins && ends) {
            self.report("unanchored-host", node, "the pattern has no ^ or no $", found);
        }
        if captures(pattern) {
            self.report("capture-group", node, "the pattern captures", found);
        }
    }

    /// A read is guarded where a has() of the same text stands in the same `&&`, before or after it.
    fn unguarded(&self, node: &Node, guards: &mut Vec<&'r str>, found: &mut Findings) {
        match &node.kind {
            Kind::All(inner) => {
                let before = guards.len();
                for operand in inner {
                    if let Kind::Has(entry) = &operand.kind {
                        guards.push(self.text(entry));
                    }
                }
                for operand in inner {
                    self.unguarded(operand, guards, found);
                }
                guards.truncate(before);
            }
            Kind::Any(inner) => {
                let before = guards.len();
                for operand in inner {
                    if let Kind::Not(negated) = &operand.kind
                        && let Kind::Has(entry) = &negated.kind
                    {
                        guards.push(self.text(entry));
                    }
                }
                for operand in inner {
                    self.unguarded(operand, guards, found);
                }
                guards.truncate(before);
            }
            Kind::Has(_) => {}
            Kind::Lookup { map, .. } => {
                let host = *map == MapAttribute::Headers && lookup_name(node) == Some("host");
                if !host && !guards.contains(&self.text(node)) {
                    self.report(
                        "unguarded-header",
                        node,
                        &format!("`{}` may be missing", self.text(node)),
                        found,
                    );
                }
            }
            Kind::Claim(_) => {
                if !guards.contains(&self.text(node)) {
                    self.report(
                        "unguarded-header",
                        node,
                        &format!("`{}` may be missing", self.text(node)),
                        found,
                    );
                }
            }
            Kind::Not(inner) | Kind::Negate(inner) | Kind::Matches { text: inner, .. } => {
                self.unguarded(inner, guards, found);
            }
            Kind::Compare { left, right, .. }
            | Kind::Arithmetic { left, right, .. }
            | Kind::In { needle: left, haystack: right } => {
                self.unguarded(left, guards, found);
                self.unguarded(right, guards, found);
            }
            Kind::Call { arguments, .. } => {
                for argument in arguments {
                    self.unguarded(argument, guards, found);
                }
            }
            Kind::InIpRange { address, .. } => self.unguarded(address, guards, found),
            Kind::AddressList(call) => self.unguarded(&call.address, guards, found),
            Kind::Literal(_)
            | Kind::List(_)
            | Kind::Attribute(_)
            | Kind::Waf(_)
            | Kind::AdaptiveProtection => {}
        }
    }

    fn text(&self, node: &Node) -> &'r str {
        self.expression.typed.text.get(node.span.start..node.span.end).unwrap_or_default()
    }

    /// `!(region in […])` in a refusal, with nothing that asks for `''`.
    fn unknown_region(&self, found: &mut Findings) {
        if !matches!(self.rule.action, Action::Deny(_)) {
            return;
        }
        let mut complement = None;
        let mut asked = false;
        self.expression.typed.walk(&mut |node| {
            if let Kind::Not(inner) = &node.kind
                && let Kind::In { needle, .. } = &inner.kind
                && matches!(needle.kind, Kind::Attribute(Attribute::OriginRegionCode))
            {
                complement = Some(node);
                asked |= self.text(inner).contains("''") || self.text(inner).contains("\"\"");
            }
            for operator in [Comparison::Equal, Comparison::NotEqual] {
                let empty = Literal::String(String::new());
                asked |= compared(node, operator) == Some((Attribute::OriginRegionCode, &empty));
            }
        });
        if let (Some(node), false) = (complement, asked) {
            self.report("unknown-region-refused", node, "an unknown country is refused too", found);
        }
    }

    fn secret_bypass(&self, found: &mut Findings) {
        if !matches!(self.rule.action, Action::Allow) || !decides(self.rule) {
            return;
        }
        self.expression.typed.walk(&mut |node| {
            let Kind::Compare { operator: Comparison::Equal, left, right } = &node.kind else {
                return;
            };
            for (value, other) in [(left, right), (right, left)] {
                let secret = matches!(value.kind, Kind::Lookup { map: MapAttribute::Headers, .. })
                    && matches!(other.kind, Kind::Literal(_))
                    && lookup_name(value).is_some_and(|name| {
                        !matches!(name, "host" | "user-agent" | "content-type")
                    });
                if secret {
                    self.report(
                        "secret-header-bypass",
                        node,
                        "whoever sends this header is allowed",
                        found,
                    );
                }
            }
        });
    }

    fn exclusions(&self, found: &mut Findings) {
        let mut sets = Vec::new();
        self.expression.typed.walk(&mut |node| {
            if let Kind::Waf(call) = &node.kind {
                sets.push(call.set.name.as_str());
            }
        });
        for exclusion in &self.rule.exclusions {
            if !sets.contains(&exclusion.set.as_str()) {
                let message = format!("{}: an exclusion for `{}`", named(self.rule), exclusion.set);
                found.report("exclusion-not-asked", message, exclusion.at.clone());
            }
        }
    }
}

fn lookup_name(node: &Node) -> Option<&str> {
    let Kind::Lookup { key, .. } = &node.kind else { return None };
    if let Kind::Literal(Literal::String(name)) = &key.kind { Some(name) } else { None }
}

fn reads_content_length(node: &Node) -> bool {
    let mut reads = false;
    node.walk(&mut |inner| reads |= lookup_name(inner) == Some("content-length"));
    reads
}

/// Whether a pattern, which parses, has a group that captures, named or not.
pub(super) fn captures(pattern: &str) -> bool {
    let parsed =
        regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    parsed.is_ok_and(|parsed| parsed.properties().explicit_captures_len() > 0)
}
