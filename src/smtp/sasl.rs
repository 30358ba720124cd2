//! AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677, 9266) as
//! exchanges of byte strings, for the server ([`Exchange`]) and for the client ([`Login`]). A password is
//! never kept, only its [`Verifier`]; who guesses must not learn from words or from time which users exist.

mod client;
mod scram;
mod server;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;

pub use client::{Credentials, Derivation, Login, Salted, Step};
pub use server::{Account, Check, Exchange, Verdict};
pub use verifier::Verifier;

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
    ScramSha256,
    /// With the channel binding `tls-exporter`.
    ScramSha256Plus,
}

impl Mechanism {
    pub const ALL: [Mechanism; 4] =
        [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// The mechanism of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
