//! The server's side of one connection (RFC 5321 §3, §4): bytes and time in, replies and actions out.
//! Exactly one reply for each command, in order, however the bytes are cut; nothing is accepted that the
//! [`Desk`] has not let in; a message counts only once the driver has given its answer.

mod commands;
#[cfg(test)]
mod dialogue;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{
    COMMAND_LINE_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_NAME_WAIT_S, RECIPIENTS_MAX, REPLIES_HELD_BYTES_MAX,
    SERVER_ANSWER_WAIT_S, SERVER_COMMAND_WAIT_S, SERVER_CONTENT_WAIT_S, SESSION_ERRORS_MAX,
    SESSION_REFUSED_RECIPIENTS_MAX,
};
use crate::mail::{Address, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::smtp::command::{Claimed, MailParameters};
use crate::smtp::data::Decoder;
use crate::smtp::line::LineBuffer;
use crate::smtp::outbox::Outbox;
use crate::smtp::reply::{Enhanced, Reply};
use crate::time::Instant;

/// What the house offers on this connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the domain that was reached: in the greeting and in the replies to EHLO, HELO and QUIT.
    pub name: Domain,
    /// Offered in SIZE; more is refused with 552.
    pub message_bytes_max: u64,
    /// More recipients of one message get 452.
    pub recipients_max: usize,
}

impl Settings {
    /// The bounds of `limits`.
    pub fn new(name: Domain) -> Self {
        Settings { name, message_bytes_max: MESSAGE_BYTES_MAX as u64, recipients_max: RECIPIENTS_MAX }
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub ip: IpAddr,
}

/// What is known of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    /// What it said in the last HELO or EHLO.
    pub claimed: Option<Claimed>,
    /// Its name in DNS, confirmed forward and back.
    pub verified: Option<Domain>,
    /// It said EHLO.
    pub extended: bool,
}

impl Client {
    /// `ESMTP` or `SMTP`, for the `with` clause of `Received:` (RFC 3848).
    pub fn protocol(&self) -> &'static str {
        if self.extended { "ESMTP" } else { "SMTP" }
    }

    /// The verified name, where the client claims another one than that.
    pub fn contradicting_name(&self) -> Option<&Domain> {
        let (claimed, verified) = (self.claimed.as_ref()?, self.verified.as_ref()?);
        let agrees = match claimed {
            Claimed::Name(name) => name == verified || name.as_literal() == Some(self.ip),
            Claimed::Text(_) => false,
        };
        (!agrees).then_some(verified)
    }
}

/// The house's decisions. All take `&self`: a refusal changes nothing.
pub trait Desk {
    /// Whether this client may send from `path`.
    fn mail(&self, client: &Client, path: &ReversePath, parameters: &MailParameters) -> Result<(), Reply>;
    /// Whether mail of `envelope`, which holds the recipients accepted so far, may go to `recipient` too.
    fn rcpt(&self, client: &Client, envelope: &Envelope, recipient: &Recipient) -> Result<(), Reply>;
    /// The reply to VRFY.
    fn vrfy(&self, client: &Client, text: &str) -> Reply;
    /// Whom `<postmaster>` without a domain means.
    fn complete(&self, user: LocalPart) -> Address;
}

/// What the driver is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look up the peer's name and call [`Session::resolved`]. Comes once, at the start; the reply to EHLO
    /// waits for it, at most 5 s.
    ResolvePeer,
    /// The client claims another name than its verified one. Worth a log line; never a reason to refuse.
    ClaimDiffers { claimed: String, verified: Domain },
    /// The content of a message begins to come, see [`Session::take_content`].
    DataStarts(Arc<Envelope>),
    /// The message is whole, `bytes` of it in all, the last of them in [`Session::take_content`]. Nothing
    /// more is taken from the client until [`Session::answer`].
    Message { envelope: Arc<Envelope>, bytes: u64 },
    /// The message that had begun will not come, or its answer comes too late: drop what there is of it.
    Aborted,
    /// Send what [`Session::output`] still holds, then close the connection.
    Close,
}

/// One connection, from the greeting to the end.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    client: Client,
    state: State,
    /// The name of the peer is being looked up.
    naming: bool,
    lines: LineBuffer<COMMAND_LINE_BYTES_MAX>,
    output: Outbox,
    actions: VecDeque<Action>,
    content: Vec<u8>,
    errors: usize,
    refused_recipients: usize,
    /// Close with 421 as soon as no message is on its way.
    stopping: bool,
    deadline: Instant,
}

#[derive(Debug)]
enum State {
    /// No transaction is open.
    Idle,
    /// HELO or EHLO was said and waits for the peer's name.
    Naming,
    /// A transaction is open.
    Mail(Envelope),
    Data(Reading),
    /// The message is with the driver.
    Answering,
    Closed,
}

/// A message on its way.
#[derive(Debug)]
struct Reading {
    envelope: Arc<Envelope>,
    decoder: Decoder,
    bytes: u64,
    /// Why it will be refused at its end.
    refusal: Option<Reply>,
}

impl Session {
    /// A connection that was accepted at `now`. The greeting is in the output, the first action waits.
    pub fn new(settings: Settings, peer: Peer, now: Instant) -> Self {
        let greeting = Reply::new(220, None, format!("{} ESMTP Stagepost", settings.name));
        let client = Client { ip: peer.ip, claimed: None, verified: None, extended: false };
        let mut session = Session {
            settings,
            client,
            state: State::Idle,
            naming: true,
            lines: LineBuffer::default(),
            output: Outbox::default(),
            actions: VecDeque::from([Action::ResolvePeer]),
            content: Vec::new(),
            errors: 0,
            refused_recipients: 0,
            stopping: false,
            deadline: now + Duration::from_secs(SERVER_COMMAND_WAIT_S),
        };
        greeting.write_to(session.output.end());
        session
    }

    /// Takes bytes from the client and returns how many were used. The rest is to be offered again after
    /// [`Session::answer`], [`Session::resolved`] or [`Session::sent`].
    pub fn input(&mut self, now: Instant, desk: &impl Desk, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.output.len() < REPLIES_HELD_BYTES_MAX {
            match &mut self.state {
                State::Closed => rest = &[],
                State::Naming | State::Answering => break,
                State::Data(_) => self.content_arrives(now, &mut rest),
                State::Idle | State::Mail(_) => self.line_arrives(now, desk, &mut rest),
            }
        }
        bytes.len() - rest.len()
    }

    /// What is to be sent to the client.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `n` bytes of the output are sent.
    pub fn sent(&mut self, n: usize) {
        self.output.sent(n);
    }

    /// What the driver is to do next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is known of the client; it changes with EHLO, HELO and [`Session::resolved`].
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The verified name of the peer, or that it has none. The answer to [`Action::ResolvePeer`].
    pub fn resolved(&mut self, now: Instant, verified: Option<Domain>) {
        if !std::mem::take(&mut self.naming) {
            return;
        }
        self.client.verified = verified;
        if let State::Naming = self.state {
            self.state = State::Idle;
            self.greet(now);
            self.stop_if_asked();
        }
    }

    /// Bytes of content that wait in [`Session::take_content`]; at most `message_bytes_max`.
    pub fn content_len(&self) -> usize {
        self.content.len()
    }

    /// The content that has come since the last call, dots taken off.
    pub fn take_content(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.content)
    }

    /// The outcome of the message of [`Action::Message`].
    pub fn answer(&mut self, now: Instant, reply: Reply) {
        if let State::Answering = self.state {
            self.state = State::Idle;
            self.content = Vec::new();
            self.reply(now, reply);
            self.stop_if_asked();
        }
    }

    /// When [`Session::timeout`] is to be called, unless something happens before.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Closed => Instant::NEVER,
            _ => self.deadline,
        }
    }

    /// The deadline has come; an earlier call does nothing.
    pub fn timeout(&mut self, now: Instant) {
        if now < self.deadline() {
            return;
        }
        match self.state {
            State::Naming => self.resolved(now, None),
            State::Answering => self.end(Reply::new(421, Enhanced(4, 3, 0), "The answer took too long")),
            _ => self.end(Reply::new(421, Enhanced(4, 4, 2), "Nothing came for too long")),
        }
    }

    /// Ends the connection with 421 4.3.2, at once or when the message on its way has its answer.
    pub fn shutdown(&mut self, _now: Instant) {
        self.stopping = true;
        self.stop_if_asked();
    }

    /// The client has closed the connection.
    pub fn closed(&mut self) {
        if !self.is_finished() {
            self.leave();
        }
    }

    /// Whether the session is over; what is left of the output may still be sent.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn stop_if_asked(&mut self) {
        if self.stopping && matches!(self.state, State::Idle | State::Mail(_)) {
            self.end(Reply::new(421, Enhanced(4, 3, 2), "The service is going down; come back later"));
        }
    }

    /// Queues the reply to a command and waits for the next one.
    fn reply(&mut self, now: Instant, reply: Reply) {
        reply.write_to(self.output.end());
        self.deadline = now + Duration::from_secs(SERVER_COMMAND_WAIT_S);
    }

    /// The last reply, then the end.
    fn end(&mut self, reply: Reply) {
        reply.write_to(self.output.end());
        self.leave();
    }

    fn leave(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        let lost = match state {
            State::Data(reading) => reading.refusal.is_none(),
            State::Answering => true,
            _ => false,
        };
        if lost {
            self.actions.push_back(Action::Aborted);
        }
        self.content = Vec::new();
        self.actions.push_back(Action::Close);
    }

    /// Takes content up to its end or to the end of `input`.
    fn content_arrives(&mut self, now: Instant, input: &mut &[u8]) {
        let State::Data(reading) = &mut self.state else { return };
        self.deadline = now + Duration::from_secs(SERVER_CONTENT_WAIT_S);
        let before = self.content.len();
        let ended = reading.decoder.decode(input, &mut self.content);
        reading.bytes += (self.content.len() - before) as u64;
        if reading.refusal.is_none() {
            reading.refusal = reading.fault(self.settings.message_bytes_max);
            if reading.refusal.is_some() {
                self.actions.push_back(Action::Aborted);
            }
        }
        if reading.refusal.is_some() {
            self.content = Vec::new();
        }
        if ended {
            self.content_ended(now);
        }
    }

    fn content_ended(&mut self, now: Instant) {
        let State::Data(reading) = std::mem::replace(&mut self.state, State::Answering) else { return };
        match reading.refusal {
            Some(refusal) => {
                self.state = State::Idle;
                self.reply(now, refusal);
                self.stop_if_asked();
            }
            None => {
                let Reading { envelope, bytes, .. } = reading;
                self.deadline = now + Duration::from_secs(SERVER_ANSWER_WAIT_S);
                self.actions.push_back(Action::Message { envelope, bytes });
            }
        }
    }
}

impl Reading {
    fn new(envelope: Arc<Envelope>) -> Self {
        Reading { envelope, decoder: Decoder::default(), bytes: 0, refusal: None }
    }

    fn fault(&self, bytes_max: u64) -> Option<Reply> {
        if let Some(fault) = self.decoder.fault() {
            return Some(Reply::new(550, Enhanced(5, 6, 0), format!("Refused: {fault}")));
        }
        let over = self.bytes > bytes_max;
        over.then(|| Reply::new(552, Enhanced(5, 3, 4), format!("Refused: larger than {bytes_max} bytes")))
    }
}
