//! The fields of a form for callers that want no rules: the same reading of a body that rules get.

use crate::body::{Kind, Limits, Parser};

/// How deep a body nests; multipart does not.
const DEPTH_MAX: usize = 1;

/// Returns names and values of the fields of a `multipart/form-data` body, files left out, as far as it can be read.
/// `content_type` is the header's value. What is kept is bounded by the body: a field needs a boundary of its own.
pub fn multipart_fields(content_type: &[u8], body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let most = body.len();
    let limits =
        Limits { arguments: most, files: most, depth: DEPTH_MAX, bytes: most, bytes_per_byte: 0 };
    let Some(mut parser) = Parser::new(Kind::Multipart, content_type, limits) else {
        return Vec::new();
    };
    parser.push(body);
    parser.finish().arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_files_are_not() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\nfile\r\n--x--\r\n";
        let fields = multipart_fields(b"multipart/form-data; boundary=x", body);
        assert_eq!(fields, [(b"a".to_vec(), b"1".to_vec())]);
        assert!(multipart_fields(b"multipart/form-data", body).is_empty());
        assert!(multipart_fields(b"", b"").is_empty());
    }
}
