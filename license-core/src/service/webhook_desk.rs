//! What operators do to a tenant's webhooks from the command line.

use super::operator::OperatorError;
use crate::domain::names::TenantId;
use crate::domain::webhook::{Events, NewWebhook, NotMade, Webhook, WebhookChange};
use crate::settings::Settings;
use crate::signing::SecretBox;
use crate::store::Store;
use crate::store::office::{Page, Scope};
use crate::webhooks::{Guard, Target, new_secret, secret_name};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The operator's port to the webhooks of one tenant.
pub(crate) struct WebhookDesk {
    store: Arc<dyn Store>,
    scope: Scope,
    guard: Guard,
    settings: Settings,
}

impl WebhookDesk {
    pub(super) fn over(store: Arc<dyn Store>, tenant: TenantId, settings: &Settings) -> Self {
        let guard = Guard::new(settings.webhooks.allow.clone(), settings.webhooks.ca.clone());
        let scope = Scope { tenant, actor: "operator".to_owned() };
        Self { store, scope, guard, settings: settings.clone() }
    }

    fn secrets(&self) -> Result<SecretBox, OperatorError> {
        SecretBox::open(&self.settings)?.ok_or(OperatorError::NoSecretsKey)
    }

    fn sealed(&self, id: Uuid) -> Result<(Vec<u8>, Zeroizing<String>), OperatorError> {
        let (secret, text) = new_secret().ok_or(OperatorError::NoRandomness)?;
        let sealed = self.secrets()?.seal(&secret, &secret_name(&self.scope.tenant, id));
        Ok((sealed.map_err(|_| OperatorError::NoRandomness)?, text))
    }

    /// Makes a webhook, and returns its secret, this once.
    pub(crate) async fn create(
        &self,
        url: String,
        events: Events,
    ) -> Result<(Uuid, Zeroizing<String>), OperatorError> {
        Target::parse(&url, &self.guard)
            .map_err(|why| OperatorError::Url { url: url.clone(), why: why.to_string() })?;
        let id = Uuid::now_v7();
        let (secret, text) = self.sealed(id)?;
        let new = NewWebhook { id, url, events, secret };
        self.store.add_webhook(self.scope.clone(), new).await?.map_err(|why| match why {
            NotMade::NoTenant => OperatorError::NoTenant,
            NotMade::TooMany => OperatorError::TooManyWebhooks,
        })?;
        Ok((id, text))
    }

    /// Lists the tenant's webhooks: there are few.
    pub(crate) async fn list(&self) -> Result<Vec<Webhook>, OperatorError> {
        let page = Page { after: String::new(), limit: 1000 };
        Ok(self.store.webhooks(self.scope.clone(), page).await?)
    }

    /// Gives a webhook another secret, and returns it, this once.
    pub(crate) async fn rotate(
        &self,
        id: Uuid,
        overlap: Duration,
    ) -> Result<Zeroizing<String>, OperatorError> {
        let (secret, text) = self.sealed(id)?;
        let there = self.store.rotate_secret(self.scope.clone(), id, secret, overlap).await?;
        found(there).map(|()| text)
    }

    /// Lets a webhook be told of what happens, or not.
    pub(crate) async fn set_active(&self, id: Uuid, active: bool) -> Result<(), OperatorError> {
        let change = WebhookChange { active: Some(active), ..WebhookChange::default() };
        found(self.store.change_webhook(self.scope.clone(), id, change).await?)
    }

    /// Removes a webhook and what waits for it.
    pub(crate) async fn remove(&self, id: Uuid) -> Result<(), OperatorError> {
        found(self.store.remove_webhook(self.scope.clone(), id).await?)
    }

    /// Queues a message that tells of nothing.
    pub(crate) async fn test(&self, id: Uuid) -> Result<(), OperatorError> {
        found(self.store.test_webhook(self.scope.clone(), id).await?)
    }
}

fn found(there: bool) -> Result<(), OperatorError> {
    if there { Ok(()) } else { Err(OperatorError::NoWebhook) }
}
