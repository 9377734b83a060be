//! What a body is, by its label and by its look. A backend may trust either, so where they disagree, or the body does
//! not parse as what it is called, it is inspected as both.

use serde::de::IgnoredAny;

use crate::request::RequestHead;

/// The forms of body that the engine takes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Form,
    Json,
    Xml,
    Multipart,
}

impl Shape {
    /// Returns the media type that stands for it.
    pub(crate) const fn media_type(self) -> &'static [u8] {
        match self {
            Self::Form => b"application/x-www-form-urlencoded",
            Self::Json => b"application/json",
            Self::Xml => b"application/xml",
            Self::Multipart => b"multipart/form-data",
        }
    }

    /// Reads the label as the engine does: the last Content-Type of a known type.
    pub(crate) fn of_label(head: &RequestHead<'_>) -> Option<Self> {
        head.header_values(b"content-type").filter_map(of_media_type).last()
    }

    /// Guesses by the first bytes; a guess of multipart is of no use without its boundary.
    fn of_look(body: &[u8]) -> Self {
        match body.trim_ascii_start().first() {
            Some(b'{' | b'[') => Self::Json,
            Some(b'<') => Self::Xml,
            Some(_) | None => Self::Form,
        }
    }
}

fn of_media_type(content_type: &[u8]) -> Option<Shape> {
    let media = content_type
        .split(|byte| matches!(byte, b';' | b',' | b' ' | b'\t'))
        .next()?
        .to_ascii_lowercase();
    match media.as_slice() {
        b"application/x-www-form-urlencoded" => Some(Shape::Form),
        b"multipart/form-data" => Some(Shape::Multipart),
        b"application/json" => Some(Shape::Json),
        b"application/xml" | b"text/xml" => Some(Shape::Xml),
        other if other.ends_with(b"+json") => Some(Shape::Json),
        other if other.ends_with(b"+xml") => Some(Shape::Xml),
        _ => None,
    }
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readings {
    /// What to call it, where its label says nothing.
    pub(crate) first: Option<Shape>,
    /// As what to read it once more.
    pub(crate) second: Option<Shape>,
}

/// Decides how to read a body. Only one that is labelled as JSON or looks like it is parsed for that.
pub(crate) fn readings(label: Option<Shape>, body: &[u8]) -> Readings {
    if body.is_empty() {
        return Readings { first: None, second: None };
    }
    let look = Shape::of_look(body);
    let first = label.unwrap_or(look);
    let is_json =
        |shape| shape == Shape::Json && serde_json::from_slice::<IgnoredAny>(body).is_ok();
    let second = match (first, look) {
        (Shape::Json, _) if is_json(first) => None,
        (Shape::Json, Shape::Json) => Some(Shape::Form),
        (Shape::Multipart, Shape::Form) if body.trim_ascii_start().starts_with(b"--") => None,
        (first, look) if first == look => None,
        (Shape::Form | Shape::Json | Shape::Xml | Shape::Multipart, look) => Some(look),
    };
    Readings { first: label.is_none().then_some(first), second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_and_look_decide_how_a_body_is_read() {
        use Shape::{Form, Json, Multipart, Xml};
        let cases: &[(Option<Shape>, &[u8], Option<Shape>, Option<Shape>)] = &[
            (None, b"", None, None),
            (Some(Json), b"{}", None, None),
            (Some(Json), b" [1]", None, None),
            (Some(Json), b"7", None, None),
            (Some(Json), b"{", None, Some(Form)),
            (Some(Json), b"a=b", None, Some(Form)),
            (Some(Json), b"<a/>", None, Some(Xml)),
            (Some(Form), b"a=b", None, None),
            (Some(Form), b"{\"a\":1}", None, Some(Json)),
            (Some(Xml), b"<a/>", None, None),
            (Some(Xml), b"a=b", None, Some(Form)),
            (Some(Multipart), b"--b\r\n", None, None),
            (Some(Multipart), b"a=b", None, Some(Form)),
            (Some(Multipart), b"{}", None, Some(Json)),
            (None, b"a=b", Some(Form), None),
            (None, b"{}", Some(Json), None),
            (None, b"{", Some(Json), Some(Form)),
            (None, b"<a/>", Some(Xml), None),
        ];
        for (label, body, first, second) in cases {
            let found = readings(*label, body);
            assert_eq!(
                (found.first, found.second),
                (*first, *second),
                "{label:?} {}",
                body.escape_ascii()
            );
        }
    }
}
