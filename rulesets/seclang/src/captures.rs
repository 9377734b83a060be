//! What an operator found: the spans that `capture` stores in `TX:0` to `TX:9`.

use std::ops::Range;

/// The most groups that SecLang can name: `TX:0` to `TX:9`.
pub(crate) const GROUPS_MAX: usize = 10;

/// Where an operator matched, as spans of the value that it read, or as text of its own (the
/// fingerprint of `@detectSQLi`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Captures {
    spans: [Option<Range<usize>>; GROUPS_MAX],
    text: Option<Vec<u8>>,
}

impl Captures {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.spans = Default::default();
        self.text = None;
    }

    /// Records group `index`; groups past the ninth have no name in SecLang and are dropped.
    pub(crate) fn set(&mut self, index: usize, span: Range<usize>) {
        if let Some(slot) = self.spans.get_mut(index) {
            *slot = Some(span);
        }
    }

    /// Records group 0 as text that is not part of the value.
    pub(crate) fn set_text(&mut self, text: &[u8]) {
        self.text = Some(text.to_vec());
    }

    /// Returns the bytes of group `index` of `value`.
    pub(crate) fn group<'a>(&'a self, index: usize, value: &'a [u8]) -> Option<&'a [u8]> {
        match (index, &self.text) {
            (0, Some(text)) => Some(text),
            _ => value.get(self.spans.get(index)?.clone()?),
        }
    }

    /// Returns the span of the whole match, when the operator has one.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        self.spans.first()?.clone()
    }
}
