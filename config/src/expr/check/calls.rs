//! Calls: functions on values by their table, and the special ones each by its own rules.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::attribute::Attribute;
use super::super::function::{FUNCTIONS, Form, SPECIAL, Signature, meant};
use super::super::problem::Span;
use super::super::special::{ListCall, ListKind, SignatureRef, WafCall, WafSet};
use super::super::syntax::{Syntax, SyntaxKind};
use super::super::typed::{IpRange, Kind, Node, Type};
use super::Checker;

/// The most signature ids of one call.
const SIGNATURES_MAX: usize = 128;

impl Checker {
    pub(super) fn call(
        &mut self,
        on: Option<&Syntax>,
        name: &str,
        name_span: Span,
        arguments: &[Syntax],
        span: Span,
    ) -> Option<Node> {
        match (on, name) {
            (None, "has") => self.has(arguments, span),
            (Some(on), "matches") => self.matches(on, arguments, span),
            (None, "inIpRange") => self.in_ip_range(arguments, span),
            (None, "evaluatePreconfiguredWaf") => self.waf(arguments, false, span),
            (None, "evaluatePreconfiguredExpr") => self.waf(arguments, true, span),
            (None, "evaluateAddressGroup" | "evaluateOrganizationAddressGroup") => {
                self.address_list(ListKind::AddressGroup, arguments, span)
            }
            (None, "evaluateThreatIntelligence") => {
                self.address_list(ListKind::ThreatFeed, arguments, span)
            }
            (None, "evaluateAdaptiveProtection" | "evaluateAdaptiveProtectionAutoDeploy") => {
                self.adaptive(name, arguments, span)
            }
            (on, name) => self.plain(on, name, name_span, arguments, span),
        }
    }

    fn plain(
        &mut self,
        on: Option<&Syntax>,
        name: &str,
        name_span: Span,
        arguments: &[Syntax],
        span: Span,
    ) -> Option<Node> {
        let Some(signature) = FUNCTIONS.iter().find(|signature| signature.name == name) else {
            self.unknown_function(on.is_some(), name, name_span);
            return None;
        };
        match (on, signature.form) {
            (None, Form::Method) => {
                self.error(
                    "call",
                    name_span,
                    format!("`{name}` is called on a value: a.{name}(…)"),
                );
                return None;
            }
            (Some(_), Form::Global) => {
                self.error("call", name_span, format!("`{name}` is called as {name}(…)"));
                return None;
            }
            (None, Form::Global | Form::Either) | (Some(_), Form::Method | Form::Either) => {}
        }
        let all: Vec<&Syntax> = on.into_iter().chain(arguments).collect();
        self.arguments(signature, &all, span)
    }

    fn unknown_function(&mut self, is_method: bool, name: &str, name_span: Span) {
        let message = format!("unknown function `{name}`");
        match meant(name) {
            Some(meant) if meant == name && SPECIAL.contains(&name) => {
                let form =
                    if is_method { format!("{name}(…)") } else { format!("a.{name}(…)") };
                self.error("call", name_span, format!("`{name}` is called as {form}"));
            }
            Some(meant) => {
                self.error_with_help(
                    "unknown-function",
                    name_span,
                    message,
                    format!("did you mean `{meant}`?"),
                );
            }
            None => self.error("unknown-function", name_span, message),
        }
    }

    fn arguments(&mut self, signature: &Signature, all: &[&Syntax], span: Span) -> Option<Node> {
        let wanted = 1 + signature.rest.len();
        if all.len() != wanted {
            let counted = if matches!(signature.form, Form::Method) { wanted - 1 } else { wanted };
            self.error("call", span, format!("`{}` takes {counted} argument(s)", signature.name));
            return None;
        }
        let nodes: Vec<Option<Node>> = all.iter().map(|syntax| self.node(syntax)).collect();
        let nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
        for (position, node) in nodes.iter().enumerate() {
            match position.checked_sub(1).and_then(|rest| signature.rest.get(rest)) {
                Some(ty) => self.expect_type(node, &[*ty])?,
                None => self.expect_type(node, signature.first)?,
            }
        }
        let kind = Kind::Call { function: signature.function, arguments: nodes };
        Some(Node { kind, ty: signature.result, span })
    }

    fn exactly<'s, const N: usize>(
        &mut self,
        name: &str,
        arguments: &'s [Syntax],
        span: Span,
    ) -> Option<&'s [Syntax; N]> {
        let fitting = arguments.try_into().ok();
        if fitting.is_none() {
            self.error("call", span, format!("`{name}` takes {N} argument(s)"));
        }
        fitting
    }

    fn has(&mut self, arguments: &[Syntax], span: Span) -> Option<Node> {
        let [argument] = self.exactly("has", arguments, span)?;
        let inner = self.node(argument)?;
        if matches!(inner.kind, Kind::Lookup { .. } | Kind::Claim(_)) {
            return Some(Node { kind: Kind::Has(Box::new(inner)), ty: Type::Bool, span });
        }
        let help = "has() asks for an entry of a map: has(request.headers['x'])";
        self.error_with_help("call", argument.span, "this is always present", help);
        None
    }

    fn matches(&mut self, on: &Syntax, arguments: &[Syntax], span: Span) -> Option<Node> {
        let text = self.node(on);
        let [argument] = self.exactly("matches", arguments, span)?;
        let SyntaxKind::Str(written) = &argument.kind else {
            self.error(
                "regex",
                argument.span,
                "the pattern is a string, written out: it is compiled when the policy loads",
            );
            return None;
        };
        let pattern = re2_to_rust(written);
        if let Err(reason) = parse_regex(&pattern) {
            self.error("regex", argument.span, format!("the pattern does not parse: {reason}"));
            return None;
        }
        let text = text?;
        self.expect_type(&text, &[Type::String])?;
        let kind = Kind::Matches { text: Box::new(text), pattern, pattern_span: argument.span };
        Some(Node { kind, ty: Type::Bool, span })
    }

    fn in_ip_range(&mut self, arguments: &[Syntax], span: Span) -> Option<Node> {
        let [address, range] = self.exactly("inIpRange", arguments, span)?;
        let address = self.address(address);
        let range = if let Some(text) = range.text() {
            IpRange::Literal(self.ip_range(text, range.span)?)
        } else {
            let node = self.node(range)?;
            self.expect_type(&node, &[Type::String])?;
            IpRange::Computed(Box::new(node))
        };
        Some(Node {
            kind: Kind::InIpRange { address: Box::new(address?), range },
            ty: Type::Bool,
            span,
        })
    }

    /// An address is a string; Google also takes the attribute's name in quotes.
    fn address(&mut self, syntax: &Syntax) -> Option<Node> {
        let quoted = match syntax.text() {
            Some("origin.ip") => Some(Attribute::OriginIp),
            Some("origin.user_ip") => Some(Attribute::OriginUserIp),
            Some(_) | None => None,
        };
        let node = match quoted {
            Some(attribute) => {
                Node { kind: Kind::Attribute(attribute), ty: Type::String, span: syntax.span }
            }
            None => self.node(syntax)?,
        };
        self.expect_type(&node, &[Type::String])?;
        Some(node)
    }

    fn ip_range(&mut self, text: &str, span: Span) -> Option<IpNet> {
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match parsed {
            Ok(net) => {
                if net != net.trunc() {
                    let help = format!("write {}", net.trunc());
                    self.warn(
                        "host-bits",
                        span,
                        format!("`{text}` has bits set beyond its prefix"),
                        help,
                    );
                }
                Some(net.trunc())
            }
            Err(_) => {
                self.error("ip-range", span, format!("`{text}` is no address and no range"));
                None
            }
        }
    }

    fn adaptive(&mut self, name: &str, arguments: &[Syntax], span: Span) -> Option<Node> {
        for argument in arguments {
            let node = self.node(argument)?;
            self.expect_type(&node, &[Type::String])?;
        }
        let message =
            format!("`{name}` is accepted, not enforced: adaptive protection is not built yet");
        self.warn("adaptive-not-enforced", span, message, "the call is always false");
        Some(Node { kind: Kind::AdaptiveProtection, ty: Type::Bool, span })
    }

    fn address_list(&mut self, kind: ListKind, arguments: &[Syntax], span: Span) -> Option<Node> {
        let (Some(name), true) = (arguments.first(), arguments.len() <= 3) else {
            self.error(
                "call",
                span,
                "expected the list's name, the address, and a list of exclusions",
            );
            return None;
        };
        let SyntaxKind::Str(list) = &name.kind else {
            self.error("type", name.span, "the list is named by a string, written out");
            return None;
        };
        let address = match arguments.get(1) {
            Some(address) => self.address(address)?,
            None => origin_ip(span),
        };
        let mut exclusions = Vec::new();
        if let Some(written) = arguments.get(2) {
            let SyntaxKind::List(items) = &written.kind else {
                self.error("type", written.span, "the exclusions are a list of addresses");
                return None;
            };
            for item in items {
                if let SyntaxKind::Str(text) = &item.kind {
                    exclusions.push(self.ip_range(text, item.span)?);
                } else {
                    self.error("type", item.span, "an exclusion is an address in quotes");
                }
            }
        }
        let call = ListCall {
            kind,
            name: list.clone(),
            name_span: name.span,
            address: Box::new(address),
            exclusions,
        };
        Some(Node { kind: Kind::AddressList(call), ty: Type::Bool, span })
    }

    fn waf(&mut self, arguments: &[Syntax], deprecated: bool, span: Span) -> Option<Node> {
        let (Some(name), true) = (arguments.first(), arguments.len() <= 2) else {
            self.error("call", span, "expected the set's name and its options");
            return None;
        };
        let SyntaxKind::Str(text) = &name.kind else {
            self.error("type", name.span, "the set is named by a string, written out");
            return None;
        };
        if text.starts_with("sourceiplist-") {
            return Some(named_list(text, name.span, span));
        }
        let Some(set) = WafSet::parse(text) else {
            self.unknown_set(text, name.span);
            return None;
        };
        if deprecated {
            let help = "write evaluatePreconfiguredWaf(…, {'sensitivity': 1})";
            self.warn("deprecated-expr", span, "`evaluatePreconfiguredExpr` is deprecated", help);
        }
        let mut call = WafCall {
            set,
            set_span: name.span,
            sensitivity: None,
            opt_out: Vec::new(),
            opt_in: Vec::new(),
            deprecated,
        };
        if let Some(options) = arguments.get(1) {
            self.waf_options(&mut call, options)?;
        }
        Some(Node { kind: Kind::Waf(call), ty: Type::Bool, span })
    }

    fn unknown_set(&mut self, text: &str, span: Span) {
        let message = format!("unknown preconfigured rule set `{text}`");
        if text.starts_with("project-shield") {
            let help = "Project Shield is another product; known bad addresses are \
                        evaluateThreatIntelligence('iplist-known-malicious-ips') or evaluateAddressGroup('…', origin.ip)";
            self.error_with_help("unknown-waf-set", span, message, help);
            return;
        }
        match WafSet::meant(text) {
            Some(meant) => self.error_with_help(
                "unknown-waf-set",
                span,
                message,
                format!("did you mean `{meant}`?"),
            ),
            None => self.error_with_help(
                "unknown-waf-set",
                span,
                message,
                "as in 'sqli-v33-stable' or 'sqli-core-stable'",
            ),
        }
    }

    fn waf_options(&mut self, call: &mut WafCall, options: &Syntax) -> Option<()> {
        if let SyntaxKind::List(items) = &options.kind {
            call.opt_out = self.signatures(&call.set, items, options.span)?;
            return Some(());
        }
        if let SyntaxKind::Map(entries) = &options.kind {
            return self.waf_map(call, entries, options.span);
        }
        self.error(
            "type",
            options.span,
            "the options are {'sensitivity': n, …} or a list of signatures left out",
        );
        None
    }

    fn waf_map(
        &mut self,
        call: &mut WafCall,
        entries: &[(Syntax, Syntax)],
        span: Span,
    ) -> Option<()> {
        for (key, value) in entries {
            let SyntaxKind::Str(name) = &key.kind else {
                self.error("type", key.span, "an option is named by a string");
                return None;
            };
            match (name.as_str(), &value.kind) {
                ("sensitivity", SyntaxKind::Int(level @ 0..=4)) => {
                    call.sensitivity = u8::try_from(*level).ok()
                }
                ("opt_out_rule_ids", SyntaxKind::List(items)) => {
                    call.opt_out = self.signatures(&call.set, items, value.span)?;
                }
                ("opt_in_rule_ids", SyntaxKind::List(items)) => {
                    call.opt_in = self.signatures(&call.set, items, value.span)?;
                }
                ("sensitivity", _) => {
                    self.error("waf-options", value.span, "the sensitivity is 0, 1, 2, 3 or 4");
                    return None;
                }
                ("opt_out_rule_ids" | "opt_in_rule_ids", _) => {
                    self.error(
                        "waf-options",
                        value.span,
                        format!("`{name}` is a list of signatures"),
                    );
                    return None;
                }
                (unknown, _) => {
                    let known = ["sensitivity", "opt_out_rule_ids", "opt_in_rule_ids"];
                    let help = format!("the options are {}", known.join(", "));
                    self.error_with_help(
                        "waf-options",
                        key.span,
                        format!("unknown option `{unknown}`"),
                        help,
                    );
                    return None;
                }
            }
        }
        self.waf_consistent(call, span)
    }

    fn waf_consistent(&mut self, call: &WafCall, span: Span) -> Option<()> {
        if !call.opt_in.is_empty() && !call.opt_out.is_empty() {
            self.error("waf-options", span, "signatures are either taken in or left out, not both");
            return None;
        }
        if !call.opt_in.is_empty() && call.sensitivity != Some(0) {
            self.error("waf-options", span, "`opt_in_rule_ids` needs 'sensitivity': 0");
            return None;
        }
        if call.sensitivity == Some(0) && call.opt_in.is_empty() {
            self.error(
                "waf-options",
                span,
                "'sensitivity': 0 selects nothing without `opt_in_rule_ids`",
            );
            return None;
        }
        Some(())
    }

    fn signatures(
        &mut self,
        set: &WafSet,
        items: &[Syntax],
        span: Span,
    ) -> Option<Vec<SignatureRef>> {
        if items.len() > SIGNATURES_MAX {
            self.error("waf-options", span, format!("more than {SIGNATURES_MAX} signatures"));
            return None;
        }
        let mut read = Vec::with_capacity(items.len());
        for item in items {
            match SignatureRef::read(item, set) {
                Ok(signature) => read.push(signature),
                Err(problem) => self.problems.push(problem),
            }
        }
        (read.len() == items.len()).then_some(read)
    }
}

fn named_list(name: &str, name_span: Span, span: Span) -> Node {
    let call = ListCall {
        kind: ListKind::NamedList,
        name: name.to_owned(),
        name_span,
        address: Box::new(origin_ip(span)),
        exclusions: Vec::new(),
    };
    Node { kind: Kind::AddressList(call), ty: Type::Bool, span }
}

fn origin_ip(span: Span) -> Node {
    Node { kind: Kind::Attribute(Attribute::OriginIp), ty: Type::String, span }
}

/// RE2 knows `\Q…\E` and `\C`; the engine here does not.
fn re2_to_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("\\Q") {
        // An escaped backslash before the Q is no quoting.
        let backslashes = before.bytes().rev().take_while(|byte| *byte == b'\\').count();
        out.push_str(before);
        if backslashes % 2 == 1 {
            out.push_str("\\Q");
            rest = after;
            continue;
        }
        let (quoted, remainder) = after.split_once("\\E").unwrap_or((after, ""));
        out.push_str(&regex_syntax::escape(quoted));
        rest = remainder;
    }
    out.push_str(rest);
    out
}

fn parse_regex(pattern: &str) -> Result<(), String> {
    regex_syntax::ParserBuilder::new()
        .utf8(false)
        .unicode(false)
        .nest_limit(64)
        .build()
        .parse(pattern)
        .map(drop)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(), // a foreign enum that may grow
        })
}
