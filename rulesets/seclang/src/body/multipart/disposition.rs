//! The `Content-Disposition` header of a part.

use super::MultipartFlags;

/// The names in a part's disposition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// The form's field.
    pub(super) name: Option<Vec<u8>>,
    /// The file's name, from `filename` or, undecoded, `filename*`.
    pub(super) file_name: Option<Vec<u8>>,
}

/// Reads the header's value; parameters other than `name` and `filename` make it invalid.
pub(super) fn parse(value: &[u8], flags: &mut MultipartFlags) -> Result<Disposition, &'static str> {
    let Some((kind, mut rest)) = value.split_at_checked(b"form-data".len()) else {
        return Err("the disposition is not form-data");
    };
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err("the disposition is not form-data");
    }
    let mut disposition = Disposition::default();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(disposition);
        }
        match rest.strip_prefix(b";") {
            Some(after) => rest = after.trim_ascii_start(),
            None => flags.missing_semicolon = true,
        }
        if rest.is_empty() {
            return Ok(disposition);
        }
        let length = rest.iter().position(|byte| matches!(byte, b'=' | b' ' | b'\t' | b';'));
        let (name, after) = rest.split_at_checked(length.unwrap_or(rest.len())).unwrap_or_default();
        let Some(after) = after.trim_ascii_start().strip_prefix(b"=") else {
            return Err("a parameter of the disposition has no value");
        };
        let (text, after) = parameter(after.trim_ascii_start(), flags)?;
        let slot = if name.eq_ignore_ascii_case(b"name") {
            &mut disposition.name
        } else if name.eq_ignore_ascii_case(b"filename") || name.eq_ignore_ascii_case(b"filename*")
        {
            &mut disposition.file_name
        } else {
            return Err("the disposition has an unknown parameter");
        };
        if slot.replace(text).is_some() {
            return Err("the disposition has a parameter twice");
        }
        rest = after;
    }
}

/// Reads one value: in double quotes with `\"` and `\\`, or bare up to `;` or white space.
fn parameter<'a>(
    text: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<(Vec<u8>, &'a [u8]), &'static str> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        flags.invalid_quoting |= text.starts_with(b"'");
        let end = text.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
        let (bare, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or_default();
        flags.invalid_quoting |= bare.contains(&b'"');
        return Ok((bare.to_vec(), rest));
    };
    let mut value = Vec::new();
    let mut rest = inside;
    loop {
        rest = match rest {
            [b'\\', quoted @ (b'"' | b'\\'), tail @ ..] => {
                value.push(*quoted);
                tail
            }
            [b'"', tail @ ..] => return Ok((value, tail)),
            [byte, tail @ ..] => {
                value.push(*byte);
                tail
            }
            [] => return Err("a quote of the disposition is not closed"),
        };
    }
}
