//! What operators do with the audit trail.

use super::Outcome;
use crate::domain::audit::Head;
use crate::domain::names::TenantId;
use crate::service::Operator;
use crate::signing::KeySet;
use clap::Subcommand;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

/// What operators do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Walk a tenant's chain and print its head, to be noted down elsewhere. Exit 1 where the chain is broken.
    Verify {
        /// Whose trail.
        #[arg(long)]
        tenant: TenantId,
        /// A head that was noted down before: the chain must pass through it.
        #[arg(long, value_name = "POSITION:HASH")]
        head: Option<String>,
    },
    /// Print a tenant's events as JSON lines, each with its position and hash, and last the chain's proof.
    Export {
        /// Whose trail.
        #[arg(long)]
        tenant: TenantId,
        /// The first moment, as RFC 3339; the beginning unless said.
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
        /// The moment before which it ends; now unless said.
        #[arg(long, value_name = "TIME")]
        to: Option<jiff::Timestamp>,
    },
    /// Check an export by itself: its chain, and its checkpoints' signatures by a key set. Exit 1 where it is broken.
    Check {
        /// What `export` printed.
        file: PathBuf,
        /// The key set (`/.well-known/jwks.json`), kept from when the checkpoints were signed.
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
    },
}

/// Carries an action out.
pub(super) async fn run(action: AuditAction, operator: &Operator, out: &mut dyn Write) -> Outcome {
    match action {
        AuditAction::Verify { tenant, head } => {
            let noted = head.map(|head| head.parse::<Head>()).transpose()?;
            let walked = operator.walk_audit(tenant, noted, &mut |_, _| Ok(())).await?;
            let (events, checkpoints) = (walked.head.position, walked.checkpoints.len());
            write!(out, "{events} events, {checkpoints} checkpoints, head {}", walked.head)?;
            if walked.beginning != Head::START {
                write!(out, ", after {} by retention", walked.beginning)?;
            }
            writeln!(out)?;
        }
        AuditAction::Export { tenant, from, to } => {
            let (from, to) = (from.map(millis), to.map(millis));
            // The heads before the first event of the period and at its last one.
            let mut period: Option<(Head, Head)> = None;
            let mut ended = false;
            let walked = operator
                .walk_audit(tenant.clone(), None, &mut |before, linked| {
                    if period.is_none() && from.is_some_and(|from| linked.event.at < from) {
                        return Ok(());
                    }
                    // Times in a chain are nearly in order: what follows the end of the period has no place in it.
                    ended |= to.is_some_and(|to| linked.event.at >= to);
                    if ended {
                        return Ok(());
                    }
                    period = Some((period.map_or(before, |(first, _)| first), linked.head));
                    writeln!(out, "{}", super::export::event(linked))
                })
                .await?;
            let (before, last) = period.unwrap_or((walked.head, walked.head));
            writeln!(out, "{}", super::export::proof(&tenant, before, last, &walked.checkpoints))?;
        }
        AuditAction::Check { file, keys } => {
            let keys = keys.map(std::fs::read).transpose()?;
            let keys = keys.map(|text| KeySet::parse(&text)).transpose()?;
            let checked =
                super::export::check(&mut BufReader::new(File::open(file)?), keys.as_ref())?;
            writeln!(
                out,
                "{} events from {} to {}, {} checkpoints verified",
                checked.events, checked.before, checked.last, checked.checkpoints
            )?;
        }
    }
    Ok(())
}

fn millis(time: jiff::Timestamp) -> i64 {
    time.as_millisecond()
}
