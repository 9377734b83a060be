//! What lifts limits for load tests: nothing but in staging, where the configuration names it.

use std::sync::Arc;

use portcullis_config::Diagnostic;
use portcullis_config::model::Config;

use super::sources::Sources;
use crate::bypass::{Bypass, parse};

/// Loads `load_test`, if it is written.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Option<Arc<Bypass>> {
    let load_test = config.load_test.as_ref()?;
    let text = sources.read_secret("the load test's keys", &load_test.keys)?;
    match parse(text.expose()) {
        Ok(keys) => Some(Arc::new(Bypass::new(keys, load_test.from.clone()))),
        Err(why) => {
            let message = format!("`{}` is no file of load-test keys: {why}", load_test.keys);
            let problem = Diagnostic::error("load-test-keys-invalid", message)
                .help("make one by `portcullis dev bypass-key FILE`");
            sources.report(problem, &load_test.keys.path().unwrap_or_default());
            None
        }
    }
}
