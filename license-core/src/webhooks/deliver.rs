//! The deliverer: looks for what is due, sends it, writes down what became of it.

use super::guard::Guard;
use super::message::{Message, secret_name};
use super::post::{NotTaken, post};
use crate::clock::Clock;
use crate::domain::names::TenantId;
use crate::domain::webhook::{Delivery, Settled, delay_after};
use crate::metrics::Metrics;
use crate::service::{End, told_to_end};
use crate::signing::SecretBox;
use crate::store::office::Scope;
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Every so many looks, terms that end are told of and the outbox is bounded.
const TERMS_LOOKS: u64 = 60;
/// The most messages on their way at once.
pub(crate) const IN_FLIGHT_MAX: usize = 64;
/// The most of one tenant, so that one slow receiver does not hold up the others.
pub(crate) const IN_FLIGHT_OF_TENANT_MAX: usize = 8;
/// How long messages on their way may take once the service ends; what is cut off is sent again by the next one.
const DRAIN: Duration = Duration::from_secs(5);

/// Sends what is in the outbox.
pub(crate) struct Deliverer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: Arc<SecretBox>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Deliverer {
    /// Runs until the service ends.
    pub(crate) async fn run(self, mut ended: watch::Receiver<End>) {
        let deliverer = Arc::new(self);
        let mut flights = Flights::default();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let mut looks = 0_u64;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if looks.is_multiple_of(TERMS_LOOKS) {
                        deliverer.keep_house().await;
                    }
                    looks += 1;
                }
                landed = flights.landed(), if !flights.is_empty() => {
                    if !landed { continue }
                }
                () = told_to_end(&mut ended) => break,
            }
            if let Err(error) = deliverer.take_off(&mut flights).await {
                tracing::warn!(%error, "the outbox of webhooks was not read, the next look will do it");
            }
        }
        drop(tokio::time::timeout(DRAIN, async { while flights.landed().await {} }).await);
    }

    async fn keep_house(&self) {
        if let Err(error) = self.store.announce_terms().await {
            tracing::warn!(%error, "terms that end were not told of, a later look will do it");
        }
        match self.store.cap_outbox().await {
            Ok(0) => {}
            Ok(dropped) => {
                self.metrics.delivered("dropped", dropped);
                tracing::error!(dropped, "webhooks that too much waited for are disabled");
            }
            Err(error) => tracing::warn!(%error, "the outbox of webhooks was not bounded"),
        }
    }

    /// Starts sending what is due, as far as there is room.
    async fn take_off(self: &Arc<Self>, flights: &mut Flights) -> Result<(), StoreError> {
        if flights.room() == 0 {
            return Ok(());
        }
        for tenant in self.store.delivery_tenants(1000).await? {
            let room = flights.room_of(&tenant);
            let Some(limit) = u32::try_from(room).ok().filter(|room| *room > 0) else { continue };
            for delivery in self.store.claim_deliveries(scope(&tenant), limit).await? {
                let deliverer = self.clone();
                let of = tenant.clone();
                flights.start(tenant.clone(), async move { deliverer.deliver(of, delivery).await });
            }
        }
        Ok(())
    }

    async fn deliver(&self, tenant: TenantId, delivery: Delivery) {
        let sent = self.send(&tenant, &delivery).await;
        let outcome = self.judge(&delivery, &sent);
        if let Err(error) = &sent {
            tracing::warn!(%tenant, webhook = %delivery.webhook, attempt = delivery.attempts, %error,
                "a webhook's message was not taken");
        }
        self.metrics.delivered(sent.as_ref().map_or_else(NotTaken::label, |()| "taken"), 1);
        let settled =
            self.store.settle(scope(&tenant), delivery.webhook, delivery.id, outcome).await;
        if let Err(error) = settled {
            tracing::warn!(%error, "what became of a webhook's message was not written down: it is sent again");
        }
    }

    async fn send(&self, tenant: &TenantId, delivery: &Delivery) -> Result<(), NotTaken> {
        let name = secret_name(tenant, delivery.webhook);
        let opened = delivery.secrets.iter().map(|sealed| self.secrets.unseal(sealed, &name));
        let opened: Vec<_> = opened.collect::<Result<_, _>>().map_err(|_| NotTaken::Secret)?;
        let message = Message::new(tenant, delivery, &opened, self.clock.now());
        post(&delivery.url, message, &self.guard).await
    }

    fn judge(&self, delivery: &Delivery, sent: &Result<(), NotTaken>) -> Settled {
        match sent {
            Ok(()) => Settled::Delivered,
            Err(NotTaken::Status(410)) => Settled::Gone,
            Err(error) => {
                let spread = delivery
                    .id
                    .bytes()
                    .fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
                match delay_after(delivery.attempts, spread) {
                    Some(wait) => Settled::Retry(wait, error.to_string()),
                    None => {
                        self.metrics.delivered("given_up", 1);
                        Settled::GivenUp(error.to_string())
                    }
                }
            }
        }
    }
}

fn scope(tenant: &TenantId) -> Scope {
    Scope { tenant: tenant.clone(), actor: "service".to_owned() }
}

/// Messages on their way, and whose they are.
#[derive(Default)]
struct Flights {
    tasks: JoinSet<()>,
    tenants: HashMap<Id, TenantId>,
    counts: HashMap<TenantId, usize>,
}

impl Flights {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn room(&self) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.tasks.len())
    }

    fn room_of(&self, tenant: &TenantId) -> usize {
        let used = self.counts.get(tenant).copied().unwrap_or(0);
        IN_FLIGHT_OF_TENANT_MAX.saturating_sub(used).min(self.room())
    }

    fn start(&mut self, tenant: TenantId, flight: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(flight).id();
        *self.counts.entry(tenant.clone()).or_default() += 1;
        self.tenants.insert(id, tenant);
    }

    /// Waits for one to land. Returns whether one did.
    async fn landed(&mut self) -> bool {
        let id = match self.tasks.join_next_with_id().await {
            None => return false,
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery did not end well, it is sent again");
                error.id()
            }
        };
        if let Some(tenant) = self.tenants.remove(&id)
            && let Some(count) = self.counts.get_mut(&tenant)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&tenant);
            }
        }
        true
    }
}
