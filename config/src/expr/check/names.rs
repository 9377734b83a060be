//! Attributes, map lookups and claims.

use super::super::attribute::{ATTRIBUTES, Attribute, MAPS, MapAttribute, meant};
use super::super::syntax::{Syntax, SyntaxKind};
use super::super::typed::{Kind, Literal, Node, Type};
use super::Checker;
use super::operators::LISTS;

impl Checker {
    /// Resolves a dotted name or an index.
    pub(super) fn name(&mut self, syntax: &Syntax) -> Option<Node> {
        if let Some(dotted) = syntax.dotted() {
            return self.dotted(&dotted, syntax);
        }
        if let SyntaxKind::Member { of, name } = &syntax.kind {
            return self.member_of_value(of, name, syntax);
        }
        let SyntaxKind::Index { of, key } = &syntax.kind else { return None };
        self.index(of, key, syntax)
    }

    fn dotted(&mut self, name: &str, syntax: &Syntax) -> Option<Node> {
        if let Some((_, ty, attribute)) = ATTRIBUTES.iter().find(|(known, _, _)| *known == name) {
            if matches!(attribute, Attribute::Recaptcha(_)) {
                self.warn(
                    "recaptcha-not-enforced",
                    syntax.span,
                    format!(
                        "`{name}` is accepted, not enforced: no reCAPTCHA assessment exists here"
                    ),
                    "every comparison with it is false",
                );
            }
            return Some(Node { kind: Kind::Attribute(*attribute), ty: *ty, span: syntax.span });
        }
        for (map_name, map) in MAPS {
            if name == *map_name {
                self.error_with_help(
                    "type",
                    syntax.span,
                    format!("`{name}` is a map, not a value"),
                    format!("name one entry: {name}['…']"),
                );
                return None;
            }
            if let Some(key) = name.strip_prefix(map_name).and_then(|rest| rest.strip_prefix('.')) {
                return Some(self.entry(*map, key, syntax));
            }
        }
        self.unknown(name, syntax);
        None
    }

    fn unknown(&mut self, name: &str, syntax: &Syntax) {
        let message = format!("unknown attribute `{name}`");
        match meant(name) {
            Some(meant) => {
                self.error_with_help(
                    "unknown-attribute",
                    syntax.span,
                    message,
                    format!("did you mean `{meant}`?"),
                );
            }
            None => self.error("unknown-attribute", syntax.span, message),
        }
    }

    fn entry(&mut self, map: MapAttribute, key: &str, syntax: &Syntax) -> Node {
        let (kind, ty) = match map {
            MapAttribute::Claims => {
                (Kind::Claim(key.split('.').map(str::to_owned).collect()), Type::Dyn)
            }
            MapAttribute::Headers | MapAttribute::Cookies | MapAttribute::Params => {
                let key = Node {
                    kind: Kind::Literal(self.key(map, key, syntax)),
                    ty: Type::String,
                    span: syntax.span,
                };
                (Kind::Lookup { map, key: Box::new(key) }, Type::String)
            }
        };
        Node { kind, ty, span: syntax.span }
    }

    fn key(&mut self, map: MapAttribute, key: &str, syntax: &Syntax) -> Literal {
        if map == MapAttribute::Headers && key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let folded = key.to_ascii_lowercase();
            self.warn(
                "header-key-case",
                syntax.span,
                format!("`{key}` is read as `{folded}`: the map's keys are in lower case"),
                "Cloud Armor would find nothing under this name",
            );
            return Literal::String(folded);
        }
        Literal::String(key.to_owned())
    }

    fn index(&mut self, of: &Syntax, key: &Syntax, syntax: &Syntax) -> Option<Node> {
        if of.dotted().as_deref() == Some(LISTS) {
            let help = "write origin.ip in lists['…']";
            self.error_with_help("type", syntax.span, "a list stands only behind `in`", help);
            return None;
        }
        let map = of.dotted().and_then(|name| MAPS.iter().find(|(known, _)| *known == name));
        let Some((_, map)) = map else { return self.index_of_value(of, key, syntax) };
        if let SyntaxKind::Str(text) = &key.kind {
            if *map == MapAttribute::Claims {
                return Some(Node {
                    kind: Kind::Claim(vec![text.clone()]),
                    ty: Type::Dyn,
                    span: syntax.span,
                });
            }
            return Some(self.entry(*map, text, syntax));
        }
        if *map == MapAttribute::Claims {
            self.error("type", key.span, "a claim is named by a string, written out");
            return None;
        }
        let key = self.node(key)?;
        self.expect_type(&key, &[Type::String])?;
        let kind = Kind::Lookup { map: *map, key: Box::new(key) };
        Some(Node { kind, ty: Type::String, span: syntax.span })
    }

    fn index_of_value(&mut self, of: &Syntax, key: &Syntax, syntax: &Syntax) -> Option<Node> {
        let SyntaxKind::Str(text) = &key.kind else {
            let of = self.node(of)?;
            self.error("type", syntax.span, format!("{} is not indexed", of.ty.as_str()));
            return None;
        };
        self.member_of_value(of, text, syntax)
    }

    /// Goes one step deeper into a claim, or into a parameter of a JSON body.
    fn member_of_value(&mut self, of: &Syntax, name: &str, syntax: &Syntax) -> Option<Node> {
        let mut of = self.node(of)?;
        of.span = syntax.span;
        if let Kind::Claim(path) = &mut of.kind {
            path.push(name.to_owned());
        } else if let Kind::Lookup { map: MapAttribute::Params, key } = &mut of.kind {
            let Kind::Literal(Literal::String(path)) = &mut key.kind else {
                self.error("type", syntax.span, "a computed name leads no deeper");
                return None;
            };
            *path = format!("{path}.{name}");
        } else {
            self.error("type", syntax.span, format!("{} has no `{name}`", of.ty.as_str()));
            return None;
        }
        Some(of)
    }
}
