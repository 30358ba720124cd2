//! The password of the serial console: what is kept of it, and the slow road from a typed one to that
//! (PBKDF2, RFC 8018 §5.2, with HMAC-SHA-256). The road is walked in pieces, so that mail flows meanwhile.
//! Danger: the password itself is never kept, and a comparison tells nothing by its time.

use std::fmt;

use data_encoding::BASE64;
use ring::hmac;

use crate::limits::{PASSWORD_CHARS_MIN, PASSWORD_ROUNDS, PASSWORD_ROUNDS_MAX};

const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What begins the kept text.
const NAME: &str = "PBKDF2-SHA256";

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    rounds: u32,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

impl Password {
    /// `NAME$ROUNDS$SALT$HASH`, as [`Password::text`] has it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_end().split('$');
        if parts.next()? != NAME {
            return None;
        }
        let rounds: u32 = parts.next()?.parse().ok()?;
        let salt = BASE64.decode(parts.next()?.as_bytes()).ok()?;
        let hash = BASE64.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
        let bounded = (1..=PASSWORD_ROUNDS_MAX).contains(&rounds) && parts.next().is_none();
        bounded.then_some(Password { rounds, salt, hash })
    }

    pub fn text(&self) -> String {
        let Password { rounds, salt, hash } = self;
        format!("{NAME}${rounds}${}${}\n", BASE64.encode(salt), BASE64.encode(hash))
    }

    /// The road from what somebody typed to a hash that [`Password::has`] judges.
    pub fn derivation(&self, typed: &str) -> Derivation {
        Derivation::new(typed, &self.salt, self.rounds)
    }

    /// Whether this is the hash of the password.
    pub fn has(&self, hash: &[u8; HASH_BYTES]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
        hmac::verify(&key, hash, hmac::sign(&key, &self.hash).as_ref()).is_ok()
    }
}

/// Hashes do not belong into logs.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A new password on its way.
pub struct Fresh {
    salt: [u8; SALT_BYTES],
    pub derivation: Derivation,
}

impl Fresh {
    /// `salt` is drawn for this password.
    ///
    /// # Errors
    /// What would be a better one.
    pub fn new(typed: &str, salt: [u8; SALT_BYTES]) -> Result<Self, String> {
        if typed.chars().count() < PASSWORD_CHARS_MIN {
            return Err(format!("that is too short; write at least {PASSWORD_CHARS_MIN} characters"));
        }
        Ok(Fresh { salt, derivation: Derivation::new(typed, &salt, PASSWORD_ROUNDS) })
    }

    /// What is to be kept, once the derivation has given its hash.
    pub fn kept(&self, hash: [u8; HASH_BYTES]) -> Password {
        Password { rounds: PASSWORD_ROUNDS, salt: self.salt.to_vec(), hash }
    }
}

/// PBKDF2 for one block of output, some rounds at a time.
pub struct Derivation {
    key: hmac::Key,
    last: [u8; HASH_BYTES],
    sum: [u8; HASH_BYTES],
    left: u32,
}

impl Derivation {
    fn new(typed: &str, salt: &[u8], rounds: u32) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, typed.as_bytes());
        // U_1 is the PRF of the salt and the number of the block.
        let first = sign(&key, &[salt, &1_u32.to_be_bytes()].concat());
        Derivation { key, last: first, sum: first, left: rounds.saturating_sub(1) }
    }

    /// Goes on for some rounds; the hash, when all are done.
    pub fn go_on(&mut self, rounds: u32) -> Option<[u8; HASH_BYTES]> {
        for _ in 0..rounds.min(self.left) {
            self.last = sign(&self.key, &self.last);
            self.sum.iter_mut().zip(self.last).for_each(|(sum, byte)| *sum ^= byte);
        }
        self.left = self.left.saturating_sub(rounds);
        (self.left == 0).then_some(self.sum)
    }
}

fn sign(key: &hmac::Key, bytes: &[u8]) -> [u8; HASH_BYTES] {
    hmac::sign(key, bytes).as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use ring::pbkdf2;

    use super::*;

    fn walked(mut derivation: Derivation, step: u32) -> [u8; HASH_BYTES] {
        loop {
            if let Some(hash) = derivation.go_on(step) {
                return hash;
            }
        }
    }

    #[test]
    fn the_road_in_pieces_ends_where_rings_own_does() {
        for (rounds, step) in [(1, 1), (2, 1), (4096, 1000), (4096, 5000), (999, 7)] {
            let mut wanted = [0; HASH_BYTES];
            let times = NonZeroU32::new(rounds).unwrap();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, times, b"salt", b"pass w\xc3\xb6rd", &mut wanted);
            assert_eq!(walked(Derivation::new("pass wörd", b"salt", rounds), step), wanted, "{rounds}");
        }
    }

    #[test]
    fn a_kept_password_knows_the_right_one() {
        let fresh = Fresh::new("correct horse", [7; SALT_BYTES]).unwrap();
        let hash = walked(Derivation::new("correct horse", &[7; SALT_BYTES], PASSWORD_ROUNDS), 4096);
        let kept = Password::parse(&fresh.kept(hash).text()).unwrap();
        assert!(kept.has(&walked(kept.derivation("correct horse"), 1000)));
        assert!(!kept.has(&walked(kept.derivation("correct horsf"), 1000)));
        assert!(!kept.text().contains("horse") && format!("{kept:?}") == "Password(..)");
        assert!(Fresh::new("1234567", [0; SALT_BYTES]).is_err());
    }

    #[test]
    fn what_is_no_kept_password_is_none() {
        for text in ["", "x", "PBKDF2-SHA256$0$AA==$AA==", "PBKDF2-SHA256$1$AA==$AA==", "\u{0}\u{ff}"] {
            assert_eq!(Password::parse(text), None, "{text:?}");
        }
        let endless = Password { rounds: u32::MAX, salt: vec![1], hash: [0; HASH_BYTES] };
        assert_eq!(Password::parse(&endless.text()), None, "too many rounds would hold up everybody");
    }
}
