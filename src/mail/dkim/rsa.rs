//! Makes an RSA key of 2048 bits. Source: RFC 8017 §3 and A.1.2, FIPS 186-5 A.1.3; whether a number is prime is
//! `crypto-primes`' word, and `ring` checks the whole key again when it is read.
//! Danger: takes seconds on a small processor; not to be called where mail waits.

use crypto_bigint::{Limb, Odd, U1024, U2048, Word};
use crypto_primes::{Flavor, is_prime};

use super::key::{RSA_ALGORITHM, der};

const PRIME_BITS: u32 = 1024;
const PUBLIC_EXPONENT: u64 = 65537;
/// Divisors up to here are tried first: five candidates of six have one, and the true test takes long.
const SMALL_DIVISOR_MAX: Word = 1024;

/// PKCS#8 of a new key. `entropy` fills a buffer with bytes that nobody can guess.
pub fn generate_rsa_2048(entropy: &mut dyn FnMut(&mut [u8])) -> Vec<u8> {
    loop {
        let (one, other) = (prime(entropy), prime(entropy));
        let (p, q) = if one > other { (one, other) } else { (other, one) };
        if let Some(key) = private_key(&p, &q) {
            let inner = der(0x04, &[&key]);
            return der(0x30, &[&integer(&[0]), &RSA_ALGORITHM, &inner]);
        }
    }
}

/// A prime of 1024 bits whose upper two bits are set, so that two of them make 2048. Numbers are drawn, each
/// anew, until one is prime.
fn prime(entropy: &mut dyn FnMut(&mut [u8])) -> U1024 {
    loop {
        let mut bytes = [0; U1024::BYTES];
        entropy(&mut bytes);
        bytes[0] |= 0xc0;
        bytes[U1024::BYTES - 1] |= 1;
        let candidate = U1024::from_be_slice(&bytes);
        if !has_small_divisor(&candidate) && is_prime(Flavor::Any, &candidate) {
            return candidate;
        }
    }
}

/// Whether something small divides an odd number.
fn has_small_divisor(odd: &U1024) -> bool {
    let divides = |divisor: Word| {
        Limb(divisor).to_nz().into_option().is_some_and(|divisor| odd.rem_limb(divisor) == Limb::ZERO)
    };
    (3..SMALL_DIVISOR_MAX).step_by(2).any(divides)
}

/// An RSAPrivateKey of p > q, or `None` when the exponent has no inverse or the primes are too near to one
/// another (FIPS 186-5 A.1.3).
fn private_key(p: &U1024, q: &U1024) -> Option<Vec<u8>> {
    if p.wrapping_sub(q).bit_width() <= PRIME_BITS - 100 {
        return None;
    }
    let (p1, q1) = (p.wrapping_sub(&U1024::ONE), q.wrapping_sub(&U1024::ONE));
    let n: U2048 = p.concatenating_mul(q);
    let phi: U2048 = p1.concatenating_mul(&q1);
    let d = U2048::from_u64(PUBLIC_EXPONENT).invert_mod(&phi.to_nz().into_option()?).into_option()?;
    let (dp, dq) = (d.rem(&p1.to_nz().into_option()?), d.rem(&q1.to_nz().into_option()?));
    let q_inverse = q.invert_odd_mod(&Odd::new(*p).into_option()?).into_option()?;
    let full = |number: &U2048| integer(number.to_be_bytes().as_ref());
    let half = |number: &U1024| integer(number.to_be_bytes().as_ref());
    let exponent = integer(&PUBLIC_EXPONENT.to_be_bytes());
    let numbers = [
        integer(&[0]),
        full(&n),
        exponent,
        full(&d),
        half(p),
        half(q),
        half(&dp),
        half(&dq),
        half(&q_inverse),
    ];
    Some(der(0x30, &[&numbers.concat()]))
}

/// A DER INTEGER of unsigned big-endian bytes: shortest form, a zero before a set upper bit.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let digits = &bytes[zeros..];
    let pad: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    der(0x02, &[pad, digits])
}
