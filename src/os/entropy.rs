//! Randomness that nobody can guess, from the kernel's generator: DNS ids, nonces, keys.
//! Source: getrandom(2). Never seed `prng` values that must stay secret; draw them here.

/// Fills `bytes` with randomness.
///
/// # Panics
/// When the kernel has none to give: without it no secret of the house is worth anything.
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}

/// 64 random bits.
pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ() {
        assert_ne!(super::u64(), super::u64());
    }
}
