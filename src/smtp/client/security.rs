//! STARTTLS (RFC 3207) and AUTH (RFC 4954) of the client: what was offered in the clear is forgotten under
//! TLS, and nothing that a stranger slips in before the handshake is heard. Passwords stay out of transcripts.

use data_encoding::BASE64;

use super::*;
use crate::limits::TLS_HANDSHAKE_WAIT_S;
use crate::smtp::sasl::{Credentials, Login, Mechanism, Salted, Step};

/// What the transcript shows of a line that may hold a password.
const SECRET: &str = "(secret)";

impl Session {
    /// The connection is under TLS from its first byte (RFC 8314 §3.3).
    pub fn secured(mut self) -> Self {
        self.under_tls = true;
        self
    }

    /// Says STARTTLS; only after [`Event::Ready`] and where it is offered, else nothing happens.
    pub fn start_tls(&mut self, now: Instant) {
        if self.is_ready() && self.extensions.starttls && !self.dirty {
            self.state = State::Securing;
            self.say(now, Due::StartTls, "STARTTLS");
        }
    }

    /// The handshake of [`Event::StartTls`] is done: EHLO is said anew, and what was offered in the clear is
    /// forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self, now: Instant) {
        if let State::Handshake = self.state {
            self.under_tls = true;
            self.extensions = Extensions::default();
            self.state = State::Opening;
            self.say_ehlo(now);
        }
    }

    /// Says who we are, with the best mechanism that both know; only after [`Event::Ready`], else nothing
    /// happens. [`Event::Authenticated`] or [`Event::AuthRefused`] follows. `nonce` is drawn for this call:
    /// printable, without commas.
    pub fn authenticate(&mut self, now: Instant, credentials: &Credentials, nonce: String) {
        if !self.is_ready() || self.dirty {
            return;
        }
        let known = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
        let mechanism = known.into_iter().find(|m| self.extensions.auth.contains(m));
        let login = mechanism.and_then(|m| Some((m, Login::new(m, credentials.clone(), nonce)?)));
        let Some((mechanism, mut login)) = login else {
            let text = "The next host offers no way to authenticate that we know";
            return self.events.push_back(Event::AuthRefused(Reply::new(504, Enhanced(5, 7, 4), text)));
        };
        let initial = login.initial().map(|response| format!(" {}", BASE64.encode(&response)));
        let shown = format!("AUTH {mechanism}{}", initial.as_ref().map_or("", |_| " (secret)"));
        self.state = State::Authenticating(login);
        let line = format!("AUTH {mechanism}{}", initial.unwrap_or_default());
        self.say_as(now, Due::Auth, &line, &shown);
    }

    pub(super) fn auth_replied(&mut self, now: Instant, reply: Reply) {
        let State::Authenticating(login) = &mut self.state else { return };
        if reply.code() == 235 {
            if !login.is_done() {
                return self.break_off("the server let us in without proving itself".to_owned());
            }
            self.state = State::Ready;
            self.events.push_back(Event::Authenticated);
        } else if reply.code() == 334 {
            let challenge = BASE64.decode(reply.text().as_bytes()).map_err(|_| "the challenge is no base64");
            match challenge.and_then(|challenge| login.respond(&challenge)) {
                Ok(Step::Say(response)) => self.respond(now, &response),
                Ok(Step::Derive(derivation)) => {
                    self.wait(now, Due::Auth.wait_s());
                    self.events.push_back(Event::Derive(derivation));
                }
                Err(reason) => self.break_off(reason.to_owned()),
            }
        } else if reply.is_transient() || reply.is_permanent() {
            self.state = State::Ready;
            self.events.push_back(Event::AuthRefused(reply));
        } else {
            self.break_off(format!("{} is no reply to AUTH", reply.code()));
        }
    }

    /// The result of [`Event::Derive`].
    pub fn derived(&mut self, now: Instant, salted: Salted) {
        let State::Authenticating(login) = &mut self.state else { return };
        if let Some(response) = login.derived(salted) {
            self.respond(now, &response);
        }
    }

    fn respond(&mut self, now: Instant, response: &[u8]) {
        self.say_as(now, Due::Auth, &BASE64.encode(response), SECRET);
    }

    pub(super) fn start_tls_replied(&mut self, now: Instant, reply: Reply) {
        if reply.code() == 220 {
            self.state = State::Handshake;
            self.wait(now, TLS_HANDSHAKE_WAIT_S);
            self.events.push_back(Event::StartTls);
        } else if reply.is_transient() || reply.is_permanent() {
            self.state = State::Ready;
            self.events.push_back(Event::TlsRefused(reply));
        } else {
            self.break_off(format!("{} is no reply to STARTTLS", reply.code()));
        }
    }
}
