//! `md5`: the MD5 digest (RFC 1321), 16 raw bytes.
//!
//! Source: ModSecurity v3 reference. It names values, it protects nothing. Example: `` → d41d8cd98f00b204….

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Appends the digest of `input`.
pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) {
    let mut message = input.to_vec();
    message.push(0x80);
    message.resize(message.len() + (120 - message.len() % 64) % 64, 0);
    message.extend_from_slice(&(input.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state = START;
    for block in message.chunks_exact(64) {
        state = compress(state, block);
    }
    for word in state {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn compress([a0, b0, c0, d0]: [u32; 4], block: &[u8]) -> [u32; 4] {
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d] = [a0, b0, c0, d0];
    for step in 0..64_usize {
        let (mix, index) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step), // the fourth and last round
        };
        let word = words.get(index % 16).copied().unwrap_or(0);
        let shift = SHIFTS.get(step / 16).and_then(|row| row.get(step % 4)).copied().unwrap_or(0);
        let sum = a.wrapping_add(mix).wrapping_add(word).wrapping_add(sine(step));
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
    }
    [a0.wrapping_add(a), b0.wrapping_add(b), c0.wrapping_add(c), d0.wrapping_add(d)]
}

/// Returns ⌊2³² · |sin(step + 1)|⌋, the constant that RFC 1321 gives for a step.
fn sine(step: usize) -> u32 {
    (f64::from(step as u32 + 1).sin().abs() * 4_294_967_296.0) as u32
}
