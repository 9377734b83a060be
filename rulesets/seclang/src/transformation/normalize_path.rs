//! `normalizePath`, `normalizePathWin` (also spelled `normalise…`): self references, parents and doubled slashes.
//!
//! Source: ModSecurity v3 reference. A relative path keeps the parents that lead out of it, an absolute one stops
//! at its root; a slash at the end stays. The second reads `\` as `/`. Example: `/a/./b//../c` → `/a/c`.

/// Normalises a path with `/`.
pub(super) fn normalize_path(input: &[u8], out: &mut Vec<u8>) {
    normalize(input, out, |byte| byte == b'/');
}

/// Normalises a path with `/` or `\`; the output has `/` only.
pub(super) fn normalize_path_win(input: &[u8], out: &mut Vec<u8>) {
    normalize(input, out, |byte| matches!(byte, b'/' | b'\\'));
}

/// One pass; a parent reference walks back over what it removes, so that the whole is linear.
fn normalize(input: &[u8], out: &mut Vec<u8>, is_separator: fn(u8) -> bool) {
    let absolute = input.first().is_some_and(|byte| is_separator(*byte));
    if absolute {
        out.push(b'/');
    }
    let root = out.len();
    let mut floor = root;
    for segment in input.split(|byte| is_separator(*byte)) {
        match segment {
            b"" | b"." => {}
            b".." if out.len() > floor => pop(out, floor),
            b".." if absolute => {}
            b".." => {
                push(out, segment, root);
                floor = out.len();
            }
            name => push(out, name, root),
        }
    }
    if out.len() > root && input.last().is_some_and(|byte| is_separator(*byte)) {
        out.push(b'/');
    }
}

fn push(out: &mut Vec<u8>, segment: &[u8], root: usize) {
    if out.len() > root {
        out.push(b'/');
    }
    out.extend_from_slice(segment);
}

fn pop(out: &mut Vec<u8>, floor: usize) {
    let removable = out.get(floor..).unwrap_or_default();
    let kept = memchr::memrchr(b'/', removable).unwrap_or(0);
    out.truncate(floor + kept);
}
