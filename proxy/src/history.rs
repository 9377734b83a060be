//! What somebody did, read back from the files of the request log and the event log.
//!
//! Files are streamed line by line; what is kept is the newest so many entries that were asked for, and sums.

mod combined;
mod entry;
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use ipnet::IpNet;
use portcullis_config::Timestamp;
use serde_json::Value;

pub(crate) use entry::{Entry, Source};
pub(crate) use files::{LINE_BYTES_MAX, Parts, paths};

/// Whose actions, and when: all that is named has to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The verified subject.
    pub(crate) subject: Option<String>,
    /// The tenant: the subject's, or the one whose object was asked for.
    pub(crate) tenant: Option<String>,
    /// The client's network.
    pub(crate) network: Option<IpNet>,
    /// Not before.
    pub(crate) since: Timestamp,
    /// Not after.
    pub(crate) until: Timestamp,
}

impl Wanted {
    /// Says whether an entry is somebody's, whenever it was.
    pub(crate) fn is_of(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, given: &Option<String>| {
            wanted.is_none() || (wanted.is_some() && wanted == given)
        };
        let in_network = self.network.as_ref().is_none_or(|network| {
            entry.address.is_some_and(|address| network.contains(&address.to_canonical()))
        });
        let of_tenant =
            is(&self.tenant, &entry.tenant) || is(&self.tenant, &entry.attempted_tenant);
        is(&self.subject, &entry.subject) && of_tenant && in_network
    }

    fn holds(&self, entry: &Entry) -> bool {
        (self.since..=self.until).contains(&entry.at) && self.is_of(entry)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By time, then by the order in which they were read; the newest ones.
    kept: BTreeMap<(Timestamp, u64), (Entry, Value)>,
    /// Everything that was found, kept or not.
    pub(crate) found: u64,
    /// Requests among them.
    pub(crate) requests: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// Bytes of the answers to requests.
    pub(crate) bytes_out: u64,
    /// Events by type.
    pub(crate) events: BTreeMap<String, u64>,
    /// Other tenants whose objects were asked for; as many as there are entries at most.
    pub(crate) foreign: BTreeSet<String>,
    /// Lines that are none of ours, or too long.
    pub(crate) unreadable: u64,
    /// Files that were not read, because they are compressed or named otherwise.
    pub(crate) left_out: Vec<std::path::PathBuf>,
}

impl History {
    /// Reads all files of a log.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn read(&mut self, log: &Path, wanted: &Wanted, most: usize) -> io::Result<()> {
        let mut parts = Parts::open(log)?;
        self.left_out.append(&mut parts.left_out);
        while let Some(line) = parts.next_line()? {
            let read = line.and_then(Entry::of_line);
            match read {
                Some((entry, value)) if wanted.holds(&entry) => self.take(entry, value, most),
                Some(_) => {}
                None => self.unreadable += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry, value: Value, most: usize) {
        self.found += 1;
        match entry.source {
            Source::Request => {
                self.requests += 1;
                self.refused += u64::from(entry.is_refused);
                self.bytes_out = self.bytes_out.saturating_add(entry.bytes_out.unwrap_or_default());
            }
            Source::Event => {
                *self.events.entry(entry.kind.clone()).or_default() += entry.count;
            }
        }
        if let Some(foreign) = entry.attempted_tenant.clone().filter(|_| self.foreign.len() < most)
        {
            self.foreign.insert(foreign);
        }
        self.kept.insert((entry.at, self.found), (entry, value));
        if self.kept.len() > most {
            self.kept.pop_first();
        }
    }

    /// The entries, the oldest first, each with its line.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &(Entry, Value)> {
        self.kept.values()
    }
}

#[cfg(test)]
mod tests;
