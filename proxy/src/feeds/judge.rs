//! Whether what was fetched is believed.

use portcullis_config::SourceFile;
use portcullis_config::model::Url;
use portcullis_policy::IpSet;

/// Why an answer is not taken for the list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// It is a page, an error message, half of a JSON document.
    #[error("it is no list: {0}")]
    NotAList(String),
    /// Nothing is in it. A source that means it can be taken out of the configuration.
    #[error("it is empty")]
    Empty,
    /// Most of the list is gone, which is more often an accident than a change.
    #[error(
        "it has {is} prefixes where {was} were, and is believed only once the copy is past its `max_age`"
    )]
    Shrunk {
        /// Prefixes before.
        was: usize,
        /// Prefixes now.
        is: usize,
    },
}

impl Rejected {
    /// Every label of [`Self::label`].
    pub const LABELS: [&str; 3] = ["not_a_list", "empty", "shrunk"];

    /// Returns the metric's label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NotAList(_) => "not_a_list",
            Self::Empty => "empty",
            Self::Shrunk { .. } => "shrunk",
        }
    }
}

/// Reads an answer as a list. `last` is what it has to be compared with.
pub(crate) fn judge(url: &Url, bytes: &[u8], last: Option<&IpSet>) -> Result<IpSet, Rejected> {
    let set = read(&url.to_string(), bytes)?;
    if set.is_empty() {
        return Err(Rejected::Empty);
    }
    match last.map(IpSet::len) {
        Some(was) if set.len() < was.div_ceil(2) => Err(Rejected::Shrunk { was, is: set.len() }),
        Some(_) | None => Ok(set),
    }
}

/// Reads a text as a list; the first problem says what is wrong.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<IpSet, Rejected> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Rejected::NotAList("it is not UTF-8".to_owned()))?;
    IpSet::read(&SourceFile::new(name, text)).map_err(|problems| {
        Rejected::NotAList(problems.first().map_or_else(String::new, ToString::to_string))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_nothing_is_not_believed() {
        let url = Url::parse("https://feeds.example.com/list?key=s3cret").unwrap();
        let last = judge(&url, b"192.0.2.1\n192.0.2.2\n192.0.2.3\n", None).unwrap();
        for (answer, expected) in [
            (&b"<html>Sign in</html>"[..], "not_a_list"),
            (b"Rate limit exceeded", "not_a_list"),
            (b"\xff\xfe1", "not_a_list"),
            (b"[\"192.0.2.1\", \"192.", "not_a_list"),
            (b"", "empty"),
            (b"# nothing\n\n", "empty"),
            (b"{}", "empty"),
            (b"192.0.2.1\n", "shrunk"),
        ] {
            let rejected = judge(&url, answer, Some(&last)).unwrap_err();
            assert_eq!(rejected.label(), expected, "{rejected}");
            assert!(!rejected.to_string().contains("s3cret"));
        }
        assert_eq!(judge(&url, b"192.0.2.1\n192.0.2.9\n", Some(&last)).unwrap().len(), 2);
        assert_eq!(judge(&url, b"192.0.2.1\n", None).unwrap().len(), 1);
    }
}
