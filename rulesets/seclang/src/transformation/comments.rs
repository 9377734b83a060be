//! `replaceComments`, `removeComments`, `removeCommentsChar`: comments of C, SQL, HTML and the shell.
//!
//! Source: ModSecurity v3 reference. Example: `a/* x */b` → `a b` (replace), `ab` (remove), `a x b` (char).

/// Replaces each C comment by one space; one that never ends is replaced to the end of the value.
pub(super) fn replace_comments(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        match rest {
            [b'/', b'*', tail @ ..] => {
                out.push(b' ');
                rest = after(tail, b"*/");
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return,
        }
    }
}

/// Removes C and HTML comments, and all that follows `--` or `#`. A comment that never ends leaves one space.
pub(super) fn remove_comments(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        let body = match rest {
            [b'/', b'*', tail @ ..] | [b'<', b'!', b'-', b'-', tail @ ..] => tail,
            [b'-', b'-', ..] | [b'#', ..] | [] => return,
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
                continue;
            }
        };
        rest = match comment_end(body) {
            Some(tail) => tail,
            None => return out.push(b' '),
        };
    }
}

/// Removes the marks of comments and keeps what stands in them.
pub(super) fn remove_comments_char(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        rest = match rest {
            [b'/', b'*', tail @ ..] | [b'*', b'/', tail @ ..] => tail,
            [b'<', b'!', b'-', b'-', tail @ ..] | [b'-', b'-', b'>', tail @ ..] => tail,
            [b'-', b'-', tail @ ..] | [b'#', tail @ ..] => tail,
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return,
        };
    }
}

fn after<'a>(input: &'a [u8], mark: &[u8]) -> &'a [u8] {
    memchr::memmem::find(input, mark)
        .and_then(|at| input.get(at + mark.len()..))
        .unwrap_or_default()
}

fn comment_end(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body;
    loop {
        rest = match rest {
            [b'*', b'/', tail @ ..] | [b'-', b'-', b'>', tail @ ..] => return Some(tail),
            [_, tail @ ..] => tail,
            [] => return None,
        };
    }
}
