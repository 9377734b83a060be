//! Where markup ends, byte by byte, and the attributes of a tag.

/// What kind of markup is being read. `<` is no part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Markup {
    /// Nothing but `<` was read.
    #[default]
    Start,
    /// `<!`: a comment, character data or a document type.
    Bang,
    Comment,
    CharacterData,
    /// `<!DOCTYPE`, up to the `>` that closes it. It is passed over, never read.
    DocumentType {
        depth: u16,
    },
    /// `<?`.
    Instruction,
    /// `</`.
    End,
    /// A start tag or an empty one; a quote may be open.
    Tag {
        quote: Option<u8>,
    },
}

const CHARACTER_DATA: &[u8] = b"![CDATA[";
const DOCUMENT_TYPE: &[u8] = b"!DOCTYPE";

impl Markup {
    /// Reads the next byte, which is the last of `token`; says whether the markup is complete.
    pub(super) fn push(&mut self, byte: u8, token: &[u8]) -> Result<bool, &'static str> {
        match self {
            Self::Start => {
                *self = match byte {
                    b'!' => Self::Bang,
                    b'?' => Self::Instruction,
                    b'/' => Self::End,
                    b'>' | b'<' => return Err("a tag has no name"),
                    _ => Self::Tag { quote: None }, // an element's name
                };
                Ok(false)
            }
            Self::Bang => {
                *self = bang(token)?;
                Ok(false)
            }
            // `<!-->` is no whole comment.
            Self::Comment => Ok(token.len() >= 6 && token.ends_with(b"-->")),
            Self::CharacterData => Ok(token.ends_with(b"]]>")),
            Self::Instruction => Ok(token.len() >= 3 && token.ends_with(b"?>")),
            Self::End if byte == b'<' => Err("a tag stands in a tag"),
            Self::End => Ok(byte == b'>'),
            Self::DocumentType { depth } => match byte {
                b'<' => {
                    *depth = depth.checked_add(1).ok_or("a document type is nested too deeply")?;
                    Ok(false)
                }
                b'>' if *depth > 0 => {
                    *depth -= 1;
                    Ok(false)
                }
                _ => Ok(byte == b'>'), // passed over
            },
            Self::Tag { quote } => match (*quote, byte) {
                (Some(open), _) => {
                    if open == byte {
                        *quote = None;
                    }
                    Ok(false)
                }
                (None, b'"' | b'\'') => {
                    *quote = Some(byte);
                    Ok(false)
                }
                (None, b'<') => Err("a tag stands in a tag"),
                (None, _) => Ok(byte == b'>'),
            },
        }
    }
}

/// What `<!` begins, once that is clear.
fn bang(token: &[u8]) -> Result<Markup, &'static str> {
    let begins =
        |word: &[u8]| word.get(..token.len()).is_some_and(|head| head.eq_ignore_ascii_case(token));
    if token == b"!--" {
        return Ok(Markup::Comment);
    }
    if token == CHARACTER_DATA {
        return Ok(Markup::CharacterData);
    }
    if token.eq_ignore_ascii_case(DOCUMENT_TYPE) {
        return Ok(Markup::DocumentType { depth: 0 });
    }
    let known = begins(b"!--") || CHARACTER_DATA.starts_with(token) || begins(DOCUMENT_TYPE);
    if known { Ok(Markup::Bang) } else { Err("`<!` begins nothing that is known") }
}

/// Takes the first attribute off the inside of a tag: its value, and what follows. Nothing where there is none.
pub(super) fn attribute(inside: &[u8]) -> Result<Option<(&[u8], &[u8])>, &'static str> {
    let rest = inside.trim_ascii_start();
    if rest.is_empty() {
        return Ok(None);
    }
    let equals = memchr::memchr(b'=', rest).ok_or("an attribute has no value")?;
    let (name, after) = rest.split_at_checked(equals).unwrap_or_default();
    let name = name.trim_ascii_end();
    let odd = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    if name.is_empty() || name.iter().any(odd) {
        return Err("an attribute has no name");
    }
    let value = after.get(1..).unwrap_or_default().trim_ascii_start();
    let (Some(quote @ (b'"' | b'\'')), Some(value)) = (value.first(), value.get(1..)) else {
        return Err("an attribute's value stands in no quotes");
    };
    let end = memchr::memchr(*quote, value).ok_or("an attribute's value is not closed")?;
    let (value, after) = value.split_at_checked(end).unwrap_or_default();
    Ok(Some((value, after.get(1..).unwrap_or_default())))
}
