//! Mail by SMTP, always under STARTTLS: several letters are one digest. What stands in the head is ours, and cannot end
//! its line.

use std::fmt::Write as _;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use portcullis_config::model::Smtp;
use portcullis_incident::notice::NoticeKind;

use super::{Letter, Outcome, Sending, TIME_MAX, secret};
use crate::egress::EgressError;
use crate::log::rfc3339;

/// The domain of our own names; nobody has it (RFC 2606).
const DOMAIN: &str = "portcullis.invalid";

pub(super) async fn send(sending: &Sending, smtp: &Smtp) -> Outcome {
    let sent = tokio::time::timeout(TIME_MAX, converse(sending, smtp)).await;
    match sent {
        Ok(Ok(())) => Outcome::Delivered,
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::Later(EgressError::TimedOut(TIME_MAX).to_string(), None),
    }
}

async fn converse(sending: &Sending, smtp: &Smtp) -> Result<(), Outcome> {
    let message = message(sending, smtp)?;
    let (envelope, bytes) = (message.envelope().clone(), message.formatted());
    let stream = sending.egress.tcp_to(&smtp.host, smtp.port).await;
    let stream = stream.map_err(|error| Outcome::Later(error.to_string(), None))?;
    let hello = ClientId::Domain(DOMAIN.to_owned());
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
    let mut connection = connected.map_err(|error| judge(&error))?;
    if !connection.can_starttls() {
        let why = "the mail server offers no STARTTLS, and nothing is sent in the clear";
        return Err(Outcome::Later(why.to_owned(), None));
    }
    connection.starttls(tls(sending, smtp)?, &hello).await.map_err(|error| judge(&error))?;
    if let Some((user, key)) = &smtp.login {
        let credentials = Credentials::new(user.clone(), secret(key)?);
        let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        // A password may be renewed: what is refused now is tried again.
        signed_in.map_err(|error| Outcome::Later(said(&error), None))?;
    }
    connection.send(&envelope, &bytes).await.map_err(|error| judge(&error))?;
    // It is delivered; how the other end takes its leave does not matter.
    drop(connection.quit().await);
    Ok(())
}

/// A server that says "never" to a mail says it to the next try as well.
fn judge(error: &smtp::Error) -> Outcome {
    if error.is_permanent() {
        Outcome::Refused(said(error))
    } else {
        Outcome::Later(said(error), None)
    }
}

fn said(error: &smtp::Error) -> String {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// The guard's authorities, and no others.
fn tls(sending: &Sending, smtp: &Smtp) -> Result<TlsParameters, Outcome> {
    let later = |error: smtp::Error| Outcome::Later(said(&error), None);
    let mut builder =
        TlsParameters::builder(smtp.host.clone()).certificate_store(CertificateStore::None);
    for authority in sending.egress.trusted() {
        let authority = Certificate::from_der(authority.to_vec()).map_err(later)?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(later)
}

fn message(sending: &Sending, smtp: &Smtp) -> Result<Message, Outcome> {
    let wrong = |error: &dyn std::fmt::Display| Outcome::Refused(error.to_string());
    let from: Mailbox = smtp.from.parse().map_err(|error| wrong(&error))?;
    let mut message = Message::builder().from(from).subject(subject(&sending.letters));
    for to in &smtp.to {
        message = message.to(to.parse().map_err(|error| wrong(&error))?);
    }
    if let Some(letter) = sending.letters.last() {
        message = message.message_id(Some(format!("<{}@{DOMAIN}>", letter.id())));
    }
    let message = message.header(ContentType::TEXT_PLAIN).body(body(sending));
    message.map_err(|error| wrong(&error))
}

fn subject(letters: &[Letter]) -> String {
    match letters {
        [letter] => {
            let word = match letter.kind {
                NoticeKind::Trigger => "",
                NoticeKind::Acknowledge => "acknowledged: ",
                NoticeKind::Resolve => "resolved: ",
            };
            let (category, priority) = (letter.category.as_str(), letter.priority.as_str());
            let customers = letter.tenants.len();
            format!(
                "[{priority}] {word}{category} {}, {customers} tenants affected",
                letter.incident
            )
        }
        _ => format!("[P3] {} notices of incidents", letters.len()),
    }
}

fn body(sending: &Sending) -> String {
    let mut text = String::new();
    for letter in &sending.letters {
        let lines = [
            ("at", rfc3339(letter.at)),
            ("what", format!("{} {}", letter.kind.as_str(), letter.summary)),
            ("tenants", letter.tenants.join(", ")),
            ("sources", letter.sources.join(", ")),
            ("users", letter.subjects.join(", ")),
            ("next", format!("portcullis incidents show {}", letter.incident)),
            ("runbook", sending.link(letter).unwrap_or_else(|| letter.runbook())),
        ];
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
            writeln!(text, "{name:<8} {value}").expect("a string takes all text");
        }
        text.push('\n');
    }
    text
}
