//! The operators' Unix socket: HTTP with JSON, for the command line of the same machine.
//!
//! Who may connect is decided by the file system: the socket has mode 0600 in a directory of mode 0700. Every change is
//! in the audit file, with the uid of the other end, before it is answered.

mod allow;
mod api_key;
mod assertion;
mod backend;
mod ban;
mod change;
mod client;
mod erasure;
mod incident;
mod lockdown;
mod message;
mod revocation;
mod server;
mod status;
mod upgrade;
mod why;

pub use client::{Client, ClientError};
pub use message::{
    AddAllow, AddBan, AllowAdded, AllowView, ApiKeyView, AssertionView, BackendView, BanView,
    CertificateView, ChangeIncident, DecisionView, DrainBackend, ErasedView, Failure, FieldView,
    IncidentView, IssueKey, ListView, LockdownView, MomentView, NewKey, NotifiedView,
    PlaceLockdown, PolicyView, ReloadView, ResponseView, RetiredView, RevocationView, Revoke,
    RotateAssertion, RotateKey, RuleView, StatusView, TestNotify, TestedView, UpgradeView,
    WantErasure, WantReload, WantUpgrade, WhyView,
};
pub use server::{AdminError, AdminServer, Operator};
