//! TLS 1.2 and 1.3 (RFC 8446, RFC 5246) with rustls and ring, without I/O: what a domain shows of itself
//! ([`certificate`]), as its owner may paste it ([`pasted`]), how a client's greeting finds it ([`keyring`]), and
//! what is made of a certificate that another host shows ([`outgoing`]), for whom also private authorities may
//! vouch ([`authority`]). Sources: RFC 3207, RFC 8314, RFC 6066 §3, RFC 9525.
//!
//! # What is promised
//!
//! - Every domain has a key of its own; one that has no file with a certificate makes one for itself.
//! - Nothing is resumed: each handshake stands alone, and no ticket ties two connections together.
//! - Whom the operator trusts beside the public authorities is what his configuration says, and nothing else.
//! - A certificate that cannot be verified is used where encryption is opportunistic, and told as such;
//!   where TLS is required, nothing is said to its owner.

pub mod authority;
pub mod certificate;
pub mod keyring;
pub mod outgoing;
pub mod pasted;
mod x509;

pub use x509::Facts;

use std::sync::Arc;

use rustls::CommonState;
use rustls::crypto::{CryptoProvider, ring};

/// The version and the cipher suite of a connection, under their registered names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub version: String,
    pub cipher: String,
}

impl Spoken {
    /// What a finished handshake agreed on.
    pub fn of(connection: &CommonState) -> Self {
        let version = connection.protocol_version().and_then(|v| v.as_str()).unwrap_or("TLS");
        let suite = connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).unwrap_or("?");
        Spoken { version: version.replace('_', "."), cipher: suite.replacen("TLS13_", "TLS_", 1) }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
