//! The events of a finished request: one for why it was refused, one for each rule in preview that would have refused
//! it.

use bytes::Bytes;
use portcullis_identity::Why;
use portcullis_incident::event::{Actor, Rule, Taken};
use portcullis_incident::{Breach, Category, Event};
use portcullis_policy::EventKind;

use crate::log::RequestRecord;
use crate::reason::Reason;

/// How much of an agent's name is kept.
const AGENT_BYTES_MAX: usize = 256;

/// What the policy says beside the record.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// What kind of refusal its enforced rule made.
    pub(crate) kind: Option<EventKind>,
    /// The rules in preview that would have refused, with what they would have refused it for.
    pub(crate) previewed: Vec<(u32, EventKind)>,
    /// Where the first signature matched: the field's name, and the start of what matched.
    pub(crate) matched: Option<(String, Bytes)>,
    /// The token's id.
    pub(crate) token_id: Option<String>,
    /// The route, by its host and path.
    pub(crate) route: Option<String>,
    /// What a request that left its caller's tenant rests on.
    pub(crate) breach: Option<Breach>,
}

/// Says whether a request is an event by how it ended, whatever rules in preview make of it.
pub(crate) const fn is_noted(refusal: Option<Reason>, status: u16) -> bool {
    // Who asks for one thing after another that is not there looks for something.
    refusal.is_some() || status == 404
}

/// Returns the events of a request.
pub(crate) fn of_request(record: &RequestRecord, refused: &Refused) -> Vec<Event> {
    let mut events: Vec<Event> = category(record, refused).map_or_else(Vec::new, |category| {
        vec![Event { taken: taken(record), ..event(record, category, refused) }]
    });
    events.extend(refused.previewed.iter().filter_map(|(rule, kind)| {
        let category = Category::by_kind(kind.as_str())?;
        let rule = Some(Rule { id: rule.to_string(), ..Rule::default() });
        let payload = Vec::new();
        Some(Event { taken: Taken::Previewed, rule, payload, ..event(record, category, refused) })
    }));
    events
}

/// A refusal is blocked; what the origin answered itself is noted.
const fn taken(record: &RequestRecord) -> Taken {
    if record.refusal.is_some() { Taken::Blocked } else { Taken::Logged }
}

fn category(record: &RequestRecord, refused: &Refused) -> Option<Category> {
    if !is_noted(record.refusal, record.status) {
        return None;
    }
    let Some(reason) = record.refusal else { return Some(Category::Scanner) };
    let by_policy = refused.kind.and_then(|kind| Category::by_kind(kind.as_str()));
    by_policy.or_else(|| of_reason(reason, record.detail.as_deref()))
}

/// What a refusal is an event of; `None` for what refuses nobody.
fn of_reason(reason: Reason, detail: Option<&str>) -> Option<Category> {
    Some(match reason {
        Reason::MalformedRequest | Reason::MalformedBody | Reason::AmbiguousCredential => {
            Category::ProtocolAttack
        }
        Reason::InvalidToken => {
            let why = Why::ALL.iter().find(|why| Some(why.as_str()) == detail);
            let is_forged = why.is_some_and(|why| why.is_forgery());
            if is_forged { Category::TokenForgery } else { Category::TokenRefused }
        }
        Reason::MissingAuth | Reason::MissingTenant | Reason::LoginFailed => Category::TokenRefused,
        Reason::DeniedByPolicy
        | Reason::BodyDeniedByPolicy
        | Reason::AnswerDenied
        | Reason::InsufficientScope => Category::PolicyDeny,
        Reason::InspectionExhausted => Category::WafLimit,
        Reason::RateLimited | Reason::TooManyMessages => Category::RateLimit,
        Reason::Banned => Category::Ban,
        Reason::UnknownRoute | Reason::UnknownHost => Category::Scanner,
        Reason::MethodNotAllowed => Category::MethodEnforcement,
        Reason::Misdirected
        | Reason::CertificateRequired
        | Reason::BodyTimeout
        | Reason::BodyTooLarge
        | Reason::BodyTooDense
        | Reason::UriTooLong
        | Reason::UnsupportedEncoding
        | Reason::UnsupportedMedia
        | Reason::ExpectationFailed
        | Reason::HeaderTooLarge
        | Reason::UpgradeRefused
        | Reason::NotGrpc
        | Reason::MessageTooLarge
        | Reason::CrossSiteRequest
        | Reason::LockedDown => Category::RequestRefused,
        Reason::TenantAccess => Category::TenantBreach,
        Reason::KeysUnavailable
        | Reason::LoginUnavailable
        | Reason::UpstreamUnreachable
        | Reason::UpstreamFailed
        | Reason::UpstreamBusy
        | Reason::NoHealthyUpstream
        | Reason::Overloaded
        | Reason::UpstreamTimeout
        | Reason::Internal => Category::Unavailable,
        Reason::SignInLimited => Category::BruteForce,
        Reason::RedirectedByPolicy
        | Reason::ShuttingDown
        | Reason::ReportTaken
        | Reason::LoginRequired
        | Reason::LoggedIn
        | Reason::LoggedOut => return None,
    })
}

/// Returns what scenarios see of a request, whatever became of it.
pub(crate) fn everyday(record: &RequestRecord, category: Category) -> Event {
    event(record, category, &Refused::default())
}

fn event(record: &RequestRecord, category: Category, refused: &Refused) -> Event {
    let client = &record.client;
    let identity = record.identity.as_ref();
    let subject = identity.map(|identity| identity.subject.clone());
    let (field, payload) = refused.matched.clone().unzip();
    Event {
        actor: Actor {
            subject,
            tenant: identity.and_then(|identity| identity.tenant.clone()),
            provider: identity.map(|identity| identity.provider.clone()),
            token_id: refused.token_id.clone(),
            fingerprint: Some(client.ja4.to_string()).filter(|print| !print.is_empty()),
            account: None,
            user_agent: record.user_agent.as_ref().map(agent),
            country: Some(client.region_code.clone()).filter(|code| !code.is_empty()),
            asn: Some(client.asn).filter(|asn| *asn != 0),
            license_key: None,
            device: None,
        },
        request_id: Some(record.request_id.clone()),
        method: escaped(&record.method),
        path: escaped(path(&record.uri)),
        route: refused.route.clone().unwrap_or_default(),
        payload: payload.map(|payload| payload.to_vec()).unwrap_or_default(),
        status: record.status,
        bytes_out: record.response_bytes,
        objects: record.objects.clone(),
        rule: rule(record, field),
        breach: refused.breach.clone(),
        preview_rule: preview_rule(record, refused),
        ..Event::new("", category, Some(client.address), record.time)
    }
}

/// The signature, where one matched, and otherwise the rule of the policy.
fn rule(record: &RequestRecord, matched_field: Option<String>) -> Option<Rule> {
    let enforced = record.enforced.as_ref().filter(|_| record.refusal.is_some())?;
    let signature = enforced.preconfigured_expr_ids.first();
    let rule = format!("{}/{}", enforced.name, enforced.priority);
    Some(Rule { id: signature.cloned().unwrap_or(rule), score: None, matched_field })
}

/// The first rule in preview that would have refused it too.
fn preview_rule(record: &RequestRecord, refused: &Refused) -> Option<String> {
    let (priority, _) = refused.previewed.first()?;
    let policy = &record.enforced.as_ref()?.name;
    Some(format!("{policy}/{priority}"))
}

fn path(uri: &[u8]) -> &[u8] {
    uri.split(|byte| *byte == b'?').next().unwrap_or_default()
}

fn agent(agent: &Bytes) -> String {
    escaped(agent.get(..AGENT_BYTES_MAX).unwrap_or(agent))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::record;
    use crate::reason::REASONS;

    #[test]
    fn every_refusal_is_an_event_but_the_answers_that_refuse_nobody() {
        let none: Vec<_> = REASONS
            .iter()
            .filter(|row| of_reason(row.reason, None).is_none())
            .map(|row| row.label)
            .collect();
        let answers = ["report_taken", "login_required", "logged_in", "logged_out"];
        assert_eq!(none, [&answers[..], &["redirected_by_policy", "shutting_down"]].concat());
        for kind in EventKind::ALL {
            assert!(Category::by_kind(kind.as_str()).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_token_that_was_made_up_is_told_from_one_that_is_over() {
        let category = |detail| of_reason(Reason::InvalidToken, Some(detail));
        assert_eq!(category("bad_signature"), Some(Category::TokenForgery));
        assert_eq!(category("expired"), Some(Category::TokenRefused));
    }

    #[test]
    fn a_refusal_and_its_previews_are_told_apart() {
        let refused = Refused {
            kind: Some(EventKind::SqlInjection),
            previewed: vec![(7, EventKind::Xss)],
            matched: Some(("id".to_owned(), Bytes::from_static(b"' OR 1=1--"))),
            ..Refused::default()
        };
        let events = of_request(&record(), &refused);
        let what: Vec<_> = events.iter().map(|event| (event.category, event.taken)).collect();
        assert_eq!(
            what,
            [(Category::SqlInjection, Taken::Blocked), (Category::Xss, Taken::Previewed)]
        );
        let json = events[0].to_json(&portcullis_incident::event::Placed::default());
        assert_eq!(json["request"]["payload"], "' OR 1=1--");
        assert_eq!(json["rule"]["id"], "owasp-crs-v030301-id942100-sqli");
        assert_eq!(json["rule"]["matched_field"], "id");
        assert_eq!(json["preview_rule"], "license-api/7");
        assert_eq!(
            (&json["source_ip"], &json["type"]),
            (&"192.0.2.7".into(), &"sql_injection".into())
        );
        let passed = RequestRecord { refusal: None, status: 200, ..record() };
        assert!(of_request(&passed, &Refused::default()).is_empty());
        let missed = RequestRecord { refusal: None, status: 404, ..record() };
        let missed = of_request(&missed, &Refused::default());
        assert_eq!((missed[0].category, missed[0].taken), (Category::Scanner, Taken::Logged));
    }
}
