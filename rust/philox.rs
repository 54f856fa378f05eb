//! Random numbers by key: nothing is kept from one key to the next, so order does not matter.

/// Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw: Parallel Random Numbers:
/// As Easy as 1, 2, 3 (SC11). Four words for each counter and key.
#[must_use]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let (high_a, low_a) = multiply(a, 0xD251_1F53);
        let (high_c, low_c) = multiply(c, 0xCD9E_8D57);
        counter = [high_c ^ b ^ key[0], low_c, high_a ^ d ^ key[1], low_a];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

fn multiply(a: u32, b: u32) -> (u32, u32) {
    halves(u64::from(a) * u64::from(b))
}

fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

/// The doubles that belong to a seed and a key.
pub struct Keyed {
    seed: [u32; 2],
    key: [u32; 2],
    drawn: u64,
    words: [u32; 4],
}

impl Keyed {
    /// Starts at the first.
    #[must_use]
    pub fn new(seed: u64, key: u64) -> Self {
        let ((seed_high, seed_low), (key_high, key_low)) = (halves(seed), halves(key));
        Keyed { seed: [seed_low, seed_high], key: [key_low, key_high], drawn: 0, words: [0; 4] }
    }

    /// The next in [0, 1), of 53 bits: block n, of the counter (key, n), gives doubles 2 n and
    /// 2 n + 1.
    #[must_use]
    pub fn uniform(&mut self) -> f64 {
        let (number, odd) = (self.drawn / 2, self.drawn % 2 == 1);
        if !odd {
            let (high, low) = halves(number);
            self.words = philox([self.key[0], self.key[1], low, high], self.seed);
        }
        self.drawn += 1;
        let [a, b, c, d] = self.words;
        if odd { unit(c, d) } else { unit(a, b) }
    }
}

/// A double in [0, 1) of 27 and 26 bits of two words, as the Mersenne Twister's authors make it
/// (`genrand_res53`).
#[must_use]
pub fn unit(high: u32, low: u32) -> f64 {
    let (high, low) = (f64::from(high >> 5), f64::from(low >> 6));
    (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
}
