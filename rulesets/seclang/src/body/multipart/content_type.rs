//! The boundary out of a `Content-Type` header.

use super::MultipartFlags;

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Returns the boundary, or why there is none that every parser would agree on.
pub(super) fn boundary<'a>(
    content_type: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<&'a [u8], &'static str> {
    let semicolon = memchr::memchr(b';', content_type).ok_or("there is no boundary")?;
    let (media_type, parameters) = content_type.split_at_checked(semicolon).unwrap_or_default();
    if !media_type.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data") {
        return Err("the media type is not multipart/form-data");
    }
    let lower = parameters.to_ascii_lowercase();
    let place = memchr::memmem::find(&lower, b"boundary").ok_or("there is no boundary")?;
    let after = parameters.get(place + b"boundary".len()..).unwrap_or_default();
    let equals = memchr::memchr(b'=', after).ok_or("the boundary has no value")?;
    let (gap, value) = after.split_at_checked(equals).unwrap_or_default();
    let value = value.strip_prefix(b"=").unwrap_or(value);
    if !gap.is_empty() || value.starts_with(b" ") || value.starts_with(b"\t") {
        flags.boundary_whitespace = true;
    }
    let (text, rest) = unquote(value.trim_ascii(), flags)?;
    if memchr::memmem::find(&rest.to_ascii_lowercase(), b"boundary").is_some() {
        return Err("there are two boundaries");
    }
    check(text, flags)?;
    Ok(text)
}

/// Returns the value without its quotes, and what stands behind it.
fn unquote<'a>(
    value: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<(&'a [u8], &'a [u8]), &'static str> {
    if let Some(inside) = value.strip_prefix(b"\"") {
        let end = memchr::memchr(b'"', inside).ok_or("the boundary's quote is not closed")?;
        flags.boundary_quoted = true;
        return Ok(inside.split_at_checked(end).unwrap_or_default());
    }
    let end = value.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(value.len());
    let (bare, rest) = value.split_at_checked(end).unwrap_or_default();
    let kept = bare.trim_ascii_end();
    flags.boundary_whitespace |= kept.len() < bare.len();
    Ok((kept, rest))
}

fn check(boundary: &[u8], flags: &mut MultipartFlags) -> Result<(), &'static str> {
    if boundary.is_empty() {
        return Err("the boundary is empty");
    }
    if boundary.len() > BOUNDARY_BYTES_MAX {
        return Err("the boundary is longer than 70 bytes");
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    if !boundary.iter().all(allowed) {
        return Err("the boundary holds a byte that none may hold");
    }
    flags.boundary_whitespace |= boundary.ends_with(b" ");
    Ok(())
}
