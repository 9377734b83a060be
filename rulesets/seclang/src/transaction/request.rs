//! The head of a request and of its answer, cut into variables.

use super::form::decode;
use super::state::State;
use super::values::Values;
use crate::transformation::base64_decoded;
use crate::variable::Variable;

impl State {
    /// Sets what the request line says.
    pub(crate) fn fill_request_line(
        &mut self,
        method: &[u8],
        uri: &[u8],
        version: &[u8],
        arguments_max: usize,
    ) {
        let values = &mut self.values;
        let line = [method, b" ", uri, b" ", version].concat();
        values.set(Variable::RequestLine, &line);
        values.set_part(Variable::RequestMethod, Variable::RequestLine, 0..method.len());
        let start = method.len() + 1;
        values.set_part(Variable::RequestUriRaw, Variable::RequestLine, start..start + uri.len());
        let version_at = start + uri.len() + 1;
        values.set_part(Variable::RequestProtocol, Variable::RequestLine, version_at..line.len());
        let origin = origin_form(uri);
        values.set_part(Variable::RequestUri, Variable::RequestUriRaw, origin..uri.len());
        let target = uri.get(origin..).unwrap_or_default();
        let question = memchr::memchr(b'?', target);
        let path_len = question.unwrap_or(target.len());
        let path = target.get(..path_len).unwrap_or_default();
        fill_path(values, path);
        let query_at = question.map_or(target.len(), |at| at + 1);
        values.set_part(Variable::QueryString, Variable::RequestUri, query_at..target.len());
        let query = target.get(query_at..).unwrap_or_default();
        self.query_arguments(query, arguments_max);
        self.size_of_arguments();
    }

    /// Adds a request header, and what hangs on it.
    pub(crate) fn fill_request_header(&mut self, name: &[u8], value: &[u8]) {
        self.values.add(Variable::RequestHeaders, name, value);
        self.values.add_name_of_last(Variable::RequestHeadersNames);
        if name.eq_ignore_ascii_case(b"cookie") {
            self.cookies(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.name_body(value);
        } else if name.eq_ignore_ascii_case(b"host") {
            let end = memchr::memrchr(b':', value).unwrap_or(value.len());
            self.values.set(Variable::ServerName, value.get(..end).unwrap_or(value));
        } else if name.eq_ignore_ascii_case(b"authorization") {
            self.credentials(value);
        }
    }

    /// Chooses how the body is read by a media type, if that is one of those that are.
    pub(crate) fn name_body(&mut self, media_type: &[u8]) {
        if let Some(kind) = super::body::kind_of(media_type) {
            self.body.force(kind);
            self.values.set(Variable::ReqbodyProcessor, super::body::name(kind));
        }
    }

    /// Adds a response header.
    pub(crate) fn fill_response_header(&mut self, name: &[u8], value: &[u8]) {
        self.values.add(Variable::ResponseHeaders, name, value);
        self.values.add_name_of_last(Variable::ResponseHeadersNames);
        if name.eq_ignore_ascii_case(b"content-type") {
            self.values.set(Variable::ResponseContentType, value);
        }
    }

    /// The first request header of a name, in any letter case.
    pub(crate) fn first_header(&self, name: &[u8]) -> &[u8] {
        let ids = self.values.list(Variable::RequestHeaders).iter();
        let mut ids = ids.filter(|id| self.values.name(**id).eq_ignore_ascii_case(name));
        ids.next().map_or(b"", |id| self.values.value(*id))
    }

    /// Sums the lengths of all names and values of arguments.
    pub(crate) fn size_of_arguments(&mut self) {
        let lists = [Variable::ArgsGet, Variable::ArgsPost];
        let ids = lists.iter().flat_map(|list| self.values.list(*list));
        let sizes = ids.map(|id| self.values.name(*id).len() + self.values.value(*id).len());
        let total = sizes.sum();
        self.values.set_number(Variable::ArgsCombinedSize, total);
    }

    /// Sets the scheme of `Authorization`, and of `Basic` (RFC 7617, section 2) who claims to be there.
    fn credentials(&mut self, header: &[u8]) {
        let end = memchr::memchr(b' ', header).unwrap_or(header.len());
        let (scheme, rest) = header.split_at_checked(end).unwrap_or((header, b""));
        self.values.set(Variable::AuthType, scheme);
        if scheme.eq_ignore_ascii_case(b"basic") {
            let user_and_password = base64_decoded(rest.trim_ascii());
            let user = user_and_password.split(|byte| *byte == b':').next().unwrap_or_default();
            self.values.set(Variable::RemoteUser, user);
        }
    }

    fn cookies(&mut self, header: &[u8]) {
        for piece in header.split(|b| *b == b';') {
            let piece = piece.trim_ascii_start();
            let (name, value) = match memchr::memchr(b'=', piece) {
                Some(at) => (piece.get(..at), piece.get(at + 1..)),
                None => (Some(piece), None),
            };
            let name = name.unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            self.values.add(Variable::RequestCookies, name, value.unwrap_or_default());
            self.values.add_name_of_last(Variable::RequestCookiesNames);
        }
    }
}

/// Sets the path and its last segment, escapes decoded once as ModSecurity 3 has them.
fn fill_path(values: &mut Values, path: &[u8]) {
    if memchr::memchr(b'%', path).is_none() {
        values.set_part(Variable::RequestFilename, Variable::RequestUri, 0..path.len());
    } else {
        let mut decoded = Vec::with_capacity(path.len());
        decode(path, &mut decoded, b'+');
        values.set(Variable::RequestFilename, &decoded);
    }
    values.alias(Variable::PathInfo, Variable::RequestFilename);
    let path = values.text(Variable::RequestFilename);
    let (base, end) = (memchr::memrchr2(b'/', b'\\', path).map_or(0, |at| at + 1), path.len());
    values.set_part(Variable::RequestBasename, Variable::RequestFilename, base..end);
}

/// Where the path of a target starts: past `scheme://authority` when it is absolute.
fn origin_form(uri: &[u8]) -> usize {
    if uri.first() == Some(&b'/') {
        return 0;
    }
    let Some(scheme) = memchr::memmem::find(uri, b"://") else { return 0 };
    let is_scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if scheme == 0 || !uri.get(..scheme).unwrap_or_default().iter().all(is_scheme) {
        return 0;
    }
    let authority = scheme + 3;
    let rest = uri.get(authority..).unwrap_or_default();
    memchr::memchr2(b'/', b'?', rest).map_or(0, |at| authority + at)
}
