//! Attacker's bytes for a log: printable, bounded, with credentials and license keys blanked. What is blanked is found
//! by its form, so that it is found wherever it stands.

/// How much of a payload is kept.
const PAYLOAD_BYTES_MAX: usize = 256;
/// How much of a line (a path, a user agent) is kept.
const LINE_BYTES_MAX: usize = 512;
/// Names whose value is a secret.
const SECRET_NAMES: [&[u8]; 9] = [
    b"authorization",
    b"password",
    b"passwd",
    b"secret",
    b"token",
    b"license_key",
    b"licence_key",
    b"api_key",
    b"cookie",
];
/// From this length on a run of key characters is taken for a token.
const TOKEN_BYTES_MIN: usize = 24;

/// Masks a payload.
pub(crate) fn payload(bytes: &[u8]) -> String {
    masked(bytes, PAYLOAD_BYTES_MAX)
}

/// Masks a line.
pub(crate) fn line(bytes: &[u8]) -> String {
    masked(bytes, LINE_BYTES_MAX)
}

fn masked(bytes: &[u8], bytes_max: usize) -> String {
    let kept = bytes.get(..bytes_max).unwrap_or(bytes);
    let mut out = String::with_capacity(kept.len());
    let mut rest = kept;
    let mut after_secret_name = false;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|byte| is_key_character(**byte)).count();
        let (word, after) = rest.split_at(run);
        if run >= TOKEN_BYTES_MIN || (after_secret_name && run > 0) {
            out.push_str("***");
        } else {
            push(&mut out, word);
        }
        if run > 0 {
            after_secret_name = is_secret_name(word);
        }
        let gap = after.iter().take_while(|byte| !is_key_character(**byte)).count();
        let (between, after) = after.split_at(gap);
        // A new line or pair ends what the name covers; `Authorization: Bearer X` goes on over the scheme.
        if between.iter().any(|byte| matches!(byte, b'&' | b'\n' | b',' | b';')) {
            after_secret_name = false;
        }
        if word.eq_ignore_ascii_case(b"bearer") || word.eq_ignore_ascii_case(b"basic") {
            after_secret_name = true;
        }
        push(&mut out, between);
        rest = after;
    }
    if bytes.len() > bytes_max {
        out.push('…');
    }
    out
}

/// Says whether a name is one whose value is a secret: a password, a token, a license key.
#[must_use]
pub fn is_secret_name(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|name| word.ends_with(name))
}

const fn is_key_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn push(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.extend(other.escape_ascii().map(char::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_and_attacks_stay_readable() {
        for (input, expected) in [
            ("' OR 1=1--", "' OR 1=1--"),
            ("id=1 UNION SELECT password FROM users", "id=1 UNION SELECT password *** users"),
            ("q=<script>alert(1)</script>", "q=<script>alert(1)</script>"),
            ("password=hunter2&a=b", "password=***&a=b"),
            ("{\"license_key\":\"AAAA-BBBB\",\"a\":1}", "{\"license_key\":\"***\",\"a\":1}"),
            ("user_password: x", "user_password: ***"),
            ("Authorization: Bearer abc.def", "Authorization: *** ***"),
            ("Bearer abc", "Bearer ***"),
            ("eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln", "***"),
            ("/a/../../etc/passwd", "/a/../../etc/passwd"),
            ("a\nb\u{1}é", "a\\nb\\x01\\xc3\\xa9"),
        ] {
            assert_eq!(payload(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let long = "a b ".repeat(1000);
        assert_eq!(payload(long.as_bytes()).chars().count(), PAYLOAD_BYTES_MAX + 1);
        assert!(payload(long.as_bytes()).ends_with('…'));
        assert_eq!(payload(&b"' ".repeat(128)).len(), 256);
    }
}
