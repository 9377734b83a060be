//! The way to the license service in this process, where there is one.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use license_core::{MetricsPage, Operator, OperatorError, Running};
use tokio::runtime::Handle;

/// How long the desk waits for the service.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The service, as it runs now.
#[derive(Clone, Debug)]
pub struct LicensePort {
    service: Arc<Mutex<Option<(Operator, MetricsPage)>>>,
    runtime: Handle,
}

impl LicensePort {
    /// Makes a way that leads nowhere yet. Must be called on a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self { service: Arc::default(), runtime: Handle::current() }
    }

    /// Leads to this service from now on, or nowhere.
    pub fn lead_to(&self, service: Option<&Running>) {
        let service = service.map(|one| (one.operator().clone(), one.metrics()));
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = service;
    }

    /// Returns how many texts the service did not sign; `None` where no service is in this process.
    pub(super) fn signing_failures(&self) -> Option<u64> {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        service.as_ref().map(|(_, page)| page.signing_failures())
    }

    /// Returns the runtime, for what the desk starts.
    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Suspends a user, or lets them work again; `false` where no service is in this process.
    pub(super) fn set_suspended(
        &self,
        tenant: &str,
        subject: &str,
        is_suspended: bool,
    ) -> Result<bool, String> {
        let done = self.ask(|operator| async move {
            operator.set_suspended(tenant, subject, is_suspended).await
        })?;
        Ok(done.is_some())
    }

    /// Gives a user's seats back, and returns how many; `None` where no service is in this process.
    pub(super) fn release(
        &self,
        tenant: &str,
        subject: &str,
        actor: &str,
    ) -> Result<Option<u64>, String> {
        self.ask(|operator| async move { operator.release_sessions(tenant, subject, actor).await })
    }

    /// Copies the store; `false` where no service is in this process.
    pub(super) fn backup(&self, file: &Path) -> Result<bool, String> {
        Ok(self.ask(|operator| async move { operator.backup(file).await })?.is_some())
    }

    /// Runs one exchange on the runtime; the desk's thread waits.
    fn ask<T, F: Future<Output = Result<T, OperatorError>>>(
        &self,
        exchange: impl FnOnce(Operator) -> F,
    ) -> Result<Option<T>, String> {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((operator, _)) = service else { return Ok(None) };
        let exchange = exchange(operator);
        let asked = self.runtime.block_on(async { tokio::time::timeout(WAIT_MAX, exchange).await });
        match asked {
            Ok(Ok(done)) => Ok(Some(done)),
            // A name that the license service cannot have has nothing there.
            Ok(Err(OperatorError::NoTenant | OperatorError::Name(_))) => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the license service does not answer".to_owned()),
        }
    }
}
