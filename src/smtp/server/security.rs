//! STARTTLS (RFC 3207): the session begins anew under TLS, knowing nothing that was said in the clear; what
//! a stranger wrote into the clear stream must never be taken for a command of the client. AUTH (RFC 4954):
//! who guesses waits longer each time, and is sent away soon. Passwords are checked by the driver, because
//! that takes long on purpose.

use data_encoding::{BASE64, BASE64_NOPAD};
use ring::hmac;

use super::*;
use crate::limits::{AUTH_CHECK_WAIT_S, AUTH_FAILURES_MAX, AUTH_PENALTY_S, TLS_HANDSHAKE_WAIT_S};
use crate::smtp::sasl::{Mechanism, Verdict};

/// How much of a name that failed is told.
const AUTH_USER_CHARS_SHOWN: usize = 100;
const BAD_BASE64: &str = "This is no base64";

impl Session {
    /// STARTTLS: the reply, and then nothing until the handshake is done.
    pub(super) fn start_tls(&mut self, now: Instant) -> Result<(), Reply> {
        if self.client.tls.is_some() {
            return Err(Reply::new(503, Enhanced(5, 5, 1), "TLS is on already"));
        }
        if !self.settings.starttls {
            return Err(Reply::new(502, Enhanced(5, 5, 1), "STARTTLS is not offered"));
        }
        self.drop_transaction();
        self.reply(now, Reply::new(220, Enhanced(2, 0, 0), "Go ahead with TLS"));
        self.deadline = now + Duration::from_secs(TLS_HANDSHAKE_WAIT_S);
        self.state = State::Handshake;
        self.actions.push_back(Action::StartTls);
        Ok(())
    }

    /// The connection runs under TLS from here on: after [`Action::StartTls`], or before anything was read
    /// where TLS comes first (RFC 8314).
    pub fn tls_started(&mut self, now: Instant, tls: Tls) {
        match self.state {
            State::Handshake => self.state = State::Idle,
            State::Idle if self.client.claimed.is_none() => {}
            _ => return,
        }
        self.lines = LineBuffer::default();
        self.client.claimed = None;
        self.client.extended = false;
        self.client.tls = Some(tls);
        self.client.user = None;
        self.deadline = now + Duration::from_secs(SERVER_COMMAND_WAIT_S);
        self.stop_if_asked(now);
    }

    /// The mechanisms that are offered as things stand.
    pub(super) fn mechanisms(&self) -> Vec<Mechanism> {
        let Some(offer) = &self.settings.auth else { return Vec::new() };
        if self.client.tls.is_none() && !offer.in_the_clear {
            return Vec::new();
        }
        let bound = self.client.tls.as_ref().is_some_and(|tls| tls.binding.is_some());
        Mechanism::ALL.into_iter().filter(|m| bound || *m != Mechanism::ScramSha256Plus).collect()
    }

    /// AUTH: its first challenge, or what follows from the initial response.
    pub(super) fn auth(
        &mut self,
        now: Instant,
        desk: &impl Desk,
        mechanism: &str,
        initial: Option<&str>,
    ) -> Result<(), Reply> {
        let mechanism = self.check_auth(mechanism)?;
        desk.may_authenticate(now, &self.client)?;
        if mechanism == Mechanism::Login && initial.is_some() && !self.settings.tolerant {
            return Err(Reply::new(501, Enhanced(5, 5, 4), "AUTH LOGIN takes no initial response"));
        }
        let mut exchange = self.exchange(mechanism);
        let response = match initial {
            None => {
                let challenge = BASE64.encode(exchange.first_challenge());
                self.state = State::Auth(Box::new(exchange));
                self.reply(now, Reply::new(334, None, challenge));
                return Ok(());
            }
            Some("=") => Vec::new(),
            Some(text) => match BASE64.decode(text.as_bytes()) {
                Ok(response) => response,
                Err(_) => return Err(Reply::new(501, Enhanced(5, 5, 2), BAD_BASE64)),
            },
        };
        let verdict = exchange.respond(&response, |name| desk.account(&self.client, name));
        self.judge(now, exchange, verdict);
        Ok(())
    }

    /// Whether AUTH may be said now, and with this mechanism.
    fn check_auth(&self, mechanism: &str) -> Result<Mechanism, Reply> {
        let refuse = |code, enhanced, text| Err(Reply::new(code, enhanced, text));
        let mechanisms = self.mechanisms();
        if self.settings.auth.is_none() {
            return refuse(502, Enhanced(5, 5, 1), "AUTH is not offered");
        }
        if mechanisms.is_empty() {
            return refuse(538, Enhanced(5, 7, 11), "Say STARTTLS first");
        }
        if !self.client.extended {
            return refuse(503, Enhanced(5, 5, 1), "Say EHLO first");
        }
        if self.client.user.is_some() {
            return refuse(503, Enhanced(5, 5, 1), "You are authenticated already");
        }
        if !matches!(self.state, State::Idle) {
            return refuse(503, Enhanced(5, 5, 1), "A transaction is open");
        }
        match Mechanism::parse(mechanism).filter(|m| mechanisms.contains(m)) {
            Some(mechanism) => Ok(mechanism),
            None => refuse(504, Enhanced(5, 5, 4), "There is no such mechanism here"),
        }
    }

    fn exchange(&mut self, mechanism: Mechanism) -> Exchange {
        let (nonce, secret) =
            self.settings.auth.as_ref().map_or(([0; 32], [0; 32]), |offer| (offer.nonce, offer.secret));
        self.auth_turns += 1;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &nonce);
        let drawn = hmac::sign(&key, &self.auth_turns.to_be_bytes());
        let binding = self.client.tls.as_ref().and_then(|tls| tls.binding.clone());
        Exchange::new(mechanism, BASE64_NOPAD.encode(&drawn.as_ref()[..18]), secret, binding)
    }

    /// A line while AUTH is going on.
    pub(super) fn response_arrives(&mut self, now: Instant, desk: &impl Desk, input: &mut &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        let next = match self.settings.tolerant {
            true => lines.next_mended(input),
            false => lines.next(input),
        };
        if let Some(line) = next
            && let State::Auth(mut exchange) = std::mem::replace(&mut self.state, State::Idle)
        {
            match line.map(|line| (line, BASE64.decode(line))) {
                Ok((b"*", _)) => self.fail_auth(now, Reply::new(501, Enhanced(5, 7, 0), "AUTH is cancelled")),
                Ok((_, Ok(response))) => {
                    let verdict = exchange.respond(&response, |name| desk.account(&self.client, name));
                    self.judge(now, *exchange, verdict);
                }
                Ok((_, Err(_))) => self.fail_auth(now, Reply::new(501, Enhanced(5, 5, 2), BAD_BASE64)),
                Err(fault) => {
                    self.fail_auth(now, Reply::new(500, Enhanced(5, 5, 2), format!("Refused: {fault}")));
                }
            }
        }
        self.lines = lines;
    }

    /// The line is not shown: it may hold a password.
    fn fail_auth(&mut self, now: Instant, reply: Reply) {
        self.refuse(now, b"(a response to AUTH)", reply);
    }

    fn judge(&mut self, now: Instant, exchange: Exchange, verdict: Verdict) {
        match verdict {
            Verdict::Challenge(challenge) => {
                self.state = State::Auth(Box::new(exchange));
                self.reply(now, Reply::new(334, None, BASE64.encode(&challenge)));
            }
            Verdict::Check(check) => {
                self.state = State::Checking;
                self.deadline = now + Duration::from_secs(AUTH_CHECK_WAIT_S);
                self.actions.push_back(Action::CheckPassword(check));
            }
            verdict => self.conclude(now, verdict),
        }
    }

    /// The verdict on the password of [`Action::CheckPassword`]; `None` when it could not be checked.
    pub fn checked(&mut self, now: Instant, verdict: Option<Verdict>) {
        if let State::Checking = self.state {
            self.state = State::Idle;
            match verdict {
                Some(verdict) => self.conclude(now, verdict),
                None => self.not_checked(now),
            }
            self.stop_if_asked(now);
        }
    }

    /// There was no time to look at the password.
    pub(super) fn not_checked(&mut self, now: Instant) {
        self.state = State::Idle;
        self.reply(now, Reply::new(454, Enhanced(4, 7, 0), "Too many want to authenticate; try again later"));
    }

    /// The reply to the AUTH that has just failed waits at least so long.
    pub fn penalize(&mut self, now: Instant, wait: Duration) {
        if let State::Penalty(_) = self.state {
            self.deadline = self.deadline.max(now + wait);
        }
    }

    fn conclude(&mut self, now: Instant, verdict: Verdict) {
        match verdict {
            Verdict::Admitted(user) => {
                self.actions.push_back(Action::Authenticated(user.clone()));
                self.client.user = Some(user);
                self.reply(now, Reply::new(235, Enhanced(2, 7, 0), "Welcome"));
            }
            Verdict::Malformed | Verdict::Challenge(_) | Verdict::Check(_) => {
                let text = "This is no response of the mechanism";
                self.fail_auth(now, Reply::new(501, Enhanced(5, 5, 2), text));
            }
            Verdict::Refused { user } => {
                self.auth_failures += 1;
                let user = user.chars().filter(|c| !c.is_control()).take(AUTH_USER_CHARS_SHOWN).collect();
                self.actions.push_back(Action::AuthFailed { user });
                let penalty = AUTH_PENALTY_S * self.auth_failures as u64;
                let reply = match self.settings.auth.as_ref().is_some_and(|offer| offer.lacks_users) {
                    true => Reply::new(454, Enhanced(4, 7, 0), "Not a user at the moment; try again later"),
                    false => Reply::new(535, Enhanced(5, 7, 8), "No such user, or not the password"),
                };
                self.state = State::Penalty(reply);
                self.deadline = now + Duration::from_secs(penalty);
            }
        }
    }

    /// The reply to a failed AUTH has waited long enough.
    pub(super) fn penalty_over(&mut self, now: Instant) {
        if let State::Penalty(reply) = std::mem::replace(&mut self.state, State::Idle) {
            if self.auth_failures >= AUTH_FAILURES_MAX {
                return self.end(now, Reply::new(421, Enhanced(4, 7, 0), "Too many failures; good bye"));
            }
            self.reply(now, reply);
            self.stop_if_asked(now);
        }
    }
}
