//! Values while a condition runs.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use portcullis_config::expr::{Arithmetic, Need};
use serde_json::Value as Json;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// An error of the language: a missing key, a text that is no number, a claim of another type.
    Error,
    /// Not known before this is fetched.
    Needs(Need),
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value<'v> {
    Text(Cow<'v, [u8]>),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// An address, which is a string to the language and is written out only where it is used as one.
    Address(IpAddr),
    Roles(&'v [String]),
    Json(&'v Json),
}

impl<'v> Value<'v> {
    /// Returns the same value, its text borrowed from here.
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Address(address) => Value::Address(*address),
            Self::Roles(roles) => Value::Roles(roles),
            Self::Json(json) => Value::Json(json),
        }
    }

    /// Returns the bytes of a text.
    pub(crate) fn text(&self) -> Result<Cow<'_, [u8]>, Stop> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Address(address) => Ok(Cow::Owned(client_text(*address))),
            Self::Json(Json::String(text)) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Int(_) | Self::Double(_) | Self::Bool(_) | Self::Roles(_) | Self::Json(_) => {
                Err(Stop::Error)
            }
        }
    }

    pub(crate) fn into_text(self) -> Result<Cow<'v, [u8]>, Stop> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Address(address) => Ok(Cow::Owned(client_text(address))),
            Self::Json(Json::String(text)) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Int(_) | Self::Double(_) | Self::Bool(_) | Self::Roles(_) | Self::Json(_) => {
                Err(Stop::Error)
            }
        }
    }

    pub(crate) fn int(&self) -> Result<i64, Stop> {
        match self {
            Self::Int(value) => Ok(*value),
            Self::Json(Json::Number(number)) => number.as_i64().ok_or(Stop::Error),
            Self::Text(_)
            | Self::Double(_)
            | Self::Bool(_)
            | Self::Address(_)
            | Self::Roles(_)
            | Self::Json(_) => Err(Stop::Error),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, Stop> {
        match self {
            Self::Bool(value) | Self::Json(Json::Bool(value)) => Ok(*value),
            Self::Text(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Address(_)
            | Self::Roles(_)
            | Self::Json(_) => Err(Stop::Error),
        }
    }

    pub(crate) fn address(&self) -> Result<IpAddr, Stop> {
        if let Self::Address(address) = self {
            return Ok(*address);
        }
        std::str::from_utf8(&self.text()?)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Stop::Error)
    }

    /// Compares two values of one type; `None` is an order that doubles have not.
    pub(crate) fn order(&self, other: &Self) -> Result<Option<Ordering>, Stop> {
        if let (Self::Address(one), Self::Address(two)) = (self, other) {
            return Ok(Some(one.cmp(two)));
        }
        if let (Self::Int(one), Self::Int(two)) = (self, other) {
            return Ok(Some(one.cmp(two)));
        }
        if let (Ok(one), Ok(two)) = (self.text(), other.text()) {
            return Ok(Some(one.cmp(&two)));
        }
        if let (Ok(one), Ok(two)) = (self.int(), other.int()) {
            return Ok(Some(one.cmp(&two)));
        }
        if let (Ok(one), Ok(two)) = (self.bool(), other.bool()) {
            return Ok(Some(one.cmp(&two)));
        }
        Ok(self.double()?.partial_cmp(&other.double()?))
    }

    fn double(&self) -> Result<f64, Stop> {
        match self {
            Self::Double(value) => Ok(*value),
            Self::Json(Json::Number(number)) => number.as_f64().ok_or(Stop::Error),
            Self::Text(_)
            | Self::Int(_)
            | Self::Bool(_)
            | Self::Address(_)
            | Self::Roles(_)
            | Self::Json(_) => Err(Stop::Error),
        }
    }

    /// Whether a list holds the value.
    pub(crate) fn holds(&self, needle: &Value<'_>) -> Result<bool, Stop> {
        match self {
            Self::Roles(roles) => {
                let needle = needle.text()?;
                Ok(roles.iter().any(|role| role.as_bytes() == &*needle))
            }
            Self::Json(Json::Array(items)) => Ok(items.iter().any(|item| {
                Value::Json(item).order(needle).is_ok_and(|order| order == Some(Ordering::Equal))
            })),
            Self::Text(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Bool(_)
            | Self::Address(_)
            | Self::Json(_) => Err(Stop::Error),
        }
    }

    /// `size(…)`: bytes of a text, items of a list.
    pub(crate) fn size(&self) -> Result<i64, Stop> {
        let size = match self {
            Self::Roles(roles) => roles.len(),
            Self::Json(Json::Array(items)) => items.len(),
            Self::Text(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Bool(_)
            | Self::Address(_)
            | Self::Json(_) => self.text()?.len(),
        };
        i64::try_from(size).map_err(|_| Stop::Error)
    }

    /// `int(…)`; a double is cut towards zero.
    pub(crate) fn to_int(&self) -> Result<i64, Stop> {
        if let Self::Double(value) = self {
            let fits = (-9.2e18..=9.2e18).contains(value);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the range was just tested; cutting is meant"
            )]
            return if fits { Ok(*value as i64) } else { Err(Stop::Error) };
        }
        self.int().or_else(|_| {
            let text = self.text()?;
            std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or(Stop::Error)
        })
    }

    /// `double(…)`.
    pub(crate) fn to_double(&self) -> Result<f64, Stop> {
        if let Self::Int(value) = self {
            #[expect(clippy::cast_precision_loss, reason = "that is what the conversion means")]
            return Ok(*value as f64);
        }
        self.double().or_else(|_| {
            let text = self.text()?;
            std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or(Stop::Error)
        })
    }

    /// `string(…)`.
    pub(crate) fn write(self) -> Result<Self, Stop> {
        let written = match &self {
            Self::Int(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Json(Json::Number(number)) => number.to_string(),
            Self::Json(Json::Bool(value)) => value.to_string(),
            Self::Text(_) | Self::Address(_) | Self::Roles(_) | Self::Json(_) => {
                return self.into_text().map(Value::Text);
            }
        };
        Ok(Self::Text(Cow::Owned(written.into_bytes())))
    }

    pub(crate) fn negate(&self) -> Result<Self, Stop> {
        match self.int() {
            Ok(value) => value.checked_neg().map(Self::Int).ok_or(Stop::Error),
            Err(_) => self.double().map(|value| Self::Double(-value)),
        }
    }

    pub(crate) fn arithmetic(&self, operator: Arithmetic, other: &Value<'_>) -> Result<Self, Stop> {
        if let (Ok(one), Ok(two)) = (self.int(), other.int()) {
            let result = match operator {
                Arithmetic::Add => one.checked_add(two),
                Arithmetic::Subtract => one.checked_sub(two),
                Arithmetic::Multiply => one.checked_mul(two),
            };
            return result.map(Self::Int).ok_or(Stop::Error);
        }
        if let (Arithmetic::Add, Ok(one), Ok(two)) = (operator, self.text(), other.text()) {
            return Ok(Self::Text(Cow::Owned([&*one, &*two].concat())));
        }
        let (one, two) = (self.double()?, other.double()?);
        Ok(Self::Double(match operator {
            Arithmetic::Add => one + two,
            Arithmetic::Subtract => one - two,
            Arithmetic::Multiply => one * two,
        }))
    }
}

/// Writes an address as `origin.ip` reads it: an IPv4 address mapped into IPv6 as IPv4.
pub(crate) fn client_text(address: IpAddr) -> Vec<u8> {
    address.to_canonical().to_string().into_bytes()
}
