//! `parityEven7bit`, `parityOdd7bit`, `parityZero7bit`: the eighth bit as the parity of the other seven, or 0.
//!
//! Source: ModSecurity v3 reference. Example (even): `a` (three bits set) → 0xE1.

/// Sets the eighth bit so that the number of set bits is even.
pub(super) fn even(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| low(*byte) | (odd_bits(*byte) << 7)));
}

/// Sets the eighth bit so that the number of set bits is odd.
pub(super) fn odd(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| low(*byte) | ((odd_bits(*byte) ^ 1) << 7)));
}

/// Clears the eighth bit.
pub(super) fn zero(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| low(*byte)));
}

const fn low(byte: u8) -> u8 {
    byte & 0x7f
}

const fn odd_bits(byte: u8) -> u8 {
    if low(byte).count_ones() % 2 == 1 { 1 } else { 0 }
}
