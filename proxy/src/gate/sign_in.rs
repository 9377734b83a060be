//! The gate's side of sign-in protection: an attempt is let through or refused before the origin hears of it, and ended with
//! what the origin's answer says. The events are written here, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis_config::model::{SignIn, SignInKind};
use portcullis_incident::event::Taken;
use portcullis_incident::{Category, Event};

use super::decide::Admitted;
use super::refusal::Refusal;
use super::verdict;
use super::work::Work;
use crate::lockdown::route_name;
use crate::log::{REDACTED, Redaction, SignInEvent, SignInRecord};
use crate::reason::Reason;
use crate::router::RouteEntry;
use crate::shared::Shared;
use crate::sign_in::{Ask, Attempt, NoAccount, Outcome, TooMany, Whose, account};

/// An attempt in work.
#[derive(Debug)]
pub(super) struct SigningIn {
    attempt: Attempt,
    rule: Arc<SignIn>,
    /// The account's name in its normal form, where the request says it.
    account: Option<String>,
}

/// Lets an attempt through on a route that declares itself, or refuses it.
pub(super) fn begin(
    shared: &Shared,
    work: &mut Work,
    method: &Method,
    entry: &RouteEntry,
    admitted: &Admitted,
) -> Result<(), Refusal> {
    let Some(rule) = entry.route.sign_in() else { return Ok(()) };
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let named = named(rule, admitted)?;
    let caller = admitted.identity.as_ref().map(|identity| identity.subject.as_str());
    let backend = entry.backend.as_ref().map_or("", |(id, _)| id.as_str());
    let ask = Ask { backend, account: named.as_deref().or(caller), address: work.client.address };
    match shared.sign_ins.begin(ask, rule, work.begun) {
        Ok(attempt) => {
            work.sign_in = Some(SigningIn { attempt, rule: Arc::clone(rule), account: named });
            Ok(())
        }
        Err(TooMany { of, retry_after }) => Err(too_many(of, retry_after)),
    }
}

/// The account that the request names. One that names none cannot be counted, so it is not let through.
fn named(rule: &SignIn, admitted: &Admitted) -> Result<Option<String>, Refusal> {
    if rule.account.is_empty() {
        return Ok(None);
    }
    let held = admitted.held.as_ref();
    let body = held.map_or(&b""[..], |held| match &held.inflated {
        Some(inflated) => &inflated.bytes,
        None => &held.bytes,
    });
    let refused = |why: NoAccount| Refusal::because(Reason::MalformedBody, why.why());
    account(&rule.account, body).map(Some).map_err(refused)
}

/// One answer whether or not the account is there.
fn too_many(of: Whose, retry_after: Duration) -> Refusal {
    let detail = match of {
        Whose::Account => "too many failures of the account",
        Whose::Address => "too many failures of the address",
    };
    let secs = retry_after.as_millis().div_ceil(1000).max(1);
    Refusal {
        retry_after_secs: Some(u32::try_from(secs).unwrap_or(u32::MAX)),
        ..Refusal::because(Reason::SignInLimited, detail)
    }
}

/// Ends the request's attempt, if it is one, with the status that the client got.
pub(super) fn end(shared: &Shared, work: &mut Work, has_refusal: bool, status: u16) {
    let Some(SigningIn { attempt, rule, account }) = work.sign_in.take() else { return };
    let outcome = if has_refusal { Outcome::Unsaid } else { outcome(&rule, status) };
    if let Some(stuffing) = attempt.end(outcome, shared.clock.now()) {
        tracing::warn!(accounts = stuffing.accounts, "many accounts fail from one network");
        raise(shared, work, Category::CredentialStuffing, None, status);
    }
    if let Some(event) = event_of(rule.kind, outcome) {
        if event == SignInEvent::LoginFailed {
            let account = account.as_deref().map(|name| told_apart(shared, work, name));
            raise(shared, work, Category::LoginFailed, account, status);
        }
        tell(shared, &record(work, event, account));
    }
}

fn outcome(rule: &SignIn, status: u16) -> Outcome {
    match status {
        0 => Outcome::Left,
        _ if rule.failed.contains(&status) => Outcome::Failed,
        _ if rule.succeeded.contains(&status) => Outcome::Succeeded,
        _ if rule.conflict.contains(&status) => Outcome::Conflict,
        _ => Outcome::Unsaid, // what the route does not name
    }
}

const fn event_of(kind: SignInKind, outcome: Outcome) -> Option<SignInEvent> {
    match (kind, outcome) {
        (SignInKind::SignIn, Outcome::Failed) => Some(SignInEvent::LoginFailed),
        (SignInKind::SignIn, Outcome::Succeeded) => Some(SignInEvent::LoginSuccess),
        (SignInKind::Registration, Outcome::Conflict) => Some(SignInEvent::RegisterConflict),
        (SignInKind::Registration, Outcome::Succeeded) => Some(SignInEvent::RegisterSuccess),
        (SignInKind::PasswordChange, Outcome::Failed) => Some(SignInEvent::PasswordChangeFailed),
        (SignInKind::PasswordChange, Outcome::Succeeded) => {
            Some(SignInEvent::PasswordChangeSuccess)
        }
        (SignInKind::SignIn | SignInKind::PasswordChange, Outcome::Conflict)
        | (SignInKind::Registration, Outcome::Failed)
        | (_, Outcome::Unsaid | Outcome::Left) => None,
    }
}

fn record(work: &Work, event: SignInEvent, account: Option<String>) -> SignInRecord {
    let told = work.forward.as_ref().and_then(|forward| forward.told.as_ref());
    let caller = || work.identity.as_ref().map(|identity| identity.subject.clone());
    let hidden = |name: String| if hides_accounts(work) { REDACTED.to_owned() } else { name };
    SignInRecord {
        time: work.begun,
        event,
        reason: told.filter(|_| event.is_failure()).and_then(super::told::Told::reason),
        user_id: told.and_then(super::told::Told::user).or_else(caller),
        email: account.map(hidden),
        ip: work.client.address,
        request_id: work.id.clone(),
    }
}

fn hides_accounts(work: &Work) -> bool {
    Redaction(&work.snapshot.config.log.redact).names(b"email")
}

/// The account as the desk tells it from others: by its name, or by a keyed hash where the log hides names.
fn told_apart(shared: &Shared, work: &Work, name: &str) -> String {
    if hides_accounts(work) { shared.sign_ins.hash(name) } else { name.to_owned() }
}

/// Raises what the incident desk is to hear of.
fn raise(shared: &Shared, work: &Work, category: Category, account: Option<String>, status: u16) {
    let id = super::request_id(work.begun);
    let mut event = Event::new(&id, category, Some(work.client.address), work.begun);
    let path = work.asked.uri.split(|byte| *byte == b'?').next().unwrap_or_default();
    event.request_id = Some(work.id.clone());
    event.method = work.asked.method.escape_ascii().to_string();
    event.path = path.escape_ascii().to_string();
    event.route = work
        .entry
        .as_ref()
        .map(|entry| route_name(&entry.host, &entry.route.path))
        .unwrap_or_default();
    event.actor.country = Some(verdict::region(work)).filter(|region| !region.is_empty());
    event.actor.account = account;
    event.status = status;
    event.taken = Taken::Logged;
    shared.events.raise(event);
}

/// Writes what became of a sign-in, with the services' own names. Whoever else is to hear of it is called here.
fn tell(shared: &Shared, record: &SignInRecord) {
    shared.metrics.sign_ins.with_label_values(&[record.event.as_str()]).inc();
    shared.events.write(record.to_json());
}
