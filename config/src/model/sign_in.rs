//! Routes that accounts sign in and register on.

use std::time::Duration;

/// What a route says of its sign-ins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignIn {
    /// What the route is for.
    pub kind: SignInKind,
    /// Where the account's name stands in a request; the first that is there counts. Empty for changes of a password, whose
    /// account is the caller.
    pub account: Vec<AccountField>,
    /// The statuses by which the origin says that it failed.
    pub failed: Vec<u16>,
    /// The statuses by which it says that it succeeded.
    pub succeeded: Vec<u16>,
    /// The statuses by which it says that the account is there already.
    pub conflict: Vec<u16>,
    /// Where its answer says why it failed.
    pub reason: Option<AnswerField>,
    /// Where its answer names the account's user.
    pub user: Option<AnswerField>,
    /// Failures of one account in the window; a further attempt is refused.
    pub account_failures: u32,
    /// The same of one address.
    pub address_failures: u32,
    /// The window of both, and of the accounts of one network.
    pub window: Duration,
    /// Accounts that fail from one network in the window, from which on it is credential stuffing.
    pub stuffing_accounts: u32,
}

/// Where a call names the license key and the device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LicenseCall {
    /// The key; the first place that is there counts.
    pub license_key: Vec<AccountField>,
    /// The device; none where devices are not told apart.
    pub device: Vec<AccountField>,
}

/// What a route is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInKind {
    /// Signing in.
    SignIn,
    /// Making an account.
    Registration,
    /// Changing a password.
    PasswordChange,
}

/// Where the account's name stands in a request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountField {
    /// In a JSON document: the names of members, from the outside in.
    Json(Vec<String>),
    /// In a form: the name of the field.
    Form(String),
}

/// Where an answer says something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnswerField {
    /// In a JSON document: the names of members, from the outside in.
    Json(Vec<String>),
    /// In a header, by its name in lower case.
    Header(String),
}

impl SignIn {
    /// Says whether something is read in the body of answers.
    #[must_use]
    pub const fn reads_answers(&self) -> bool {
        matches!(self.reason, Some(AnswerField::Json(_)))
            || matches!(self.user, Some(AnswerField::Json(_)))
    }
}
