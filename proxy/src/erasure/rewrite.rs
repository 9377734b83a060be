//! One file, written anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::{Fate, Log, Person};
use crate::history::LINE_BYTES_MAX;

/// A file that is being written anew, in a hidden file beside it.
#[derive(Debug)]
pub(crate) struct Rewrite {
    path: PathBuf,
    hidden: PathBuf,
    log: Log,
    person: Person,
    /// Which file it was, whatever is called so later.
    identity: (u64, u64),
    from: BufReader<File>,
    to: BufWriter<File>,
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// Whether the start of the line was passed on already, because the whole is too long to be looked at.
    is_long: bool,
    erased: u64,
}

impl Rewrite {
    /// Opens a file; `None` where there is none any more.
    pub(super) fn begin(path: &Path, log: Log, person: &Person) -> io::Result<Option<Self>> {
        let from = match File::open(path) {
            Ok(from) => from,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = from.metadata()?;
        let hidden = hidden(path);
        let mode = metadata.mode() & 0o777;
        let to =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&hidden)?;
        // Whoever reads the old file has to be able to read the new one.
        to.set_permissions(metadata.permissions())?;
        fchown(&to, Some(metadata.uid()), Some(metadata.gid()))?;
        Ok(Some(Self {
            path: path.to_owned(),
            hidden,
            log,
            person: person.clone(),
            identity: (metadata.dev(), metadata.ino()),
            from: BufReader::with_capacity(64 * 1024, from),
            to: BufWriter::with_capacity(64 * 1024, to),
            line: Vec::new(),
            is_long: false,
            erased: 0,
        }))
    }

    /// Goes on to the present end of the file.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        loop {
            let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len()) as u64;
            let read = (&mut self.from).take(room).read_until(b'\n', &mut self.line)?;
            let is_whole = self.line.last() == Some(&b'\n');
            if is_whole {
                self.pass()?;
            } else if self.line.len() > LINE_BYTES_MAX {
                self.to.write_all(&self.line)?;
                self.line.clear();
                self.is_long = true;
            } else if read == 0 {
                return Ok(());
            }
        }
    }

    /// Passes a whole line on, or what becomes of it.
    fn pass(&mut self) -> io::Result<()> {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let fate = if self.is_long { Fate::Stays } else { self.person.fate(text, self.log) };
        match fate {
            Fate::Stays => self.to.write_all(&self.line)?,
            Fate::Goes => self.erased += 1,
            Fate::Becomes(line) => {
                self.to.write_all(&line)?;
                self.to.write_all(b"\n")?;
                self.erased += 1;
            }
        }
        self.line.clear();
        self.is_long = false;
        Ok(())
    }

    /// Takes the last lines and moves the new file into the place of the old one, where something was erased. Nobody may
    /// write the file meanwhile. Returns how many lines were erased.
    ///
    /// # Errors
    /// When the disk refuses, or the file has been put aside in between: then it is as it was.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.advance()?;
        if self.erased == 0 {
            return Ok(0);
        }
        self.to.write_all(&self.line)?;
        self.to.flush()?;
        self.to.get_ref().sync_all()?;
        let there = fs::metadata(&self.path)?;
        if (there.dev(), there.ino()) != self.identity {
            let said = format!("`{}` was put aside meanwhile: try again", self.path.display());
            return Err(io::Error::other(said));
        }
        fs::rename(&self.hidden, &self.path)?;
        Ok(self.erased)
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        // Where it has been moved into its place it is not there any more.
        drop(fs::remove_file(&self.hidden));
    }
}

/// The name of the new file until it is whole: one that no reader of the log takes for a part of it.
fn hidden(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".erasing");
    path.with_file_name(name)
}
