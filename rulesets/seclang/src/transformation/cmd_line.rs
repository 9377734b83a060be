//! `cmdLine`: what a shell or `cmd.exe` would read through its quoting.
//!
//! Source: ModSecurity v3 reference. Deletes `\ " ' ^`, turns `,`, `;` and white space into one space, deletes
//! that space before `/` and `(`, lowers letters. Example: `C^OMMAND /c DIR` → `command/c dir`.

use super::whitespace::is_single_spaced;
use super::{UPPER, rewrite};
use crate::byte_set::ByteSet;

/// Without these a command line stays as it is.
pub(super) const TRIGGER: ByteSet = OTHERS.or(ByteSet::of(b" "));

/// Any of these, or more than one space in a row, or a space before what takes it away, changes something.
const OTHERS: ByteSet = ByteSet::of(b"\"'\\^,;\t\r\n").or(UPPER);

/// Whether a value is one that stays as it is: words with one space between them.
pub(super) fn leaves(input: &[u8], holds: &ByteSet) -> bool {
    !holds.meets(&OTHERS.or(ByteSet::of(b"/("))) && is_single_spaced(input)
}

/// What a byte does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Stays,
    Vanishes,
    Separates,
    /// It takes a space before it away.
    Closes,
}

/// Roles by byte: the loop has a look-up in place of comparisons that guess wrong.
const ROLES: [Role; 256] = {
    let mut roles = [Role::Stays; 256];
    let (mut vanishing, mut separating): (&[u8], &[u8]) = (b"\"'\\^", b" ,;\t\r\n");
    while let [byte, rest @ ..] = vanishing {
        roles[*byte as usize] = Role::Vanishes;
        vanishing = rest;
    }
    while let [byte, rest @ ..] = separating {
        roles[*byte as usize] = Role::Separates;
        separating = rest;
    }
    roles[b'/' as usize] = Role::Closes;
    roles[b'(' as usize] = Role::Closes;
    roles
};

/// Normalises a command line.
pub(super) fn cmd_line(input: &[u8], out: &mut Vec<u8>) {
    let mut space = false;
    rewrite(input, out, |byte, length| {
        let role = ROLES[usize::from(byte)];
        let separates = role == Role::Separates;
        let kept = role != Role::Vanishes && !(separates && space);
        if role == Role::Closes && space {
            *length -= 1;
        }
        // What vanishes leaves a space before it open.
        space = separates || (space && role == Role::Vanishes);
        (if separates { b' ' } else { byte.to_ascii_lowercase() }, kept)
    });
}
