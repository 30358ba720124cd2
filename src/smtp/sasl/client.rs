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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// What follows from a challenge.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Say(Vec<u8>),
    /// First this is to be run, which is slow, and its result handed to [`Login::derived`].
    Derive(Derivation),
}

/// A password, to be salted as a server asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Derivation {
    password: String,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

/// A password that has been salted.
pub struct Salted([u8; KEY_BYTES]);

impl Derivation {
    pub fn run(&self) -> Salted {
        Salted(salted_password(&self.password, &self.salt, self.iterations))
    }
}

/// Passwords do not belong into logs.
impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Derivation({} rounds)", self.iterations)
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
    /// The salted password is being derived.
    ScramDeriving {
        without_proof: String,
        said: String,
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
            State::Plain | State::ScramFirst { .. } => match self.respond(b"") {
                Ok(Step::Say(response)) => Some(response),
                Ok(Step::Derive(_)) | Err(_) => None,
            },
            _ => None,
        }
    }

    /// The response to a challenge, or why there is none.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Step, &'static str> {
        let Credentials { user, password } = &self.credentials;
        let response = match mem::replace(&mut self.state, State::Done) {
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
                let derivation = text.and_then(|challenge| self.prepare(&nonce, &bare, challenge));
                let derivation = derivation.ok_or("the server's SCRAM challenge is malformed")?;
                return Ok(Step::Derive(derivation));
            }
            State::ScramProof { signature } => {
                let shown = challenge.strip_prefix(b"v=").and_then(|v| BASE64.decode(v).ok());
                match shown {
                    Some(shown) if same(&shown, &signature) => Ok(Vec::new()),
                    _ => Err("the server did not prove that it knows the user"),
                }
            }
            State::Done | State::ScramDeriving { .. } => {
                Err("the server asks for more than the mechanism has")
            }
        };
        response.map(Step::Say)
    }

    /// Whether a success that the server reports now may be believed.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Answers `r=nonce,s=salt,i=iterations`.
    fn prepare(&mut self, nonce: &str, bare: &str, challenge: &str) -> Option<Derivation> {
        let [both, salt, iterations] = scram::expect(challenge, ['r', 's', 'i'])?;
        if !scram::is_nonce(both) || !both.starts_with(nonce) || both.len() == nonce.len() {
            return None;
        }
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        if !(SCRAM_ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX).contains(&iterations.get()) {
            return None;
        }
        let salt = BASE64.decode(salt.as_bytes()).ok()?;
        let without_proof = format!("c={},r={both}", scram::channel(HEADER, None));
        let said = format!("{bare},{challenge},{without_proof}");
        self.state = State::ScramDeriving { without_proof, said };
        Some(Derivation { password: self.credentials.password.clone(), salt, iterations })
    }

    /// The response that [`Step::Derive`] was for; `None` when it was for none.
    pub fn derived(&mut self, Salted(salted): Salted) -> Option<Vec<u8>> {
        let State::ScramDeriving { without_proof, said } = mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        let client_key = sign(&salted, b"Client Key");
        let proof = scram::proof(&client_key, &sha256(&client_key), &said);
        let signature = sign(&sign(&salted, b"Server Key"), said.as_bytes());
        self.state = State::ScramProof { signature };
        Some(format!("{without_proof},p={}", BASE64.encode(&proof)).into_bytes())
    }
}
