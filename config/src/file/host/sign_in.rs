//! What a route says of its sign-ins.

use crate::diagnostic::Diagnostic;
use crate::file::fields::Fields;
use crate::file::{Context, keys, scalar};
use crate::model::{AccountField, AnswerField, BodyPlan, LicenseCall, SignIn, SignInKind};
use crate::yaml::{Node, Value};

/// Decodes `sign_in`.
pub(super) fn sign_in(node: &Node, cx: &mut Context<'_>) -> Option<SignIn> {
    let fields = Fields::open(node, &keys::SIGN_IN, cx)?;
    let kinds = [
        ("sign_in", SignInKind::SignIn),
        ("registration", SignInKind::Registration),
        ("password_change", SignInKind::PasswordChange),
    ];
    let kind = fields.of("kind", cx, |node, cx| scalar::choice(node, cx, &kinds));
    let account = fields.may("account", cx, |node, cx| scalar::some_items(node, cx, account));
    let failed = fields.of("failed", cx, statuses);
    let succeeded = fields.of("succeeded", cx, statuses);
    let conflict = fields.of("conflict", cx, statuses);
    let reason = fields.may("reason", cx, answer);
    let user = fields.may("user", cx, answer);
    let account_failures = fields.of("account_failures", cx, scalar::number(1..=1000));
    let address_failures = fields.of("address_failures", cx, scalar::number(1..=10_000));
    let window = fields.of("window", cx, scalar::duration("10s", "24h"));
    let stuffing_accounts = fields.of("stuffing_accounts", cx, scalar::number(2..=64));
    let (kind, account) = (kind?, account?.unwrap_or_default());
    if account.is_empty() && kind != SignInKind::PasswordChange {
        fields.missing("the key `account` is missing: where the account's name stands", cx);
        return None;
    }
    let sign_in = SignIn {
        kind,
        account,
        failed: failed?,
        succeeded: succeeded?,
        conflict: conflict?,
        reason: reason?,
        user: user?,
        account_failures: account_failures?,
        address_failures: address_failures?,
        window: window?,
        stuffing_accounts: stuffing_accounts?,
    };
    check_statuses(&sign_in, &fields, cx)?;
    Some(sign_in)
}

/// A status that says two things says nothing.
fn check_statuses(sign_in: &SignIn, fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<()> {
    let said = [&sign_in.failed, &sign_in.succeeded, &sign_in.conflict];
    for (at, one) in said.iter().enumerate() {
        let others = said.iter().skip(at + 1).copied().flatten();
        if let Some(both) = others.copied().find(|status| one.contains(status)) {
            fields.missing(&format!("the status {both} says two things at once"), cx);
            return None;
        }
    }
    Some(())
}

/// Decodes `license_call`.
pub(super) fn license_call(node: &Node, cx: &mut Context<'_>) -> Option<LicenseCall> {
    let fields = Fields::open(node, &keys::LICENSE_CALL, cx)?;
    let license_key =
        fields.of("license_key", cx, |node, cx| scalar::some_items(node, cx, account));
    let device = fields.may("device", cx, |node, cx| scalar::some_items(node, cx, account));
    Some(LicenseCall { license_key: license_key?, device: device?.unwrap_or_default() })
}

/// What is looked for in a body is found where it is read whole.
pub(super) fn check_body(
    key: &str,
    reads: bool,
    body: &BodyPlan,
    fields: &Fields<'_>,
    cx: &mut Context<'_>,
) {
    let is_held = matches!(body, BodyPlan::Inspect { .. });
    if let Some(node) = fields.get(key).filter(|_| reads && !is_held) {
        let said = "what it names is found only in a body that is read before it is forwarded";
        let wrong = Diagnostic::error("conflicting-keys", said);
        cx.report(wrong.help("take `body` out"), node.place());
    }
}

/// Statuses as numbers; a text of numbers where the default is meant.
fn statuses(node: &Node, cx: &mut Context<'_>) -> Option<Vec<u16>> {
    if let Value::Scalar { text, quoted: false } = &node.value
        && text.contains(',')
    {
        let defaults: Result<Vec<u16>, _> = text.split(", ").map(str::parse).collect();
        return defaults.ok();
    }
    if let Value::Scalar { .. } = &node.value {
        return status(node, cx).map(|one| vec![one]);
    }
    scalar::some_items(node, cx, status)
}

fn status(node: &Node, cx: &mut Context<'_>) -> Option<u16> {
    scalar::number(200..=499)(node, cx).and_then(|number| u16::try_from(number).ok())
}

fn account(node: &Node, cx: &mut Context<'_>) -> Option<AccountField> {
    let written = scalar::text(node, cx)?;
    let field = match written.split_once(':') {
        Some(("json", path)) => members(path).map(AccountField::Json),
        Some(("form", name)) if !name.is_empty() => Some(AccountField::Form(name.to_owned())),
        Some(_) | None => None,
    };
    if field.is_none() {
        let wrong = Diagnostic::error("wrong-value", format!("`{written}` is no place of a name"));
        cx.report(wrong.help("write `json:email` or `form:username`"), node.value_place());
    }
    field
}

fn answer(node: &Node, cx: &mut Context<'_>) -> Option<AnswerField> {
    let written = scalar::text(node, cx)?;
    let field = match written.split_once(':') {
        Some(("json", path)) => members(path).map(AnswerField::Json),
        Some(("header", name)) if scalar::is_header_name(name) => {
            Some(AnswerField::Header(name.to_ascii_lowercase()))
        }
        Some(_) | None => None,
    };
    if field.is_none() {
        let wrong =
            Diagnostic::error("wrong-value", format!("`{written}` is no place in an answer"));
        cx.report(wrong.help("write `json:error.reason` or `header:X-Reason`"), node.value_place());
    }
    field
}

/// Names separated by dots, at most eight.
fn members(path: &str) -> Option<Vec<String>> {
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    let is_sound = names.len() <= 8 && names.iter().all(|name| !name.is_empty());
    is_sound.then_some(names)
}
