//! XML as the two things that rules ask for: all text (`XML:/*`) and the values of all attributes (`XML://@*`).
//!
//! Only the five predefined entities and character references are read: no document type is, so nothing expands
//! and nothing is fetched; a reference to any other entity is an error.

use super::{Encoding, Limits, Parsed, Stop, to_bytes, to_text};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Reads a document.
pub(super) fn parse(body: &[u8], limits: &Limits, parsed: &mut Parsed) -> Result<(), Stop> {
    let (text, encoding) = to_text(body);
    let mut reader = Reader::from_str(&text);
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| Stop::error(format!("XML: {error}")))?;
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth > limits.depth {
                    return Err(Stop::Limit);
                }
                element(&start, encoding, limits, parsed)?;
            }
            Event::Empty(start) => element(&start, encoding, limits, parsed)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) => append(&text, encoding, limits, parsed)?,
            Event::CData(text) => append(&text, encoding, limits, parsed)?,
            Event::GeneralRef(reference) => {
                let text = resolve(&reference)?;
                append(text.encode_utf8(&mut [0; 4]), encoding, limits, parsed)?;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof if depth > 0 => return Err(Stop::error("XML: an element is not closed")),
            Event::Eof if parsed.xml_text.is_none() => {
                return Err(Stop::error("XML: there is no element"));
            }
            Event::Eof => return Ok(()),
        }
    }
}

fn element(
    start: &BytesStart<'_>,
    encoding: Encoding,
    limits: &Limits,
    parsed: &mut Parsed,
) -> Result<(), Stop> {
    parsed.xml_text.get_or_insert_default();
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| Stop::error(format!("XML: {error}")))?;
        let value = unescape(&attribute.value, encoding)?;
        parsed.spend(value.len(), limits)?;
        if parsed.xml_attributes.len() >= limits.arguments {
            return Err(Stop::Limit);
        }
        parsed.xml_attributes.push(value);
    }
    Ok(())
}

fn append(
    text: &str,
    encoding: Encoding,
    limits: &Limits,
    parsed: &mut Parsed,
) -> Result<(), Stop> {
    let bytes = to_bytes(text, encoding);
    parsed.spend(bytes.len(), limits)?;
    match &mut parsed.xml_text {
        Some(all) => all.extend_from_slice(&bytes),
        None if bytes.iter().all(u8::is_ascii_whitespace) => {}
        None => return Err(Stop::error("XML: text stands before the first element")),
    }
    Ok(())
}

fn unescape(value: &str, encoding: Encoding) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::with_capacity(value.len());
    let mut pieces = value.split('&');
    out.extend(to_bytes(pieces.next().unwrap_or_default(), encoding));
    for piece in pieces {
        let (name, rest) = piece
            .split_once(';')
            .ok_or_else(|| Stop::error("XML: a reference is not closed in an attribute"))?;
        out.extend(to_bytes(resolve(name)?.encode_utf8(&mut [0; 4]), encoding));
        out.extend(to_bytes(rest, encoding));
    }
    Ok(out)
}

/// Returns the character that a reference, without `&` and `;`, stands for.
fn resolve(name: &str) -> Result<char, Stop> {
    let code = match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        }),
    };
    code.and_then(char::from_u32)
        .ok_or_else(|| Stop::error(format!("XML: entity `{}` is not read", name.escape_debug())))
}
