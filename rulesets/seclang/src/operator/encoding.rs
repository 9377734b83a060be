//! `@validateUrlEncoding`: matches a value in which a `%` is not followed by two hexadecimal digits.

/// Returns where the first broken escape starts.
pub(super) fn broken_escape(value: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'%', value).find(|at| {
        let digits = value.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
