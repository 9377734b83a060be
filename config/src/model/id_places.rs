//! Where requests and answers name a tenant or an object.

use super::ClaimPath;

/// Where a request may name something. It is looked for in every place that is set.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IdPlaces {
    /// The label in place of the `*` of the host's name.
    pub host: bool,
    /// A segment of the path.
    pub path: Option<PathTemplate>,
    /// A parameter of the query.
    pub query: Option<String>,
    /// A header, in lower case.
    pub header: Option<String>,
    /// A member of a JSON body, or a field of a form: the path's names joined by dots.
    pub body: Option<ClaimPath>,
}

impl IdPlaces {
    /// Says whether it is looked for in no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An object that belongs to a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedObject {
    /// Where the answers to a tenant's own requests name it.
    pub answer: ClaimPath,
    /// Where requests name it.
    pub places: IdPlaces,
}

/// The beginning of a path with one segment that is an id, such as `/tenants/{id}` or `/api/*/tenants/{id}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathTemplate(Vec<Segment>);

/// One segment of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// This one.
    Is(String),
    /// Any one: `*`.
    Any,
    /// The id: `{id}`.
    Id,
}

impl PathTemplate {
    /// Reads a template: absolute, plain, with `{id}` once. `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let segments: Option<Vec<_>> = text.strip_prefix('/')?.split('/').map(segment).collect();
        let segments = segments?;
        let ids = segments.iter().filter(|one| **one == Segment::Id).count();
        (ids == 1).then_some(Self(segments))
    }

    /// Returns its segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

fn segment(text: &str) -> Option<Segment> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match text {
        "*" => Some(Segment::Any),
        "{id}" => Some(Segment::Id),
        "" | "." | ".." => None,
        plain => plain.bytes().all(is_plain).then(|| Segment::Is(plain.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_an_absolute_path_with_one_id() {
        for (text, is_template) in [
            ("/{id}", true),
            ("/api/v1/tenants/{id}", true),
            ("/api/*/tenants/{id}/seats", true),
            ("/", false),
            ("", false),
            ("tenants/{id}", false),
            ("/tenants", false),
            ("/{id}/{id}", false),
            ("/tenants/{id}/", false),
            ("/a//{id}", false),
            ("/../{id}", false),
            ("/a%2f/{id}", false),
            ("/tenants/{tenant}", false),
            ("/t{id}", false),
        ] {
            assert_eq!(PathTemplate::parse(text).is_some(), is_template, "{text}");
        }
    }
}
