//! `admin webhook …`: where a tenant hears of its seats and licenses.

use super::Outcome;
use crate::clock::Timestamp;
use crate::domain::names::TenantId;
use crate::domain::webhook::{Events, Webhook};
use crate::service::Operator;
use crate::settings::{Settings, Span};
use clap::{Args, Subcommand};
use std::io::Write;
use std::time::Duration;
use uuid::Uuid;

/// What operators do to webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookAction {
    /// Make one and print its secret, this once.
    Create {
        /// Whose webhook.
        #[arg(long)]
        tenant: TenantId,
        /// Where messages are sent: an `https` URL.
        #[arg(long)]
        url: String,
        /// The events that it is told of, such as `license.seats.exhausted,license.expired`; every one unless said.
        #[arg(long, value_delimiter = ',')]
        events: Vec<String>,
    },
    /// List the tenant's webhooks and how they fare.
    Ls {
        /// Whose webhooks.
        #[arg(long)]
        tenant: TenantId,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Give one another secret and print it, this once. The one before signs too for a time.
    Rotate {
        /// Which webhook.
        #[command(flatten)]
        which: WhichWebhook,
        /// How long the secret before signs too; at most 7 days.
        #[arg(long, value_name = "TIME", default_value = "1d")]
        overlap: Span,
    },
    /// Send a message that tells of nothing.
    Test(WhichWebhook),
    /// Tell it nothing more; what waits for it is dropped.
    Disable(WhichWebhook),
    /// Tell it of what happens from now on.
    Enable(WhichWebhook),
    /// Remove it and what waits for it.
    Rm(WhichWebhook),
}

/// One webhook of a tenant.
#[derive(Debug, Args)]
pub struct WhichWebhook {
    /// Whose webhook.
    #[arg(long)]
    tenant: TenantId,
    /// The webhook.
    id: Uuid,
}

const OVERLAP_MAX: Duration = Duration::from_secs(7 * 86_400);

pub(super) async fn run(
    action: WebhookAction,
    operator: &Operator,
    settings: &Settings,
    out: &mut dyn Write,
) -> Outcome {
    let desk = |tenant| operator.webhooks(tenant, settings);
    match action {
        WebhookAction::Create { tenant, url, events } => {
            let events = if events.is_empty() {
                Events::ALL
            } else {
                Events::parse(events.iter().map(String::as_str))
                    .map_err(|why| format!("`--events`: {why}"))?
            };
            let (id, secret) = desk(tenant).create(url, events).await?;
            writeln!(out, "webhook {id}")?;
            writeln!(out, "secret  {}   (shown this once)", secret.as_str())?;
        }
        WebhookAction::Ls { tenant, json } => list(&desk(tenant).list().await?, json, out)?,
        WebhookAction::Rotate { which, overlap } => {
            let overlap = overlap.duration();
            if overlap > OVERLAP_MAX {
                return Err("the secret before signs 7 days more at most".into());
            }
            let secret = desk(which.tenant).rotate(which.id, overlap).await?;
            writeln!(out, "secret  {}   (shown this once)", secret.as_str())?;
        }
        WebhookAction::Test(which) => desk(which.tenant).test(which.id).await?,
        WebhookAction::Disable(which) => desk(which.tenant).set_active(which.id, false).await?,
        WebhookAction::Enable(which) => desk(which.tenant).set_active(which.id, true).await?,
        WebhookAction::Rm(which) => desk(which.tenant).remove(which.id).await?,
    }
    Ok(())
}

fn list(hooks: &[Webhook], json: bool, out: &mut dyn Write) -> Outcome {
    for hook in hooks {
        let status = if hook.is_active { "active" } else { "disabled" };
        let taken = hook.delivered_at.map(Timestamp::to_rfc3339);
        if json {
            let object = serde_json::json!({"id": hook.id, "url": hook.url, "events": hook.events.names(), "status": status,
                "reason": hook.reason, "waiting": hook.waiting, "delivered_at": taken,
                "failed_at": hook.failed_at.map(Timestamp::to_rfc3339), "failure": hook.failure});
            writeln!(out, "{object}")?;
        } else {
            let why = hook.reason.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
            let failure = hook.failure.as_deref().unwrap_or("none");
            writeln!(
                out,
                "{}  {status}{why}  {} waiting  last taken {}  last failure {failure}  {}",
                hook.id,
                hook.waiting,
                taken.as_deref().unwrap_or("never"),
                hook.url
            )?;
        }
    }
    Ok(())
}
