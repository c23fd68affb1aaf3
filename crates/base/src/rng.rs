//! Counter-based random numbers: a value is a pure function of (seed, purpose, coordinates, index).
//!
//! Nothing is drawn in sequence, so results depend on neither thread count nor history, and a
//! resumed run needs no generator state. The mixing function is SplitMix64's finaliser over a Weyl
//! sequence (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), which
//! passes BigCrush as a counter generator.

const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser: a bijection of 64 bits in which every input bit reaches every output
/// bit.
#[inline(always)]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One stream of random numbers, addressed by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    key: u64,
}

impl Rng {
    /// The stream of a seed for one purpose, such as `"dropout"` or `"data order"`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let start = Self { key: mix(seed.wrapping_add(WEYL)) };
        purpose.bytes().fold(start, |rng, byte| rng.at(byte as u64))
    }

    /// The stream at one more coordinate: a step, an epoch, a layer.
    #[inline(always)]
    pub fn at(self, coordinate: u64) -> Self {
        Self { key: mix(self.key ^ mix(coordinate.wrapping_add(WEYL))).wrapping_add(WEYL) }
    }

    /// What the stream's numbers follow from, for kernels that draw them elsewhere.
    pub fn key(self) -> u64 {
        self.key
    }

    /// 64 random bits.
    #[inline(always)]
    pub fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_add(1).wrapping_mul(WEYL)))
    }

    /// Uniform in `[0, 1)`, with 24 random bits.
    #[inline(always)]
    pub fn uniform(self, index: u64) -> f32 {
        (self.bits(index) >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }

    /// Uniform in `0..bound`. The bias, below `bound / 2^64`, is beyond measuring.
    ///
    /// # Panics
    /// When `bound` is 0.
    #[inline(always)]
    pub fn below(self, index: u64, bound: u64) -> u64 {
        assert!(bound > 0, "a bound of 0 leaves nothing to choose from");
        ((self.bits(index) as u128 * bound as u128) >> 64) as u64
    }

    /// Standard normal, by Box and Muller's transform in double precision.
    pub fn normal(self, index: u64) -> f32 {
        let bits = self.bits(index);
        let scale = 1.0 / (1u64 << 32) as f64;
        let radius = (((bits >> 32) as f64 + 1.0) * scale).ln() * -2.0;
        let angle = (bits & 0xFFFF_FFFF) as f64 * scale * std::f64::consts::TAU;
        (radius.sqrt() * angle.cos()) as f32
    }

    /// A random order of `0..count` (Fisher and Yates).
    pub fn permutation(self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64, last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_coordinate() {
        let base = Rng::new(1, "dropout");
        let others = [Rng::new(2, "dropout"), Rng::new(1, "order"), base.at(0), base.at(1)];
        for other in others {
            assert_ne!(base.bits(0), other.bits(0));
        }
        assert_eq!(base.bits(7), Rng::new(1, "dropout").bits(7));
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let rng = Rng::new(3, "moments");
        let count = 100_000;
        let mean = |f: &dyn Fn(u64) -> f64| (0..count).map(f).sum::<f64>() / count as f64;
        assert!((mean(&|i| rng.uniform(i) as f64) - 0.5).abs() < 0.005);
        assert!((mean(&|i| (rng.uniform(i) as f64 - 0.5).powi(2)) - 1.0 / 12.0).abs() < 0.001);
        assert!(mean(&|i| rng.normal(i) as f64).abs() < 0.015);
        assert!((mean(&|i| (rng.normal(i) as f64).powi(2)) - 1.0).abs() < 0.02);
    }

    #[test]
    fn permutation_holds_everything_once_and_spreads_evenly() {
        let mut sorted = Rng::new(4, "order").permutation(1000);
        assert_ne!(sorted, (0..1000).collect::<Vec<u32>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());

        let firsts: Vec<u32> =
            (0..6000).map(|epoch| Rng::new(4, "order").at(epoch).permutation(6)[0]).collect();
        for value in 0..6 {
            let count = firsts.iter().filter(|&&first| first == value).count();
            assert!((850..1150).contains(&count), "{value} came first {count} times of 6000");
        }
    }
}
