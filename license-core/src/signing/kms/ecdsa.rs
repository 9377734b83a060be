//! ECDSA signatures as Cloud KMS writes them, `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 §2.2.3), in the form that JWS
//! has: both numbers, 32 bytes each (RFC 7518 §3.4).

use super::der::{element, whole};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const NUMBER_BYTES: usize = 32;

/// Takes the numbers out of their DER.
pub(super) fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let (r, rest) = element(whole(der, SEQUENCE)?, INTEGER)?;
    let s = whole(rest, INTEGER)?;
    Some([number(r)?, number(s)?].concat())
}

fn number(integer: &[u8]) -> Option<Vec<u8>> {
    // A leading zero keeps the number positive.
    let digits = integer.strip_prefix(&[0]).unwrap_or(integer);
    let absent = NUMBER_BYTES.checked_sub(digits.len())?;
    Some([vec![0; absent].as_slice(), digits].concat())
}

#[cfg(test)]
mod tests {
    use super::fixed;

    #[test]
    fn both_numbers_are_padded_and_nothing_else_is_taken() {
        let wanted = [[0; 31].as_slice(), &[7], &[0x80], &[9; 31]].concat();
        let der = [&[0x30, 38, 2, 1, 7, 2, 33, 0, 0x80], [9; 31].as_slice()].concat();
        assert_eq!(fixed(&der), Some(wanted));
        for end in 0..der.len() {
            assert_eq!(fixed(&der[..end]), None);
        }
        let long = [&[0x30, 38, 2, 1, 7, 2, 33, 1, 0x80], [9; 31].as_slice()].concat();
        assert_eq!(fixed(&long), None);
        assert_eq!(fixed(&[der.as_slice(), &[0]].concat()), None);
    }
}
