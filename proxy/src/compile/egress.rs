//! The guard of everything that the edge itself fetches.

use std::sync::Arc;

use portcullis_config::{Config, Diagnostic};

use super::sources::Sources;
use crate::egress::{Egress, authorities};

/// Makes the guard, with the authorities that the configuration names.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Arc<Egress> {
    let trusted = config.egress.ca.as_ref().and_then(|path| {
        let pem = sources.read("the certificate authorities", path)?;
        let found = authorities(&pem);
        if found.is_none() {
            let message = format!("there is no certificate authority in `{}`", path.display());
            let problem = Diagnostic::error("certificate-invalid", message);
            sources.report(problem.help("give one or more certificates in PEM"), path);
        }
        found
    });
    Arc::new(Egress::new(config.egress.clone(), trusted))
}
