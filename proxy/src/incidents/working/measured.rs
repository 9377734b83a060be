//! What the desk looks at by itself every few seconds: the requests of each route, signatures that failed, and whether
//! somebody has been at the audit file.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_config::Timestamp;
use portcullis_incident::{Category, Event};

use super::Working;
use crate::lockdown::route_name;

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(10);

/// What was measured before.
#[derive(Debug)]
pub(super) struct Measured {
    at: Timestamp,
    /// Signatures that had failed.
    failed: u64,
}

impl Measured {
    pub(super) const fn begin(now: Timestamp) -> Self {
        Self { at: now, failed: 0 }
    }
}

impl Working {
    /// Measures, if it is time to.
    pub(super) fn measure(&mut self, now: Timestamp) {
        if now.since(self.measured.at) < EVERY {
            return;
        }
        self.measured.at = now;
        self.measure_routes(now);
        self.measure_signer(now);
        self.look_at_audit(now);
    }

    /// The audit file is the one thing that nothing but this program may change.
    fn look_at_audit(&self, now: Timestamp) {
        if let Some(why) = self.hands.audit.tampering() {
            tracing::error!("{why}");
            self.shared.events.raise(Event {
                payload: why.as_bytes().to_vec(),
                ..Event::new("", Category::ConfigTamper, None, now)
            });
        }
    }

    /// A route without a request is measured as well: that is how what is usual falls.
    fn measure_routes(&mut self, now: Timestamp) {
        let snapshot = self.shared.snapshot.load_full();
        for entry in snapshot.router.entries() {
            let count = entry.traffic.swap(0, Ordering::Relaxed);
            let route = route_name(&entry.host, &entry.route.path);
            self.see(&Event { count, route, ..Event::new("", Category::Traffic, None, now) });
        }
    }

    fn measure_signer(&mut self, now: Timestamp) {
        let failed = self.hands.license.signing_failures().unwrap_or_default();
        let before = std::mem::replace(&mut self.measured.failed, failed);
        // A service that was started anew counts from nothing.
        let more = if failed >= before { failed - before } else { failed };
        if more > 0 {
            self.shared
                .events
                .raise(Event { count: more, ..Event::new("", Category::SignerFailure, None, now) });
        }
    }
}
