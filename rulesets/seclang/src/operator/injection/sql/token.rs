//! What the tokenizer makes of a value, token by token.

/// The kind of a token, by the letter that it has in a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Keyword = b'k',
    Union = b'U',
    Group = b'B',
    Expression = b'E',
    SqlType = b't',
    Function = b'f',
    Bareword = b'n',
    Number = b'1',
    Variable = b'v',
    Text = b's',
    Operator = b'o',
    Logic = b'&',
    Comment = b'c',
    Collate = b'A',
    LeftParenthesis = b'(',
    RightParenthesis = b')',
    LeftBrace = b'{',
    RightBrace = b'}',
    Dot = b'.',
    Comma = b',',
    Colon = b':',
    Semicolon = b';',
    Tsql = b'T',
    Unknown = b'?',
    /// What no honest client sends: it is flagged wherever it stands.
    Evil = b'X',
    Backslash = b'\\',
}

impl Kind {
    /// The kind of a word of libinjection's table, whose fingerprints are no words.
    pub(super) const fn of_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'k' => Self::Keyword,
            b'U' => Self::Union,
            b'B' => Self::Group,
            b'E' => Self::Expression,
            b't' => Self::SqlType,
            b'f' => Self::Function,
            b'n' => Self::Bareword,
            b'1' => Self::Number,
            b'v' => Self::Variable,
            b'o' => Self::Operator,
            b'&' => Self::Logic,
            b'A' => Self::Collate,
            b'T' => Self::Tsql,
            _ => return None,
        })
    }
}

/// Bytes of its text that a token keeps; no word of the table is longer.
pub(super) const TEXT_BYTES_MAX: usize = 31;

/// A token, with the start of its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The quote before it, 0 where there is none.
    pub(super) open: u8,
    /// The quote behind it, 0 where there is none.
    pub(super) close: u8,
    length: u8,
    text: [u8; TEXT_BYTES_MAX],
}

impl Token {
    /// A token that holds no text: what a place of the window is before it is used.
    pub(super) const EMPTY: Self =
        Self { kind: Kind::Unknown, open: 0, close: 0, length: 0, text: [0; TEXT_BYTES_MAX] };

    pub(super) fn new(kind: Kind, text: &[u8]) -> Self {
        let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
        let mut token = Self { kind, ..Self::EMPTY };
        if let Some(start) = token.text.get_mut(..text.len()) {
            start.copy_from_slice(text);
        }
        token.length = u8::try_from(text.len()).unwrap_or(0);
        token
    }

    pub(super) const fn quoted(self, open: u8, close: u8) -> Self {
        Self { open, close, ..self }
    }

    /// The same text as another kind of token.
    pub(super) const fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(super) fn first(&self) -> u8 {
        self.text().first().copied().unwrap_or(0)
    }

    pub(super) fn is(&self, word: &[u8]) -> bool {
        self.text().eq_ignore_ascii_case(word)
    }

    /// A sign, or a negation.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == Kind::Operator
            && match self.text() {
                [sign] => matches!(sign, b'+' | b'-' | b'!' | b'~'),
                text => text == b"!!" || text.eq_ignore_ascii_case(b"NOT"),
            }
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == Kind::Operator && matches!(self.text(), [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}
