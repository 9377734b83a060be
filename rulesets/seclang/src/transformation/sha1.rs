//! `sha1`: the SHA-1 digest (RFC 3174), 20 raw bytes.
//!
//! Source: ModSecurity v3 reference. It names values, it protects nothing. Example: `` → da39a3ee5e6b4b0d….

const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Appends the digest of `input`.
pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) {
    let mut message = input.to_vec();
    message.push(0x80);
    message.resize(message.len() + (120 - message.len() % 64) % 64, 0);
    message.extend_from_slice(&(input.len() as u64).wrapping_mul(8).to_be_bytes());
    let mut state = START;
    for block in message.chunks_exact(64) {
        state = compress(state, block);
    }
    for word in state {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn compress([a0, b0, c0, d0, e0]: [u32; 5], block: &[u8]) -> [u32; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = [a0, b0, c0, d0, e0];
    for (step, word) in schedule(block).into_iter().enumerate() {
        let (mix, constant) = match step / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32), // the fourth and last round
        };
        let sum = a.rotate_left(5).wrapping_add(mix).wrapping_add(e);
        let sum = sum.wrapping_add(constant).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
    }
    [
        a0.wrapping_add(a),
        b0.wrapping_add(b),
        c0.wrapping_add(c),
        d0.wrapping_add(d),
        e0.wrapping_add(e),
    ]
}

fn schedule(block: &[u8]) -> [u32; 80] {
    let mut words = [0_u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    }
    for index in 16..80_usize {
        let before = |back: usize| words.get(index - back).copied().unwrap_or(0);
        let mixed = (before(3) ^ before(8) ^ before(14) ^ before(16)).rotate_left(1);
        if let Some(word) = words.get_mut(index) {
            *word = mixed;
        }
    }
    words
}
