//! Lists of addresses: files, the copies of fetched ones, and what is composed of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::model::{Feed, ListSource};
use portcullis_config::{Config, Diagnostic, SourceFile};
use portcullis_policy::IpSet;

use super::sources::Sources;
use crate::feeds::Kept;

/// Reads every list. A list that cannot be read is reported and missing from the result.
pub(super) fn load(config: &Config, sources: &mut Sources) -> BTreeMap<String, Arc<IpSet>> {
    let mut lists = BTreeMap::new();
    for (name, source) in &config.lists {
        let set = match source {
            ListSource::File(path) => {
                let text = sources.read_text(&format!("the list `{name}`"), path);
                text.and_then(|text| parse(&text, sources))
            }
            ListSource::Feed(feed) => fetched(name, feed, config, sources),
            ListSource::Include(_) => None,
        };
        if let Some(set) = set {
            lists.insert(name.clone(), Arc::new(set));
        }
    }
    compose(config, &mut lists);
    lists
}

fn parse(text: &SourceFile, sources: &mut Sources) -> Option<IpSet> {
    match IpSet::read(text) {
        Ok(set) => Some(set),
        Err(problems) => {
            sources.problems.extend(problems);
            None
        }
    }
}

/// Reads the last good copy of a fetched list. It is no file of the operator's: whoever changes it asks for a reload.
fn fetched(name: &str, feed: &Feed, config: &Config, sources: &mut Sources) -> Option<IpSet> {
    let kept = Kept::of(&config.state_dir, name, &feed.url);
    let read = kept.read().map_err(|error| error.to_string()).and_then(|bytes| match bytes {
        Some(bytes) => {
            sources.hash(name.as_bytes(), &bytes);
            crate::feeds::read(name, &bytes).map(Some).map_err(|rejected| rejected.to_string())
        }
        None => Ok(None),
    });
    let why = match read {
        Ok(Some(set)) => return Some(set),
        Ok(None) => format!("the list `{name}` has not been fetched yet"),
        Err(why) => {
            let path = kept.path().display();
            format!("the kept copy `{path}` of the list `{name}` cannot be used: {why}")
        }
    };
    if feed.required {
        let help = "see that its URL answers with a list, or take `required` out: the list is empty then until it does";
        sources.problems.push(Diagnostic::error("list-required", why).help(help));
        return None;
    }
    let problem =
        Diagnostic::warning("list-not-fetched", format!("{why}: it is empty until it is"));
    sources.problems.push(problem.help("the running process fetches it; nothing is to be done"));
    Some(IpSet::default())
}

/// Builds the lists that include others, those first whose parts are there. There is no way round: every list is built,
/// but for those with a part that could not be read.
fn compose(config: &Config, lists: &mut BTreeMap<String, Arc<IpSet>>) {
    loop {
        let ready: Vec<_> = config
            .lists
            .iter()
            .filter(|(name, _)| !lists.contains_key(*name))
            .filter_map(|(name, source)| {
                let ListSource::Include(parts) = source else { return None };
                let parts: Option<Vec<_>> = parts.iter().map(|part| lists.get(part)).collect();
                Some((name.clone(), Arc::new(IpSet::union(parts?.into_iter().map(|part| &**part)))))
            })
            .collect();
        if ready.is_empty() {
            return;
        }
        lists.extend(ready);
    }
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
