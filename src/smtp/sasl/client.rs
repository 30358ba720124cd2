//! The client's side of an exchange: challenges in, responses out. With SCRAM the server has to prove that
//! it knows the password's verifier; until it has, nothing it says counts as a success.

use std::fmt;
use std::mem;
use std::num::NonZeroU32;

use data_encoding::BASE64;

use super::Mechanism;
use super::scram;
use super::verifier::{KEY_BYTES, salted_password, same, sha256, sign};
use crate::limits::{SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN};

/// Who we are to a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Passwords do not belong into logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// An exchange on its way.
#[derive(Debug)]
pub struct Login {
    credentials: Credentials,
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword,
    ScramFirst {
        nonce: String,
    },
    ScramFinal {
        nonce: String,
        bare: String,
    },
    /// The signature that the server must show.
    ScramProof {
        signature: [u8; KEY_BYTES],
    },
    Done,
}

/// What we say before the user's name in SCRAM: no channel binding, on nobody's behalf.
const HEADER: &str = "n,,";

impl Login {
    /// `nonce` is drawn for this exchange: printable, without commas. SCRAM-SHA-256-PLUS is not spoken.
    pub fn new(mechanism: Mechanism, credentials: Credentials, nonce: String) -> Option<Self> {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
            Mechanism::ScramSha256 => State::ScramFirst { nonce },
            Mechanism::ScramSha256Plus => return None,
        };
        Some(Login { credentials, state })
    }

    /// What goes with the AUTH command itself.
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        match self.state {
            State::Plain | State::ScramFirst { .. } => self.respond(b"").ok(),
            _ => None,
        }
    }

    /// The response to a challenge, or why there is none.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, &'static str> {
        let Credentials { user, password } = &self.credentials;
        match mem::replace(&mut self.state, State::Done) {
            State::Plain => Ok(format!("\0{user}\0{password}").into_bytes()),
            State::LoginUser => {
                self.state = State::LoginPassword;
                Ok(user.clone().into_bytes())
            }
            State::LoginPassword => Ok(password.clone().into_bytes()),
            State::ScramFirst { nonce } => {
                let bare = format!("n={},r={nonce}", scram::escape(user));
                let first = format!("{HEADER}{bare}");
                self.state = State::ScramFinal { nonce, bare };
                Ok(first.into_bytes())
            }
            State::ScramFinal { nonce, bare } => {
                let text = std::str::from_utf8(challenge).ok();
                let answer = text.and_then(|challenge| self.prove(&nonce, &bare, challenge));
                answer.ok_or("the server's SCRAM challenge is malformed")
            }
            State::ScramProof { signature } => {
                let shown = challenge.strip_prefix(b"v=").and_then(|v| BASE64.decode(v).ok());
                match shown {
                    Some(shown) if same(&shown, &signature) => Ok(Vec::new()),
                    _ => Err("the server did not prove that it knows the user"),
                }
            }
            State::Done => Err("the server asks for more than the mechanism has"),
        }
    }

    /// Whether a success that the server reports now may be believed.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Answers `r=nonce,s=salt,i=iterations`.
    fn prove(&mut self, nonce: &str, bare: &str, challenge: &str) -> Option<Vec<u8>> {
        let [both, salt, iterations] = scram::expect(challenge, ['r', 's', 'i'])?;
        if !scram::is_nonce(both) || !both.starts_with(nonce) || both.len() == nonce.len() {
            return None;
        }
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        if !(SCRAM_ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX).contains(&iterations.get()) {
            return None;
        }
        let salt = BASE64.decode(salt.as_bytes()).ok()?;
        let salted = salted_password(&self.credentials.password, &salt, iterations);
        let client_key = sign(&salted, b"Client Key");
        let without_proof = format!("c={},r={both}", scram::channel(HEADER, None));
        let said = format!("{bare},{challenge},{without_proof}");
        let proof = scram::proof(&client_key, &sha256(&client_key), &said);
        let signature = sign(&sign(&salted, b"Server Key"), said.as_bytes());
        self.state = State::ScramProof { signature };
        Some(format!("{without_proof},p={}", BASE64.encode(&proof)).into_bytes())
    }
}
