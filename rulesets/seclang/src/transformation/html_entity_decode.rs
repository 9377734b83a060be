//! `htmlEntityDecode`: `&#xHH;`, `&#DDD;` and `&quot; &amp; &lt; &gt; &nbsp;`, letter case ignored.
//!
//! Source: ModSecurity v3 reference. The semicolon may be missing, the low byte of a number counts (`&nbsp;` is
//! 0xA0), any other name stays as it is. Example: `&#x3c;script&GT` → `<script>`.

/// Decodes HTML entities.
pub(super) fn html_entity_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    loop {
        rest = match rest {
            [b'&', tail @ ..] => match entity(tail) {
                Some((byte, tail)) => {
                    out.push(byte);
                    tail.strip_prefix(b";").unwrap_or(tail)
                }
                None => {
                    out.push(b'&');
                    tail
                }
            },
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return,
        };
    }
}

fn entity(after: &[u8]) -> Option<(u8, &[u8])> {
    match after {
        [b'#', b'x' | b'X', tail @ ..] => number(tail, 16),
        [b'#', tail @ ..] => number(tail, 10),
        _ => name(after), // no number
    }
}

fn number(digits: &[u8], radix: u32) -> Option<(u8, &[u8])> {
    let mut value = 0_u64;
    let mut rest = digits;
    while let [digit, tail @ ..] = rest
        && let Some(digit) = char::from(*digit).to_digit(radix)
    {
        value = value.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit));
        rest = tail;
    }
    let [.., byte] = value.to_be_bytes();
    (rest.len() < digits.len()).then_some((byte, rest))
}

const NAMES: [(&[u8], u8); 5] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];

/// Reads a run of letters and digits. Only five short names are known, so a longer run is not looked at.
fn name(after: &[u8]) -> Option<(u8, &[u8])> {
    let length = after.iter().take(5).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let (name, tail) = after.split_at_checked(length)?;
    let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((known.1, tail))
}
