//! Request files: the method line, the URI line, header lines, a blank line, the body.

use std::fs;
use std::io;
use std::path::Path;

/// One request as the engine takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFile {
    /// The method, as `GET`.
    pub method: Vec<u8>,
    /// The target, as `/path?query`.
    pub uri: Vec<u8>,
    /// Header names and values in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whatever follows the blank line.
    pub body: Vec<u8>,
}

impl RequestFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or ends inside its head, or a header line has no `: `.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        Self::parse(&bytes)
            .ok_or_else(|| io::Error::other(format!("{}: not a request file", path.display())))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let method = take_line(&mut rest)?;
        let uri = take_line(&mut rest)?;
        let mut headers = Vec::new();
        loop {
            let line = take_line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            let colon = line.windows(2).position(|pair| pair == b": ")?;
            let (name, value) = line.split_at(colon);
            headers.push((name.to_vec(), value.get(2..)?.to_vec()));
        }
        Some(Self { method: method.to_vec(), uri: uri.to_vec(), headers, body: rest.to_vec() })
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..)?;
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_without_its_blank_line_is_refused() {
        assert_eq!(RequestFile::parse(b"GET\n/\nHost: a\n"), None);
    }

    #[test]
    fn the_body_is_all_that_follows() {
        let request = RequestFile::parse(b"POST\n/x?y=1\nHost: a\n\none\n\ntwo").expect("whole");
        assert_eq!(request.headers, vec![(b"Host".to_vec(), b"a".to_vec())]);
        assert_eq!(request.body, b"one\n\ntwo");
    }
}
