//! Events of sign-ins, with the names that the services behind the edge log them by.

use std::fmt::Write as _;
use std::net::IpAddr;

use portcullis_config::Timestamp;
use serde_json::{Map, Value};

use super::rfc3339;

/// What an origin's answer says of a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInEvent {
    /// `login_failed`
    LoginFailed,
    /// `login_success`
    LoginSuccess,
    /// `register_conflict`
    RegisterConflict,
    /// `register_success`
    RegisterSuccess,
    /// `password_change_failed`
    PasswordChangeFailed,
    /// `password_change_success`
    PasswordChangeSuccess,
}

impl SignInEvent {
    /// The event's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginFailed => "login_failed",
            Self::LoginSuccess => "login_success",
            Self::RegisterConflict => "register_conflict",
            Self::RegisterSuccess => "register_success",
            Self::PasswordChangeFailed => "password_change_failed",
            Self::PasswordChangeSuccess => "password_change_success",
        }
    }

    /// Whether something failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::LoginFailed | Self::RegisterConflict | Self::PasswordChangeFailed)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::LoginFailed => "Login failed",
            Self::LoginSuccess => "Login successful",
            Self::RegisterConflict => "Registration conflict",
            Self::RegisterSuccess => "Registration successful",
            Self::PasswordChangeFailed => "Password change failed",
            Self::PasswordChangeSuccess => "Password change successful",
        }
    }
}

/// One event of a sign-in.
#[derive(Clone, Debug)]
pub struct SignInRecord {
    /// When the request's head was read.
    pub time: Timestamp,
    /// What happened.
    pub event: SignInEvent,
    /// Why, where the origin says it.
    pub reason: Option<String>,
    /// Whose account it is, where the origin or the token says it.
    pub user_id: Option<String>,
    /// The account's name, as the request names it.
    pub email: Option<String>,
    /// The client.
    pub ip: IpAddr,
    /// The request.
    pub request_id: String,
}

/// The numbers of levels in the services' logs.
const WARN: u64 = 40;
const INFO: u64 = 30;

impl SignInRecord {
    /// Writes it as the line of the event log.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                line.insert(name.to_owned(), value);
            }
        };
        put("level", if self.event.is_failure() { WARN } else { INFO }.into());
        put("time", self.time.as_millis().into());
        put("event", self.event.as_str().into());
        put("reason", self.reason.clone().into());
        put("userId", self.user_id.clone().into());
        put("email", self.email.clone().into());
        put("ip", self.ip.to_string().into());
        put("timestamp", rfc3339(self.time).into());
        put("msg", message(self).into());
        put("source", "edge".into());
        put("requestId", self.request_id.clone().into());
        Value::Object(line)
    }
}

fn message(e: &SignInRecord) -> String {
    let mut text = format!("Security: {}", e.event.words());
    if let Some(reason) = &e.reason {
        write!(text, " - {}", reason.replace('_', " ")).expect("a string takes all text");
    }
    text
}
