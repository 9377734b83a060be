//! Lists of addresses: text files with one address or network per line.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::Config;
use portcullis_policy::IpSet;

use super::sources::Sources;

/// Reads every list. A list that cannot be read is reported and missing from the result.
pub(super) fn load(config: &Config, sources: &mut Sources) -> BTreeMap<String, Arc<IpSet>> {
    let mut lists = BTreeMap::new();
    for (name, source) in &config.lists {
        let Some(text) = sources.read_text(&format!("the list `{name}`"), &source.file) else {
            continue;
        };
        match IpSet::read(&text) {
            Ok(set) => drop(lists.insert(name.clone(), Arc::new(set))),
            Err(problems) => sources.problems.extend(problems),
        }
    }
    lists
}

/// Returns what a policy may ask in place of lists that could not be read: their own errors are told already.
pub(super) fn with_unread(
    mut lists: BTreeMap<String, Arc<IpSet>>,
    config: &Config,
) -> BTreeMap<String, Arc<IpSet>> {
    for name in config.lists.keys() {
        lists.entry(name.clone()).or_default();
    }
    lists
}
