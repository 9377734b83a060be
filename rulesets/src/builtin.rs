//! The sets that the binary carries.

/// A built-in set: file names and their text.
pub(crate) type Files = &'static [(&'static str, &'static str)];

/// Returns the files of a built-in set, in the order in which they run.
pub(crate) fn files(name: &str) -> Option<Files> {
    (name == "core").then_some(CORE)
}

/// The names of all built-in sets.
pub(crate) const NAMES: &[&str] = &["core"];

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("core/", $name), include_str!(concat!("../core/", $name)))),*]
    };
}

const CORE: Files = embedded![
    "00-setup.conf",
    "10-scanners.conf",
    "11-methods.conf",
    "20-lfi.conf",
    "22-protocol.conf",
    "25-rfi.conf",
    "30-rce.conf",
    "33-php.conf",
    "34-generic.conf",
    "40-xss.conf",
    "43-fixation.conf",
    "44-java.conf",
    "50-sqli.conf",
    "90-evaluation.conf",
];

#[cfg(test)]
mod tests;
