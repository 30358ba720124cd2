//! Seedable randomness for what need not be secret: jitter, the order of equal MX hosts, simulations.
//! What an attacker must not guess (DNS ids, nonces) is drawn from `os::entropy`, never from here.

use std::time::Duration;

/// A generator whose whole future follows from its seed.
#[derive(Clone, Debug)]
pub struct Prng(fastrand::Rng);

impl Prng {
    pub fn from_seed(seed: u64) -> Self {
        Prng(fastrand::Rng::with_seed(seed))
    }

    pub fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `bound`; `bound` is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    /// `base` made longer or shorter by at most a tenth, so that what began together does not stay so.
    pub fn jitter(&mut self, base: Duration) -> Duration {
        base.mul_f64(0.9 + 0.2 * self.0.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_future() {
        let (mut a, mut b) = (Prng::from_seed(7), Prng::from_seed(7));
        assert_eq!([a.u64(), a.u64()], [b.u64(), b.u64()]);
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut prng = Prng::from_seed(1);
        for _ in 0..1000 {
            let d = prng.jitter(Duration::from_secs(100));
            assert!((90..=110).contains(&d.as_secs()), "{d:?}");
        }
    }
}
