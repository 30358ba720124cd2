//! STARTTLS (RFC 3207): the session begins anew under TLS, knowing nothing that was said in the clear.
//! What a stranger wrote into the clear stream must never be taken for a command of the client.

use super::*;
use crate::limits::TLS_HANDSHAKE_WAIT_S;

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
        self.deadline = now + Duration::from_secs(SERVER_COMMAND_WAIT_S);
        self.stop_if_asked();
    }
}
