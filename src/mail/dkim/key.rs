//! Signing keys and their DNS records (RFC 6376 §3.6.1, RFC 8463 §4). Keys are kept as PKCS#8 (RFC 5208),
//! which openssl reads and writes.
//! Danger: the private bytes must not reach a log; nothing here has them in its `Debug` form.

use std::fmt;

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::mail::encoding::pem;
use crate::mail::{AddressError, Domain};

/// PKCS#8 of an Ed25519 key is this and its 32 bytes (RFC 8410 §7).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// rsaEncryption with its NULL parameter, as an AlgorithmIdentifier (RFC 8017 A.1).
pub(super) const RSA_ALGORITHM: [u8; 15] =
    [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const ED25519: &str = "-ed25519";
const RSA: &str = "-rsa";
/// A character-string of a TXT record (RFC 1035 §3.3).
const TXT_STRING_BYTES_MAX: usize = 255;

/// The bytes are no PKCS#8 of an Ed25519 key or of an RSA key with at least 2048 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRejected;

impl fmt::Display for KeyRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no PKCS#8 private key of Ed25519 or of RSA with at least 2048 bits")
    }
}

impl std::error::Error for KeyRejected {}

/// What the selectors of a domain's two keys begin with. Each key has its own (RFC 8463 §6 allows that), so
/// that each has one TXT record and one may be changed without the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(String);

impl Selector {
    /// One or more labels; the last leaves room for what the keys add to it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let selector = Selector(text.to_ascii_lowercase());
        Domain::host_name(&format!("{text}{ED25519}"))?;
        Domain::host_name(&format!("{text}{RSA}"))?;
        Ok(selector)
    }

    /// The selector of the Ed25519 key.
    pub fn ed25519(&self) -> Domain {
        Domain::host_name(&format!("{}{ED25519}", self.0)).expect("checked by parse")
    }

    /// The selector of the RSA key.
    pub fn rsa(&self) -> Domain {
        Domain::host_name(&format!("{}{RSA}", self.0)).expect("checked by parse")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A private key and the selector under which its public half stands in the DNS.
pub struct SigningKey {
    /// One or more labels, as in a host name.
    selector: Domain,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.selector, self.algorithm())
    }
}

impl SigningKey {
    /// Reads a private key in PKCS#8.
    pub fn from_pkcs8(selector: Domain, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Pair::Ed25519);
        let pair =
            ed25519.or_else(|_| RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa)).map_err(|_| KeyRejected)?;
        Ok(SigningKey { selector, pair })
    }

    /// Reads a private key as [`pem_of`] writes it.
    pub fn from_pem(selector: Domain, pem: &[u8]) -> Result<Self, KeyRejected> {
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyRejected)?;
        SigningKey::from_pkcs8(selector, pkcs8.secret_pkcs8_der())
    }

    /// PKCS#8 of the Ed25519 key that `seed`, 32 bytes drawn at random, stands for.
    pub fn ed25519_pkcs8(seed: &[u8; 32]) -> Vec<u8> {
        [&ED25519_PKCS8_PREFIX[..], seed].concat()
    }

    pub fn selector(&self) -> &Domain {
        &self.selector
    }

    /// The text of `a=`.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "ed25519-sha256",
            Pair::Rsa(_) => "rsa-sha256",
        }
    }

    /// Whether its selector is one that a [`Selector`] gives to a key of its kind.
    pub fn is_named_for_its_kind(&self) -> bool {
        let ending = match self.pair {
            Pair::Ed25519(_) => ED25519,
            Pair::Rsa(_) => RSA,
        };
        self.selector.as_str().ends_with(ending)
    }

    /// Signs the canonical header. Ed25519 signs the hash of it (RFC 8463 §3).
    pub(super) fn sign(&self, canonical: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(digest(&SHA256, canonical).as_ref()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), canonical, &mut signature)
                    .expect("the signature has the length of the modulus");
                signature
            }
        }
    }

    /// What the domain's owner puts into its zone.
    pub fn txt_record(&self, domain: &Domain) -> TxtRecord {
        let (kind, public) = match &self.pair {
            Pair::Ed25519(pair) => ("ed25519", pair.public_key().as_ref().to_vec()),
            Pair::Rsa(pair) => ("rsa", subject_public_key_info(pair.public_key().as_ref())),
        };
        TxtRecord {
            name: format!("{}._domainkey.{domain}", self.selector),
            value: format!("v=DKIM1; k={kind}; p={}", BASE64.encode(&public)),
        }
    }
}

/// The text form of a private key in PKCS#8 (RFC 7468 §10).
pub fn pem_of(pkcs8: &[u8]) -> String {
    pem("PRIVATE KEY", pkcs8)
}

/// The RSA public key as verifiers expect it: within a SubjectPublicKeyInfo (RFC 5280 §4.1).
fn subject_public_key_info(rsa_public_key: &[u8]) -> Vec<u8> {
    let bits = der(0x03, &[&[0], rsa_public_key]);
    der(0x30, &[&RSA_ALGORITHM, &bits])
}

/// A DER element of at most 65535 content bytes.
pub(super) fn der(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let len = u16::try_from(contents.len()).expect("keys are shorter than 64 KiB").to_be_bytes();
    let mut element = vec![tag];
    match len {
        [0, short @ 0..0x80] => element.push(short),
        [0, long] => element.extend([0x81, long]),
        [high, low] => element.extend([0x82, high, low]),
    }
    element.extend(contents);
    element
}

/// A DNS record of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtRecord {
    /// `SELECTOR._domainkey.bcd.com`
    pub name: String,
    /// The whole value, as web forms take it.
    pub value: String,
}

/// A line of a zone file; the value is cut into strings of at most 255 bytes.
impl fmt::Display for TxtRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. IN TXT (", self.name)?;
        let mut rest = self.value.as_str();
        while !rest.is_empty() {
            let (string, after) = rest.split_at(rest.len().min(TXT_STRING_BYTES_MAX));
            write!(f, " \"{string}\"")?;
            rest = after;
        }
        f.write_str(" )")
    }
}
