//! The administrators' side of the store: one list of operations, each of them one transaction in one tenant, run by
//! either database with the same statements (`both/`).

use super::accelerator::Ended;
use super::postgres::{self, Postgres};
use super::sqlite::{self, Sqlite};
use super::{Conflict, Seats, StoreError, unavailable};
use crate::clock::Timestamp;
use crate::domain::audit::{Head, Linked};
use crate::domain::key::KeyHash;
use crate::domain::lease::Session;
use crate::domain::license::{Footing, License, NewLicense, Standing};
use crate::domain::names::{LicenseName, SubjectId, TenantId};
use crate::domain::policy::Policy;
use crate::domain::webhook::{Delivery, NewWebhook, NotMade, Settled, Webhook, WebhookChange};
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// Whose rows are read and written, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    /// Who acts, as the audit trail will say.
    pub(crate) actor: String,
}

/// A part of a list: at most `limit` rows whose names come after `after`.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) after: String,
    pub(crate) limit: u32,
}

/// Which live sessions are meant: all that both fields let through.
#[derive(Clone, Default, Debug)]
pub(crate) struct Which {
    pub(crate) license: Option<Uuid>,
    pub(crate) subject: Option<SubjectId>,
}

/// What an administrator changes of a license; what is `None` stays.
#[derive(Clone, Default, Debug)]
pub(crate) struct LicenseChange {
    pub(crate) seats: Option<u32>,
    pub(crate) standing: Option<Standing>,
    pub(crate) product: Option<LicenseName>,
    /// `Some(None)` ends its term never.
    pub(crate) expires_at: Option<Option<Timestamp>>,
    /// `Some(None)` follows the settings again.
    pub(crate) policy: Option<Option<LicenseName>>,
    /// More seats for a time; what was there before of it is over.
    pub(crate) burst: Option<Burst>,
    /// The revision that is changed; any, when `None`.
    pub(crate) revision: Option<i64>,
}

/// More seats for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) seats: u32,
    pub(crate) lasts: Duration,
}

/// A product.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_at: Timestamp,
}

/// Why something was not deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// There is no such thing.
    Missing,
    /// Licenses use it.
    InUse,
}

/// What a session says of a person, as it stands in the store.
#[derive(Clone, Debug)]
pub(crate) struct PersonalRow {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) hardware: String,
    pub(crate) user_email: Option<String>,
    /// JSON: a map of texts.
    pub(crate) metadata: String,
}

/// Sessions whose person was erased.
#[derive(Clone, Debug)]
pub(crate) struct ErasedSessions {
    /// What stands for the person.
    pub(crate) pseudonym: String,
    pub(crate) sessions: u64,
}

/// A subject that an operator acted on.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) standing: Standing,
}

/// The tenant.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) standing: Standing,
    pub(crate) created_at: Timestamp,
    pub(crate) licenses: u32,
    pub(crate) seats: Seats,
}

/// What a license key opens.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) license: License,
    pub(crate) seats: Seats,
    pub(crate) footing: Footing,
    pub(crate) entitlements: Vec<String>,
    pub(crate) now: Timestamp,
}

/// How a license was used over a time.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    pub(crate) license: License,
    pub(crate) seats: Seats,
    /// The most sessions that were live at one moment.
    pub(crate) peak_sessions: u32,
    pub(crate) acquired: u32,
    pub(crate) denied: u32,
}

/// How often seats of a license were denied in one hour.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    pub(crate) hour: Timestamp,
    pub(crate) code: String,
    pub(crate) times: u32,
}

/// A signed head of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) at: Timestamp,
    pub(crate) signed: String,
}

/// What a key of a repeated request stands for.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// The request is new, and the caller's to carry out.
    New,
    /// The same request is in hand.
    InHand,
    /// Another request was made under this key.
    Other,
    /// The user has as many keys as are kept.
    Full,
    /// The same request was answered.
    Answered { status: u16, body: Vec<u8> },
}

/// What ends sessions, gives them another epoch, or changes what they stand on: no heartbeat may be answered from before.
const ENDING: [&str; 9] = [
    "erase_sessions",
    "force_release",
    "release_all",
    "borrow",
    "amend_license",
    "put_policy",
    "delete_policy",
    "tenant_standing",
    "subject_standing",
];

macro_rules! office {
    ($($(#[$doc:meta])* $module:ident :: $name:ident($($argument:ident: $Argument:ty),*) -> $Output:ty;)*) => {
        /// What administrators do and what reports read.
        #[async_trait]
        pub(crate) trait Office: Send + Sync {
            $($(#[$doc])* async fn $name(&self, scope: Scope $(, $argument: $Argument)*) -> Result<$Output, StoreError>;)*
        }

        #[async_trait]
        impl Office for Sqlite {
            $(async fn $name(&self, scope: Scope $(, $argument: $Argument)*) -> Result<$Output, StoreError> {
                self.writer
                    .write(move |connection, now| {
                        Box::pin(async move {
                            sqlite::act_as(connection, Some(&scope.actor)).await?;
                            let done = sqlite::both::$module::$name(connection, &scope $(, $argument)*, now).await?;
                            sqlite::act_as(connection, None).await?;
                            Ok(done)
                        })
                    })
                    .await
            })*
        }

        #[async_trait]
        impl Office for Postgres {
            $(async fn $name(&self, scope: Scope $(, $argument: $Argument)*) -> Result<$Output, StoreError> {
                let mut transaction = self.begin(&scope.tenant).await?;
                let now = postgres::act_as(&mut transaction, &scope.actor).await.map_err(unavailable)?;
                let done = postgres::both::$module::$name(&mut transaction, &scope $(, $argument)*, now).await;
                let done = done.map_err(unavailable)?;
                let ends = ENDING.contains(&stringify!($name));
                if ends {
                    self.end(Ended::AnyOf(&scope.tenant)).await?;
                }
                transaction.commit().await.map_err(unavailable)?;
                if ends {
                    // A heartbeat that did not wait for this transaction may have left a slip meanwhile.
                    self.end(Ended::AnyOf(&scope.tenant)).await?;
                }
                Ok(done)
            })*
        }
    };
}

office! {
    /// Lists live sessions by id.
    sessions::live_sessions(which: Which, page: Page) -> Vec<Session>;
    /// Reads a session, live or ended.
    sessions::session(id: Uuid) -> Option<(Session, Timestamp)>;
    /// Takes a seat back. Returns whether a live session was ended; one that is offline is not, as its token goes on.
    sessions::force_release(id: Uuid) -> bool;
    /// Takes all those seats back but those that are offline, and returns how many sessions were ended.
    sessions::release_all(which: Which) -> u64;
    /// Reserves a fencing epoch, and returns the subject's own live session as it will be offline.
    sessions::reserve(subject: SubjectId, id: Uuid, offline_secs: u64) -> Option<Session>;
    /// Takes a session offline as it was reserved. Returns whether it did.
    sessions::borrow(reserved: Session) -> bool;

    /// Lists licenses by id.
    licenses::list_licenses(page: Page) -> Vec<(License, Seats)>;
    /// Reads what a key opens, for a subject.
    licenses::opened(subject: SubjectId, key: KeyHash) -> Option<Opened>;
    /// Creates a license under a key's hash.
    licenses::add_license(new: NewLicense, key: KeyHash) -> Result<Uuid, Conflict>;
    /// Changes a license of the revision that the change names.
    licenses::amend_license(id: Uuid, change: LicenseChange) -> Result<(License, Seats), Conflict>;
    /// Lists a license's entitlements; `None` without such a license.
    licenses::entitlements(id: Uuid) -> Option<Vec<String>>;
    /// Gives a license an entitlement. Returns whether it did not have it; `None` without such a license.
    licenses::entitle(id: Uuid, name: LicenseName) -> Option<bool>;
    /// Takes an entitlement away. Returns whether the license had it.
    licenses::disentitle(id: Uuid, name: LicenseName) -> bool;

    /// Lists products by name.
    catalog::products(page: Page) -> Vec<Product>;
    /// Reads a product.
    catalog::product(name: LicenseName) -> Option<Product>;
    /// Creates a product or describes it anew. Returns whether it was created; `None` without the tenant.
    catalog::put_product(name: LicenseName, description: String) -> Option<bool>;
    /// Deletes a product that no license uses.
    catalog::delete_product(name: LicenseName) -> Result<(), Kept>;

    /// Lists policies by name.
    policies::policies(page: Page) -> Vec<(String, Policy)>;
    /// Reads a policy.
    policies::policy(name: LicenseName) -> Option<Policy>;
    /// Reads the policy that a license follows; one that says nothing, where it follows none.
    policies::policy_of(license: Uuid) -> Policy;
    /// Creates a policy or changes it. Returns whether it was created; `None` without the tenant.
    policies::put_policy(name: LicenseName, policy: Policy) -> Option<bool>;
    /// Deletes a policy that no license follows.
    policies::delete_policy(name: LicenseName) -> Result<(), Kept>;

    /// Reads the tenant.
    people::tenant() -> Option<Tenant>;
    /// Creates the tenant. Returns whether it was not there.
    people::add_tenant() -> bool;
    /// Suspends or reactivates the tenant. Returns whether it is there.
    people::tenant_standing(standing: Standing) -> bool;
    /// Lists the subjects that operators acted on.
    people::subjects(page: Page) -> Vec<Subject>;
    /// Reads a subject's standing.
    people::subject(id: SubjectId) -> Subject;
    /// Suspends or reactivates a subject. Returns whether the tenant is there.
    people::subject_standing(id: SubjectId, standing: Standing) -> bool;

    /// Lists what sessions, live and ended, say of persons, after a session's id.
    personal::personal_rows(after: String, limit: u32) -> Vec<PersonalRow>;
    /// Writes such a row anew, unless it changed meanwhile. Returns whether it did.
    personal::reseal(was: PersonalRow, user_email: Option<String>, metadata: String) -> bool;

    /// Erases a person from sessions, kept answers and standings; `None` while it has a seat offline.
    erasure::erase_sessions(subject: SubjectId) -> Option<ErasedSessions>;
    /// Erases a person from linked events. Returns how many were erased, and how many that were linked without a
    /// commitment name it still.
    erasure::erase_events(subject: SubjectId, pseudonym: String) -> (u64, u64);

    /// Reads how a license was used between two moments.
    reports::usage(id: Uuid, from: Timestamp, to: Timestamp) -> Option<Usage>;
    /// Lists the hours in which seats of a license were denied; the page goes by hour.
    reports::denials(id: Uuid, page: Page) -> Option<Vec<Denied>>;
    /// Lists linked audit events after a position.
    reports::events(after: i64, limit: u32) -> Vec<Linked>;

    /// Reads the head of the tenant's chain.
    checkpoints::head() -> Option<(Head, Timestamp)>;
    /// Reads the head that the tenant's chain begins after; `None` where retention let nothing go.
    checkpoints::beginning() -> Option<Head>;
    /// Keeps a signed head.
    checkpoints::add_checkpoint(head: Head, signed: String) -> ();
    /// Lists signed heads after a position.
    checkpoints::checkpoints(after: i64, limit: u32) -> Vec<Checkpoint>;

    /// Lists webhooks by id.
    webhooks::webhooks(page: Page) -> Vec<Webhook>;
    /// Reads a webhook.
    webhooks::webhook(id: Uuid) -> Option<Webhook>;
    /// Makes a webhook.
    webhooks::add_webhook(new: NewWebhook) -> Result<(), NotMade>;
    /// Changes a webhook. Returns whether it is there.
    webhooks::change_webhook(id: Uuid, change: WebhookChange) -> bool;
    /// Gives a webhook another secret; the one before signs too for a time. Returns whether it is there.
    webhooks::rotate_secret(id: Uuid, secret: Vec<u8>, overlap: Duration) -> bool;
    /// Removes a webhook and what waits for it. Returns whether it was there.
    webhooks::remove_webhook(id: Uuid) -> bool;
    /// Queues a message that tells of nothing. Returns whether there is such an active webhook.
    webhooks::test_webhook(id: Uuid) -> bool;
    /// Takes deliveries that are due.
    webhooks::claim_deliveries(limit: u32) -> Vec<Delivery>;
    /// Writes down what became of a delivery.
    webhooks::settle(webhook: Uuid, id: String, outcome: Settled) -> ();

    /// Asks what a key of a repeated request stands for, and takes it when it is free.
    idempotency::claim(key: String, request: Vec<u8>) -> Claim;
    /// Keeps the answer of a claimed request; without one, the key is free again.
    idempotency::answered(key: String, answer: Option<(u16, Vec<u8>)>) -> ();
}
