//! What systemd is told, where it listens (`Type=notify`). Elsewhere nothing is said.

use sd_notify::NotifyState;

/// This process serves.
pub(super) fn serving() {
    notify(&[NotifyState::Ready]);
}

/// This process drains and ends.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Another process of the same unit is the main one now: the end of this one is not the unit's.
pub(super) fn succeeded_by(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}
