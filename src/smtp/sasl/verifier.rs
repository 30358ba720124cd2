//! What is kept instead of a password (RFC 5802 §3): enough to check one, not enough to say one.
//! Its text form is the `authPassword` of RFC 5803. All comparisons take the same time.

use std::fmt;
use std::num::NonZeroU32;

use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::limits::{SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX};

pub(super) const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
const NAME: &str = "SCRAM-SHA-256";

/// The salted keys of one password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: [u8; KEY_BYTES],
    pub(super) server_key: [u8; KEY_BYTES],
}

impl Verifier {
    /// The verifier of `password`, with a `salt` that was drawn for it.
    pub fn new(password: &str, salt: [u8; 16]) -> Self {
        let iterations = NonZeroU32::new(SCRAM_ITERATIONS).expect("the bound is not 0");
        let salted = salted_password(password, &salt, iterations);
        let client_key = sign(&salted, b"Client Key");
        Verifier {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(&client_key),
            server_key: sign(&salted, b"Server Key"),
        }
    }

    /// The verifier of `password`, with a salt that is drawn here.
    ///
    /// # Panics
    /// When the kernel gives no randomness.
    pub fn of(password: &str) -> Self {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).expect("the kernel gives random bytes");
        Verifier::new(password, salt)
    }

    /// One for a user who does not exist: it looks like any other, and no password fits.
    pub(super) fn of_nobody(secret: &[u8; 32], user: &str) -> Self {
        let name = user.as_bytes();
        let part = |label: &[u8]| sign(secret, &[label, name].concat());
        Verifier {
            salt: part(b"salt ")[..16].to_vec(),
            iterations: NonZeroU32::new(SCRAM_ITERATIONS).expect("the bound is not 0"),
            stored_key: part(b"stored "),
            server_key: part(b"server "),
        }
    }

    /// Whether `password` is the one.
    pub fn accepts(&self, password: &str) -> bool {
        let salted = salted_password(password, &self.salt, self.iterations);
        same(&sha256(&sign(&salted, b"Client Key")), &self.stored_key)
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(NAME)?.strip_prefix('$')?;
        let (first, second) = rest.split_once('$')?;
        let (iterations, salt) = first.split_once(':')?;
        let (stored_key, server_key) = second.split_once(':')?;
        let key = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let salt = BASE64.decode(salt.as_bytes()).ok()?;
        if iterations.get() > SCRAM_ITERATIONS_MAX || salt.is_empty() {
            return None;
        }
        Some(Verifier { salt, iterations, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }
}

/// `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER` (RFC 5803).
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        write!(f, "{NAME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// Keys do not belong into logs.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// `Hi` of RFC 5802 §2.2.
pub(super) fn salted_password(password: &str, salt: &[u8], iterations: NonZeroU32) -> [u8; KEY_BYTES] {
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
    salted
}

pub(super) fn sign(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; KEY_BYTES] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether both are equal, in a time that does not depend on where they differ: what is compared are their
/// tags under one key, by a function made for that.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}
