//! Webhooks by Standard Webhooks 1.0: messages out of the outbox, signed, tried again, never sent where they must not go.
//!
//! A message is in the outbox by the transaction of what it tells of, and leaves it once a receiver took it: it is
//! delivered at least once, and a receiver knows a repetition by its `webhook-id`. Order is not kept.

mod deliver;
mod guard;
mod message;
mod post;
mod target;

pub(crate) use deliver::{Deliverer, IN_FLIGHT_MAX, IN_FLIGHT_OF_TENANT_MAX};
pub(crate) use guard::Guard;
pub(crate) use message::{new_secret, secret_name};
pub(crate) use target::Target;
