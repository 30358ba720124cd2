//! The server's side of an exchange: responses in, a challenge or a verdict out. An unknown user is led
//! through the same steps with a verifier that nothing fits, at the same cost.

use std::fmt;
use std::mem;

use data_encoding::BASE64;

use super::Mechanism;
use super::scram;
use super::verifier::{KEY_BYTES, Verifier, same, sha256, sign};
use crate::mail::Address;

/// A user of the house who has a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: Address,
    pub verifier: Verifier,
}

/// A password that waits to be compared with a verifier. That is slow on purpose, so it is done elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Check {
    user: String,
    password: String,
    account: Option<Address>,
    verifier: Verifier,
}

impl Check {
    /// Compares them; takes as long whether the user exists or not.
    pub fn run(self) -> Verdict {
        let fits = self.verifier.accepts(&self.password);
        match self.account {
            Some(user) if fits => Verdict::Admitted(user),
            _ => Verdict::Refused { user: self.user },
        }
    }
}

/// Passwords do not belong into logs.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.user)
    }
}

/// What follows from a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet: [`Check::run`] gives the verdict.
    Check(Box<Check>),
    /// Send this and wait for the next response.
    Challenge(Vec<u8>),
    Admitted(Address),
    /// No such user or not his password; `user` is the name that was tried.
    Refused {
        user: String,
    },
    /// The response is not in the form of the mechanism.
    Malformed,
}

/// An exchange on its way.
#[derive(Debug)]
pub struct Exchange {
    state: State,
    nonce: String,
    secret: [u8; 32],
    /// What `tls-exporter` gives for this connection; where it is, SCRAM-SHA-256-PLUS is offered.
    binding: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword {
        user: String,
    },
    ScramFirst {
        plus: bool,
    },
    ScramFinal(Box<Proof>),
    /// The server's own proof is said; an empty response ends the exchange.
    ScramDone(Address),
    Over,
}

/// What a SCRAM client must answer now.
#[derive(Debug)]
struct Proof {
    user: String,
    account: Option<Address>,
    verifier: Verifier,
    /// `c=` must be this.
    channel: String,
    nonce: String,
    /// Both first messages, signed by both sides.
    said: String,
}

impl Exchange {
    /// `nonce` is drawn for this exchange; `secret` is the house's own and makes up what unknown users have.
    pub fn new(mechanism: Mechanism, nonce: String, secret: [u8; 32], binding: Option<Vec<u8>>) -> Self {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
            Mechanism::ScramSha256 => State::ScramFirst { plus: false },
            Mechanism::ScramSha256Plus => State::ScramFirst { plus: true },
        };
        Exchange { state, nonce, secret, binding }
    }

    /// The challenge for a client that has not said anything yet.
    pub fn first_challenge(&self) -> &'static [u8] {
        match self.state {
            State::LoginUser => b"Username:",
            _ => b"",
        }
    }

    /// Takes the next response. `account` finds a user by the name that was given.
    pub fn respond(&mut self, response: &[u8], account: impl Fn(&str) -> Option<Account>) -> Verdict {
        let Ok(response) = std::str::from_utf8(response) else { return Verdict::Malformed };
        let verdict = match mem::replace(&mut self.state, State::Over) {
            State::Plain => self.plain(response, account),
            State::LoginUser => self.login_user(response),
            State::LoginPassword { user } => Some(self.check(user, response, account)),
            State::ScramFirst { plus } => self.scram_first(plus, response, account),
            State::ScramFinal(proof) => self.scram_final(*proof, response),
            State::ScramDone(user) => response.is_empty().then_some(Verdict::Admitted(user)),
            State::Over => None,
        };
        verdict.unwrap_or(Verdict::Malformed)
    }

    /// `[on behalf of] NUL user NUL password`; on behalf of others nobody speaks here.
    fn plain(&self, response: &str, account: impl Fn(&str) -> Option<Account>) -> Option<Verdict> {
        let mut parts = response.split('\0');
        let (behalf, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || user.is_empty() || password.is_empty() {
            return None;
        }
        if !behalf.is_empty() && behalf != user {
            return Some(Verdict::Refused { user: user.to_owned() });
        }
        Some(self.check(user.to_owned(), password, account))
    }

    fn login_user(&mut self, user: &str) -> Option<Verdict> {
        if user.is_empty() || user.contains('\0') {
            return None;
        }
        self.state = State::LoginPassword { user: user.to_owned() };
        Some(Verdict::Challenge(b"Password:".to_vec()))
    }

    fn check(&self, user: String, password: &str, account: impl Fn(&str) -> Option<Account>) -> Verdict {
        let nobody = Verifier::of_nobody(&self.secret, &user);
        let (account, verifier) = match account(&user) {
            Some(Account { user, verifier }) => (Some(user), verifier),
            None => (None, nobody),
        };
        Verdict::Check(Box::new(Check { user, password: password.to_owned(), account, verifier }))
    }

    /// `n,,n=user,r=nonce`
    fn scram_first(
        &mut self,
        plus: bool,
        first: &str,
        account: impl Fn(&str) -> Option<Account>,
    ) -> Option<Verdict> {
        let mut parts = first.splitn(3, ',');
        let (flag, behalf, bare) = (parts.next()?, parts.next()?, parts.next()?);
        let binding = match flag {
            "n" if !plus => None,
            // It could bind and believes that we cannot: somebody has changed our offer (§6).
            "y" if !plus && self.binding.is_none() => None,
            "p=tls-exporter" if plus => Some(self.binding.as_deref()?),
            _ => return None,
        };
        let [user, client_nonce] = scram::expect(bare, ['n', 'r'])?;
        let user = scram::unescape(user)?;
        let behalf = match behalf {
            // GNU SASL says so where it means nobody.
            "" | "a=" => user.clone(),
            behalf => scram::unescape(behalf.strip_prefix("a=")?)?,
        };
        if !scram::is_nonce(client_nonce) {
            return None;
        }
        let account = account(&user).filter(|_| behalf == user);
        // Made up in any case, so that a known user takes no less time.
        let nobody = Verifier::of_nobody(&self.secret, &user);
        let verifier = account.as_ref().map_or(nobody, |a| a.verifier.clone());
        let nonce = format!("{client_nonce}{}", self.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let header = &first[..first.len() - bare.len()];
        self.state = State::ScramFinal(Box::new(Proof {
            channel: scram::channel(header, binding),
            said: format!("{bare},{challenge}"),
            account: account.map(|a| a.user),
            user,
            verifier,
            nonce,
        }));
        Some(Verdict::Challenge(challenge.into_bytes()))
    }

    /// `c=channel,r=nonce,p=proof`
    fn scram_final(&mut self, proof: Proof, last: &str) -> Option<Verdict> {
        let (without_proof, signed) = last.rsplit_once(",p=")?;
        let [channel, nonce] = scram::expect(without_proof, ['c', 'r'])?;
        let signed: [u8; KEY_BYTES] = BASE64.decode(signed.as_bytes()).ok()?.try_into().ok()?;
        let said = format!("{},{without_proof}", proof.said);
        let client_key = scram::proof(&signed, &proof.verifier.stored_key, &said);
        let fits = same(&sha256(&client_key), &proof.verifier.stored_key);
        match proof.account {
            Some(user) if fits && channel == proof.channel && nonce == proof.nonce => {
                let signature = sign(&proof.verifier.server_key, said.as_bytes());
                self.state = State::ScramDone(user);
                Some(Verdict::Challenge(format!("v={}", BASE64.encode(&signature)).into_bytes()))
            }
            _ => Some(Verdict::Refused { user: proof.user }),
        }
    }
}
