//! Taking a person's data out of the logs: each file is written anew beside itself and moved into its place, so that it is
//! the old one or the new one at any moment, and nothing else in it is lost.
//!
//! A line of the request log goes. A line of the event log stays, because what happened to the system is no data of the
//! person's, and loses who, from where and what was sent.

mod rewrite;

use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde_json::Value;

use crate::history::{Entry, Wanted, paths};
pub(crate) use rewrite::Rewrite;

/// What stands in the place of what was erased.
pub(crate) const ERASED: &str = "[erased]";

/// What is blanked in an event of the person's.
const BLANKED: [&str; 16] = [
    "/user_id",
    "/userId",
    "/email",
    "/source_ip",
    "/ip",
    "/clientIp",
    "/documentUri",
    "/dedup_key",
    "/actor",
    "/objects",
    "/breach/object",
    "/request/path",
    "/request/payload",
    "/last_location",
    "/current_location",
    "/msg",
];

/// Whose data is erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Person {
    /// The subject of tokens, or the account of sign-ins.
    Subject(String),
    /// A client.
    Address(IpAddr),
}

/// Which log a file is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Log {
    /// One line per request.
    Requests,
    /// One line per event.
    Events,
}

/// What becomes of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It is nobody's, or somebody else's.
    Stays,
    /// It goes.
    Goes,
    /// This stands in its place.
    Becomes(Vec<u8>),
}

impl Person {
    /// Returns the name, as it stands in incidents.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Subject(subject) => subject.clone(),
            Self::Address(address) => {
                let network = portcullis_incident::source::of_client(*address);
                portcullis_incident::source::text(&network)
            }
        }
    }

    fn wanted(&self) -> Wanted {
        match self {
            Self::Subject(subject) => {
                Wanted { subject: Some(subject.clone()), ..Wanted::default() }
            }
            Self::Address(address) => {
                Wanted { network: Some(IpNet::from(address.to_canonical())), ..Wanted::default() }
            }
        }
    }

    /// Says what becomes of a line without its end.
    pub(crate) fn fate(&self, line: &[u8], log: Log) -> Fate {
        let Some((entry, value)) = Entry::of_line(line) else { return Fate::Stays };
        if !self.wanted().is_of(&entry) && !self.is_account(&value) {
            return Fate::Stays;
        }
        match log {
            Log::Requests => Fate::Goes,
            Log::Events => Fate::Becomes(blanked(value)),
        }
    }

    /// Whether a sign-in names the person, though no token did.
    fn is_account(&self, line: &Value) -> bool {
        let Self::Subject(subject) = self else { return false };
        ["/email", "/actor/account"]
            .iter()
            .any(|pointer| line.pointer(pointer).and_then(Value::as_str) == Some(subject))
    }
}

fn blanked(mut line: Value) -> Vec<u8> {
    for pointer in BLANKED {
        if let Some(value) = line.pointer_mut(pointer).filter(|value| !value.is_null()) {
            *value = ERASED.into();
        }
    }
    line.to_string().into_bytes()
}

/// Writes every file of a log anew but for its last lines, which come when nobody writes. The file that is written comes
/// first. Beside them stand the files that cannot be read.
pub(crate) fn begin(
    path: &Path,
    log: Log,
    person: &Person,
) -> io::Result<(Vec<Rewrite>, Vec<std::path::PathBuf>)> {
    let (files, left_out) = paths(path)?;
    let mut rewrites = Vec::new();
    for file in files {
        if let Some(mut rewrite) = Rewrite::begin(&file, log, person)? {
            rewrite.advance()?;
            rewrites.push(rewrite);
        }
    }
    Ok((rewrites, left_out))
}

/// Ends all rewrites while nobody writes these files. Returns how many lines were erased.
pub(crate) fn finish(rewrites: Vec<Rewrite>) -> io::Result<u64> {
    let mut erased = 0;
    for rewrite in rewrites {
        erased += rewrite.finish()?;
    }
    Ok(erased)
}

#[cfg(test)]
mod tests;
