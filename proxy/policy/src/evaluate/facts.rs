//! What is known of the request while its policy runs, and how values are read from it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_config::expr::{Attribute, Function, ListKind, Need};
use serde_json::{Map, Value as Json};

use super::answer::Run;
use super::claims;
use super::params::param;
use super::value::{Stop, Value};
use super::{Truth, truth};
use crate::compile::{Common, HeadText, Operand, Policy};
use crate::decode;
use crate::request::{BodyEnd, ClientCertificate, RequestHead, TokenView};
use crate::state::State;

/// The token, kept by the cursor between its steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Token {
    pub(crate) valid: bool,
    pub(crate) subject: String,
    pub(crate) tenant: String,
    pub(crate) issuer: String,
    pub(crate) roles: Vec<String>,
    pub(crate) claims: Map<String, Json>,
}

/// What the cursor was given so far.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// `None` while nobody asked; a request without a token has an empty one.
    pub(crate) token: Option<Token>,
    pub(crate) body: Option<KeptBody>,
    /// One run for each of the policy's rule sets, once it was asked.
    pub(crate) runs: Box<[Option<Run>]>,
}

/// The body, as far as the policy reads it itself.
#[derive(Debug)]
pub(crate) struct KeptBody {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) length: usize,
}

/// What a rule's evaluation found, for its log entry.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whether a question was answered with yes because its run gave up.
    pub(crate) gave_up: bool,
    /// The questions that were answered with yes.
    pub(crate) questions: Vec<usize>,
    pub(crate) address_groups: Vec<Arc<str>>,
    pub(crate) threat_categories: Vec<Arc<str>>,
}

impl Found {
    pub(super) fn note_question(&mut self, number: usize) {
        if !self.questions.contains(&number) {
            self.questions.push(number);
        }
    }

    /// Whether nothing was noted, so that the next rule finds it as new.
    pub(crate) fn is_empty(&self) -> bool {
        !self.gave_up
            && self.questions.is_empty()
            && self.address_groups.is_empty()
            && self.threat_categories.is_empty()
    }
}

/// A common value, once it was read in this step of the cursor.
pub(crate) type Worked<'f> = OnceCell<Result<Value<'f>, Stop>>;

/// Everything that a condition reads.
#[derive(Debug)]
pub(crate) struct Facts<'f, 'h> {
    pub(crate) policy: &'f Policy,
    pub(crate) head: &'f RequestHead<'h>,
    pub(crate) token: Option<&'f Token>,
    /// The body for rules that read it themselves.
    pub(crate) kept: Option<&'f KeptBody>,
    pub(crate) runs: &'f mut [Option<Run>],
    /// One for each of the policy's common values.
    pub(crate) worked: &'f [Worked<'f>],
    pub(crate) state: &'f State,
    pub(crate) now: Timestamp,
    /// The body of this very step, for rule sets that have not seen it yet.
    pub(crate) body: Option<(&'f [u8], BodyEnd)>,
    pub(crate) found: Found,
}

impl<'f> Facts<'f, '_> {
    /// Returns a rule set's run; the head is inspected when it is asked for first.
    pub(super) fn run(&mut self, number: usize) -> Option<&mut Run> {
        let rules = self.policy.wafs.get(number)?;
        let head = self.head;
        let run = self.runs.get_mut(number)?;
        let memory = || self.state.memory(self.now);
        let run = run.get_or_insert_with(|| Run::new(rules.begin(head, memory())));
        if let (false, Some((body, end))) = (run.saw_body, self.body) {
            run.run.body(head, body, end);
            run.saw_body = true;
        }
        Some(run)
    }

    /// Hands the body of this step to every rule set.
    pub(crate) fn inspect_all(&mut self) {
        for number in 0..self.policy.wafs.len() {
            self.run(number);
        }
    }

    pub(crate) fn note_list(&mut self, kind: ListKind, name: &Arc<str>) {
        match kind {
            ListKind::AddressGroup | ListKind::Reference => {
                self.found.address_groups.push(Arc::clone(name))
            }
            ListKind::ThreatFeed | ListKind::NamedList => {
                self.found.threat_categories.push(Arc::clone(name))
            }
        }
    }

    /// Reads a value.
    pub(crate) fn value(&mut self, operand: &'f Operand) -> Result<Value<'f>, Stop> {
        match operand {
            Operand::Text(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Operand::Int(value) => Ok(Value::Int(*value)),
            Operand::Double(value) => Ok(Value::Double(*value)),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Attribute(attribute) => self.attribute(*attribute),
            Operand::Common(number) => self.common(*number).map(Value::borrowed),
            Operand::HeaderBy(name) => {
                let name = self.value(name)?.text()?.to_ascii_lowercase();
                self.header(&name).map(Value::Text).ok_or(Stop::Error)
            }
            Operand::CookieBy(name) => {
                let name = self.value(name)?;
                let name = name.text()?;
                self.cookie(&name).ok_or(Stop::Error)
            }
            Operand::ParamBy(name) => {
                let name = self.value(name)?;
                let name = name.text()?;
                self.param(&name)
            }
            Operand::Claim(path) => {
                let token = self.token()?;
                claims::claim(&token.claims, path).map(Value::Json).ok_or(Stop::Error)
            }
            Operand::Negate(inner) => self.value(inner)?.negate(),
            Operand::Arithmetic { operator, left, right } => {
                let left = self.value(left);
                let right = self.value(right);
                match (left, right) {
                    (Err(Stop::Needs(need)), _) | (_, Err(Stop::Needs(need))) => {
                        Err(Stop::Needs(need))
                    }
                    (left, right) => left?.arithmetic(*operator, &right?),
                }
            }
            Operand::Function(function, inner) => apply(*function, self.value(inner)?),
            Operand::Condition(code) => match truth(code, self) {
                Truth::True => Ok(Value::Bool(true)),
                Truth::False => Ok(Value::Bool(false)),
                Truth::Error => Err(Stop::Error),
                Truth::Needs(need) => Err(Stop::Needs(need)),
            },
        }
    }

    /// Reads a text; what stands somewhere already is not made a value of its own first.
    pub(super) fn text(&mut self, operand: &'f Operand) -> Result<Cow<'f, [u8]>, Stop> {
        if let Operand::Text(text) = operand {
            return Ok(Cow::Borrowed(text));
        }
        if let Operand::Common(number) = operand {
            return self.common(*number)?.text();
        }
        self.value(operand)?.into_text()
    }

    /// Reads a common value; only the first time costs more than a look.
    pub(super) fn common(&self, number: usize) -> Result<&'f Value<'f>, Stop> {
        let worked = self.worked.get(number).ok_or(Stop::Error)?;
        worked.get_or_init(|| self.work_out(number)).as_ref().map_err(|stop| *stop)
    }

    fn work_out(&self, number: usize) -> Result<Value<'f>, Stop> {
        match self.policy.commons.get(number).ok_or(Stop::Error)? {
            Common::Header(name) => self.header(name).map(Value::Text).ok_or(Stop::Error),
            Common::Cookie(name) => self.cookie(name).ok_or(Stop::Error),
            Common::Param(name) => self.param(name),
            Common::Applied(function, attribute) => apply(*function, self.attribute(*attribute)?),
            Common::Nested(function, number) => apply(*function, self.common(*number)?.borrowed()),
        }
    }

    /// Reads a text of the head.
    pub(super) const fn head_text(&self, text: HeadText) -> &'f [u8] {
        match text {
            HeadText::Method => self.head.method,
            HeadText::Path => self.head.path,
            HeadText::Query => self.head.query,
            HeadText::Region => self.head.region_code.as_bytes(),
        }
    }

    fn attribute(&self, attribute: Attribute) -> Result<Value<'f>, Stop> {
        let head = self.head;
        let text = |text: &'f [u8]| Ok(Value::Text(Cow::Borrowed(text)));
        match attribute {
            Attribute::OriginIp => Ok(Value::Address(head.client_ip)),
            Attribute::OriginUserIp => Ok(Value::Address(self.user_ip().unwrap_or(head.client_ip))),
            Attribute::OriginRegionCode => text(head.region_code.as_bytes()),
            Attribute::OriginAsn => Ok(Value::Int(i64::from(head.asn))),
            Attribute::OriginJa3 => text(head.ja3.as_bytes()),
            Attribute::OriginJa4 => text(head.ja4.as_bytes()),
            Attribute::ClientSubject => text(shown(head, |shown| &shown.subject)),
            Attribute::ClientIssuer => text(shown(head, |shown| &shown.issuer)),
            Attribute::ClientSha256 => text(shown(head, |shown| &shown.sha256)),
            Attribute::ClientNames => {
                Ok(Value::Roles(head.certificate.map_or(&[], |shown| &shown.names)))
            }
            Attribute::Method => text(head.method),
            Attribute::Path => text(head.path),
            Attribute::Query => text(head.query),
            Attribute::Scheme => text(head.scheme.as_str().as_bytes()),
            Attribute::Body => text(&self.kept.ok_or(Stop::Needs(Need::Body))?.bytes),
            Attribute::TokenValid => Ok(Value::Bool(self.token()?.valid)),
            Attribute::TokenSubject => text(self.token()?.subject.as_bytes()),
            Attribute::TokenTenant => text(self.token()?.tenant.as_bytes()),
            Attribute::TokenIssuer => text(self.token()?.issuer.as_bytes()),
            Attribute::TokenRoles => Ok(Value::Roles(&self.token()?.roles)),
            Attribute::Recaptcha(_) => Err(Stop::Error),
        }
    }

    fn param(&self, name: &[u8]) -> Result<Value<'f>, Stop> {
        let body = self.kept.ok_or(Stop::Needs(Need::Body))?;
        let found = param(name, self.head, &body.bytes).ok_or(Stop::Error)?;
        Ok(Value::Text(Cow::Owned(found)))
    }

    fn token(&self) -> Result<&'f Token, Stop> {
        self.token.ok_or(Stop::Needs(Need::Identity))
    }

    /// Returns the address that the configured headers give.
    pub(crate) fn user_ip(&self) -> Option<IpAddr> {
        user_ip(self.policy, self.head).map(|(_, address)| address)
    }

    /// Returns a header's value by its name in lower case; several are joined by a comma.
    pub(crate) fn header(&self, name: &[u8]) -> Option<Cow<'f, [u8]>> {
        let head = self.head;
        let mut values = head.header_values(name);
        let Some(first) = values.next() else {
            let asked_host = name == b"host" && !head.host.is_empty();
            return asked_host.then_some(Cow::Borrowed(head.host));
        };
        let mut joined = Cow::Borrowed(first);
        for value in values {
            let joined = joined.to_mut();
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    /// Returns the first cookie of the name.
    pub(crate) fn cookie(&self, name: &[u8]) -> Option<Value<'f>> {
        let head = self.head;
        head.header_values(b"cookie")
            .flat_map(|header| header.split(|byte| *byte == b';'))
            .map(<[u8]>::trim_ascii)
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
            .map(|value| Value::Text(Cow::Borrowed(value)))
    }
}

/// Reads a text of the client's certificate; nothing where it showed none.
fn shown<'f>(
    head: &RequestHead<'f>,
    text: impl FnOnce(&'f ClientCertificate) -> &'f str,
) -> &'f [u8] {
    head.certificate.map_or(&[], |shown| text(shown).as_bytes())
}

/// Returns the address that the configured headers give, and the header that gave it.
pub(crate) fn user_ip<'p>(policy: &'p Policy, head: &RequestHead<'_>) -> Option<(&'p str, IpAddr)> {
    policy.user_ip_headers.iter().find_map(|name| {
        let value = head.header_values(name.as_bytes()).next()?;
        Some((&**name, parse_address(value)?))
    })
}

/// Reads an address from a header's value.
pub(crate) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

fn apply(function: Function, value: Value<'_>) -> Result<Value<'_>, Stop> {
    let text =
        |transform: fn(&[u8]) -> Vec<u8>| Ok(Value::Text(Cow::Owned(transform(&value.text()?))));
    match function {
        Function::Lower => text(decode::lower),
        Function::Upper => text(decode::upper),
        Function::UrlDecode => text(|text| decode::url(text, false)),
        Function::UrlDecodeUni => text(|text| decode::url(text, true)),
        Function::Base64Decode => text(decode::base64),
        Function::Utf8ToUnicode => text(decode::utf8_to_unicode),
        Function::Size => value.size().map(Value::Int),
        Function::Int => value.to_int().map(Value::Int),
        Function::Double => value.to_double().map(Value::Double),
        Function::String => value.write(),
        // The compiler makes conditions of these.
        Function::Contains | Function::StartsWith | Function::EndsWith => Err(Stop::Error),
    }
}

impl Token {
    /// Keeps what the policy may read of a token; an invalid one is none.
    pub(crate) fn keep(view: Option<&TokenView<'_>>, with_claims: bool) -> Self {
        let Some(view) = view.filter(|view| view.valid) else { return Self::default() };
        Self {
            valid: true,
            subject: view.subject.to_owned(),
            tenant: view.tenant.unwrap_or_default().to_owned(),
            issuer: view.issuer.to_owned(),
            roles: view.roles.to_vec(),
            claims: if with_claims { view.claims.clone() } else { Map::new() },
        }
    }
}
