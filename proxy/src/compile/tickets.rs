//! The secrets of session tickets, where nodes share them.

use std::sync::Arc;

use portcullis_config::Diagnostic;
use portcullis_config::model::Config;

use super::sources::Sources;
use crate::tickets::{TicketSecret, parse};

/// Loads `session_tickets.keys`, if it is written.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Option<Arc<[TicketSecret]>> {
    let reference = config.session_tickets.keys.as_ref()?;
    let text = sources.read_secret("the session tickets' keys", reference)?;
    match parse(text.expose()) {
        Ok(secrets) => Some(secrets.into()),
        Err(why) => {
            let message = format!("`{reference}` is no file of ticket keys: {why}");
            let problem = Diagnostic::error("ticket-keys-invalid", message)
                .help("make one by `portcullis tls ticket-key FILE`");
            sources.report(problem, &reference.path().unwrap_or_default());
            None
        }
    }
}
