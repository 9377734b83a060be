//! The files of one log: the one that is written, and those that were put aside under a number.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a line that is read; a longer one is left out.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// The files, read one after the other, the oldest first.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Those that are still to be read, the next one last.
    files: Vec<BufReader<File>>,
    line: Vec<u8>,
    /// Files beside them that are compressed, or named by somebody else's rotation.
    pub(crate) left_out: Vec<PathBuf>,
}

impl Parts {
    /// Opens `log`, `log.1`, `log.2`, … A rotation meanwhile loses nothing: the newest is opened first, and one that is
    /// met again under its next number is not read twice.
    ///
    /// # Errors
    /// When the directory or a file cannot be read.
    pub(crate) fn open(log: &Path) -> io::Result<Self> {
        let (paths, left_out) = paths(log)?;
        let mut parts = Self { files: Vec::new(), line: Vec::new(), left_out };
        let mut known = HashSet::new();
        for path in paths {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(said(&path, &error)),
            };
            let metadata = file.metadata().map_err(|error| said(&path, &error))?;
            if known.insert((metadata.dev(), metadata.ino())) {
                parts.files.push(BufReader::with_capacity(64 * 1024, file));
            }
        }
        Ok(parts)
    }

    /// The next line without its end: `Some(None)` for one that is too long. A last line that has no end yet is one that
    /// is being written, and is left to the next time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Option<&[u8]>>> {
        while let Some(file) = self.files.last_mut() {
            self.line.clear();
            match read_line(file, &mut self.line)? {
                Read::Line => return Ok(Some(Some(&self.line))),
                Read::TooLong => return Ok(Some(None)),
                Read::End => drop(self.files.pop()),
            }
        }
        Ok(None)
    }
}

/// How a line ended.
enum Read {
    Line,
    TooLong,
    End,
}

/// Reads a line without its end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Read> {
    let mut is_too_long = false;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Read::End);
        }
        let end = memchr::memchr(b'\n', buffer);
        let text = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
        if line.len() + text.len() > LINE_BYTES_MAX {
            is_too_long = true;
            line.clear();
        } else if !is_too_long {
            line.extend_from_slice(text);
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(if is_too_long { Read::TooLong } else { Read::Line });
        }
    }
}

/// The paths of a log's files, the one that is written first and then the newest; and those with another ending.
pub(crate) fn paths(log: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (numbered, others) = beside(log)?;
    Ok((std::iter::once(log.to_owned()).chain(numbered).collect(), others))
}

/// The files that were put aside, the newest first, and those with another ending.
fn beside(log: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let directory = log.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let Some(name) = log.file_name() else { return Ok((Vec::new(), Vec::new())) };
    let (mut numbered, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(directory).map_err(|error| said(directory, &error))? {
        let entry = entry?;
        let found = entry.file_name();
        let rest = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let Some(ending) = rest.filter(|rest| rest.len() > 1) else { continue };
        let number = ending.strip_prefix(b".").and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| digits.parse::<u32>().ok()) {
            Some(number) => numbered.push((number, entry.path())),
            None => others.push(entry.path()),
        }
    }
    numbered.sort();
    others.sort();
    Ok((numbered.into_iter().map(|(_, path)| path).collect(), others))
}

fn said(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_up_to_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        for (what, bytes, is_read) in [
            ("one under", LINE_BYTES_MAX - 1, true),
            ("at it", LINE_BYTES_MAX, true),
            ("one over", LINE_BYTES_MAX + 1, false),
        ] {
            std::fs::write(&log, format!("{}\nnext\n", "x".repeat(bytes))).unwrap();
            let mut parts = Parts::open(&log).unwrap();
            let first = parts.next_line().unwrap().unwrap().map(<[u8]>::len);
            assert_eq!(first, is_read.then_some(bytes), "{what}");
            assert_eq!(parts.next_line().unwrap(), Some(Some(&b"next"[..])), "{what}");
            assert_eq!(parts.next_line().unwrap(), None, "{what}");
        }
    }

    #[test]
    fn all_files_of_a_log_are_read_the_oldest_first_and_others_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, text) in
            [("log", "5\nhalf"), ("log.1", "4\n"), ("log.2", "3\n"), ("log.10", "1\n2\n")]
        {
            std::fs::write(path(name), text).unwrap();
        }
        std::fs::write(path("log.3.gz"), "x").unwrap();
        std::fs::write(path("other.1"), "x\n").unwrap();
        // A rotation between two openings shows one file under two names.
        std::fs::hard_link(path("log.1"), path("log.4")).unwrap();
        let mut parts = Parts::open(&path("log")).unwrap();
        let mut read = Vec::new();
        while let Some(line) = parts.next_line().unwrap() {
            read.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
        }
        assert_eq!(read, ["1", "2", "3", "4", "5"]);
        assert_eq!(parts.left_out, [path("log.3.gz")]);
        assert!(Parts::open(&path("nothing/log")).is_err());
        assert_eq!(Parts::open(&path("none")).unwrap().next_line().unwrap(), None);
    }
}
