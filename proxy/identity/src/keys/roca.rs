//! RSA keys of the ROCA family (CVE-2017-15361): their primes are powers of 65537 modulo many small primes, so the
//! modulus is one too. A sound modulus passes all 38 tests about once in 2^27.

const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Says whether a big-endian modulus has the family's mark.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power(remainder(modulus, *prime), *prime))
}

/// Says whether `number` is a power of 65537 modulo `prime`.
fn is_power(number: u32, prime: u32) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = power * generator % prime;
    }
    false
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_the_generator_is_marked_and_its_neighbour_is_not() {
        // 65537 squared, in bytes.
        assert!(is_weak(&[0x01, 0x00, 0x02, 0x00, 0x01]));
        assert!(!is_weak(&[0x01, 0x00, 0x02, 0x00, 0x03]));
    }
}
