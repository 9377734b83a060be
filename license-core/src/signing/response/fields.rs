//! The part of Structured Fields (RFC 9651) that signatures are written in: a dictionary whose first member is an inner
//! list of texts with parameters. Whatever else is there is read as no such field, as the RFC wants.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

const FIELD_BYTES_MAX: usize = 2048;
const COMPONENTS_MAX: usize = 16;
const PARAMETERS_MAX: usize = 8;
const LABEL_BYTES_MAX: usize = 64;
/// An integer has at most 15 digits (RFC 9651 §3.3.1).
const DIGITS_MAX: usize = 15;

/// A part of a message that is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Component {
    pub(crate) name: String,
    /// Whether it is a part of the request that was answered (`;req`).
    pub(crate) of_request: bool,
}

impl Component {
    pub(crate) fn response(name: &str) -> Self {
        Self { name: name.to_owned(), of_request: false }
    }

    pub(crate) fn request(name: &str) -> Self {
        Self { name: name.to_owned(), of_request: true }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_request = if self.of_request { ";req" } else { "" };
        write!(f, "{}{of_request}", quoted(&self.name))
    }
}

/// The value of a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    /// A parameter without a value: true.
    Flag,
}

/// What is signed, or is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Input {
    pub(crate) label: String,
    pub(crate) components: Vec<Component>,
    pub(crate) parameters: Vec<(String, Value)>,
}

impl Input {
    /// Reads the first member of a dictionary.
    pub(crate) fn parse(field: &str) -> Option<Self> {
        if field.len() > FIELD_BYTES_MAX || !field.is_ascii() {
            return None;
        }
        let mut rest = Cursor(field.trim_matches(' '));
        let label = rest.key()?;
        rest.take('=')?;
        rest.take('(')?;
        let mut components = Vec::new();
        loop {
            rest.skip_spaces();
            if rest.take(')').is_some() {
                break;
            }
            let name = rest.text()?;
            let of_request = match rest.parameters()?.as_slice() {
                [] => false,
                [(name, Value::Flag)] if name == "req" => true,
                // `;sf`, `;bs`, `;key`, `;tr` are not made here.
                [..] => return None,
            };
            components.push(Component { name, of_request });
            if components.len() > COMPONENTS_MAX || !rest.0.starts_with([' ', ')']) {
                return None;
            }
        }
        let parameters = rest.parameters()?;
        rest.skip_spaces();
        let is_over = rest.0.is_empty() || rest.0.starts_with(',');
        is_over.then_some(Self { label, components, parameters })
    }

    /// Returns a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&Value> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns a parameter that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.parameter(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Flag => None,
        }
    }

    /// Writes the list with its parameters.
    pub(crate) fn inner_list(&self) -> String {
        let components: Vec<String> = self.components.iter().map(Component::to_string).collect();
        let mut text = format!("({})", components.join(" "));
        for (name, value) in &self.parameters {
            text.push_str(&match value {
                Value::Text(value) => format!(";{name}={}", quoted(value)),
                Value::Number(value) => format!(";{name}={value}"),
                Value::Flag => format!(";{name}"),
            });
        }
        text
    }

    /// Writes the member.
    pub(crate) fn field(&self) -> String {
        format!("{}={}", self.label, self.inner_list())
    }
}

/// Reads the byte sequence of a dictionary's member.
pub(super) fn bytes(field: &str, label: &str) -> Option<Vec<u8>> {
    if field.len() > FIELD_BYTES_MAX {
        return None;
    }
    field.split(',').find_map(|member| {
        let text = member.trim().strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
        STANDARD.decode(text).ok()
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn take(&mut self, letter: char) -> Option<()> {
        self.0 = self.0.strip_prefix(letter)?;
        Some(())
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    /// Takes letters as long as they are of a kind.
    fn taken(&mut self, is_of: impl Fn(char) -> bool) -> String {
        let rest = self.0.trim_start_matches(is_of);
        let length = self.0.len() - rest.len();
        let taken = self.0.get(..length).unwrap_or_default().to_owned();
        self.0 = rest;
        taken
    }

    fn key(&mut self) -> Option<String> {
        let key = self.taken(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-.*".contains(letter)
        });
        let starts_well =
            key.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '*');
        (starts_well && key.len() <= LABEL_BYTES_MAX).then_some(key)
    }

    fn text(&mut self) -> Option<String> {
        self.take('"')?;
        let mut text = String::new();
        loop {
            let mut letters = self.0.chars();
            let letter = letters.next()?;
            self.0 = letters.as_str();
            match letter {
                '"' => return Some(text),
                '\\' => {
                    let mut letters = self.0.chars();
                    let escaped = letters.next().filter(|letter| "\"\\".contains(*letter))?;
                    self.0 = letters.as_str();
                    text.push(escaped);
                }
                ' '..='~' => text.push(letter),
                // Nothing else stands in a text.
                _ => return None,
            }
        }
    }

    fn parameters(&mut self) -> Option<Vec<(String, Value)>> {
        let mut parameters: Vec<(String, Value)> = Vec::new();
        while self.take(';').is_some() {
            self.skip_spaces();
            let name = self.key()?;
            let value = if self.take('=').is_none() {
                Value::Flag
            } else if self.0.starts_with('"') {
                Value::Text(self.text()?)
            } else {
                let digits = self.taken(|letter| letter.is_ascii_digit());
                if digits.len() > DIGITS_MAX {
                    return None;
                }
                Value::Number(digits.parse().ok()?)
            };
            if parameters.iter().any(|(known, _)| *known == name)
                || parameters.len() == PARAMETERS_MAX
            {
                return None;
            }
            parameters.push((name, value));
        }
        Some(parameters)
    }
}
