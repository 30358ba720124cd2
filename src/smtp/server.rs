//! The server's side of one connection (RFC 5321 §3, §4): bytes and time in, replies and actions out.
//! Exactly one reply for each command, in order, however the bytes are cut; nothing is accepted that the
//! [`Desk`] has not let in; a message counts only once the driver has given its answer.

mod commands;
mod content;
#[cfg(test)]
mod dialogue;
mod security;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use content::{Incoming, Undotting};

use crate::limits::{
    COMMAND_LINE_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_NAME_WAIT_S, RECIPIENTS_MAX, REPLIES_HELD_BYTES_MAX,
    SERVER_COMMAND_WAIT_S, SERVER_LAST_WORDS_WAIT_S, SERVER_SESSION_S_MAX,
};
use crate::mail::{Address, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::smtp::command::{Claimed, MailParameters};
use crate::smtp::data::Checker;
use crate::smtp::line::LineBuffer;
use crate::smtp::outbox::Outbox;
use crate::smtp::reply::{Enhanced, Reply};
use crate::smtp::sasl::{Account, Check, Exchange};
use crate::time::Instant;

/// What the house offers on this connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the domain that was reached: in the greeting and in the replies to EHLO, HELO and QUIT.
    pub name: Domain,
    /// Offered in SIZE; more is refused with 552.
    pub message_bytes_max: u64,
    /// Offered in LIMITS; more recipients of one message get 452.
    pub recipients_max: usize,
    /// Offer SMTPUTF8: the house behind this session can carry such mail on.
    pub smtputf8: bool,
    /// Offer STARTTLS as long as the connection is in the clear.
    pub starttls: bool,
    /// The client is an old device that the operator has named: what it gets wrong is mended, not refused.
    pub tolerant: bool,
    /// Offer AUTH.
    pub auth: Option<AuthOffer>,
}

/// What the session needs to offer AUTH.
#[derive(Clone)]
pub struct AuthOffer {
    /// Drawn for this session; what the client is asked to sign comes out of it.
    pub nonce: [u8; 32],
    /// The house's own, the same in all sessions: makes up what unknown users seem to have.
    pub secret: [u8; 32],
    /// Offer it without TLS too.
    pub in_the_clear: bool,
    /// Not all users are known at the moment: no user is refused for good.
    pub lacks_users: bool,
}

/// Secrets do not belong into logs.
impl fmt::Debug for AuthOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthOffer(..)")
    }
}

impl Settings {
    /// The bounds of `limits`, and no extension that needs more than a session.
    pub fn new(name: Domain) -> Self {
        Settings {
            name,
            message_bytes_max: MESSAGE_BYTES_MAX as u64,
            recipients_max: RECIPIENTS_MAX,
            smtputf8: false,
            starttls: false,
            tolerant: false,
            auth: None,
        }
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
    /// What the connection runs under, once it does.
    pub tls: Option<Tls>,
    /// Who it has proved to be, with AUTH.
    pub user: Option<Address>,
}

/// The TLS of a connection, for `Received:` and the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// As `TLSv1.3`.
    pub version: String,
    /// The cipher suite's registered name.
    pub cipher: String,
    /// What `tls-exporter` gives (RFC 9266), for SCRAM-SHA-256-PLUS.
    pub binding: Option<Vec<u8>>,
}

impl Client {
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
    /// Whether this client may try to authenticate now.
    fn may_authenticate(&self, _now: Instant, _client: &Client) -> Result<(), Reply> {
        Ok(())
    }
    /// The account of a user who authenticates; asked only where AUTH is offered. Nobody by default.
    fn account(&self, _client: &Client, _name: &str) -> Option<Account> {
        None
    }
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
    /// The message is whole, `bytes` of it in all, the last of them in [`Session::take_content`]; with
    /// `eight_bit` some are beyond ASCII, whatever the envelope says. Nothing more is taken from the client
    /// until [`Session::answer`].
    Message { envelope: Arc<Envelope>, bytes: u64, eight_bit: bool },
    /// The message that had begun will not come, or its answer comes too late: drop what there is of it.
    Aborted,
    /// A command or a message was refused for good with `reply`; worth a log line. `line` is what came, cut
    /// and printable. The session's bounds on errors hold for these too.
    Refused { line: String, reply: Reply },
    /// Send the output, then do the TLS handshake with what comes next from the socket, then call
    /// [`Session::tls_started`]. Whatever was read before goes to [`Session::input`], which drops it.
    StartTls,
    /// Run this, which is slow, and hand its verdict to [`Session::checked`].
    CheckPassword(Box<Check>),
    /// AUTH failed for this name, as it was said; worth a log line and a count. The reply waits for some
    /// seconds, or longer where [`Session::penalize`] says so.
    AuthFailed { user: String },
    /// The client has proved to be this user.
    Authenticated(Address),
    /// The client speaks TLS to a port that begins in the clear; it gets no reply.
    SpeaksTls,
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
    /// A chunk that nobody wanted has been counted as an error; those behind it are not.
    chunks_skipped: bool,
    auth_failures: usize,
    /// Exchanges of AUTH so far; no two have one nonce.
    auth_turns: u64,
    /// When the whole session is over at the latest.
    last_moment: Instant,
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
    /// Content comes, up to the final dot.
    Data(Incoming, Undotting),
    /// Content comes, up to the end of a chunk.
    Chunk {
        message: Incoming,
        checker: Checker,
        left: u64,
        last: bool,
    },
    /// A chunk has ended and another one is to come.
    Chunks(Incoming, Checker),
    /// A chunk that nobody wants goes by; then comes the reply, and things are as they were.
    Skip {
        left: u64,
        reply: Reply,
        back: Box<State>,
    },
    /// 220 was said to STARTTLS; what comes in the clear is dropped.
    Handshake,
    /// AUTH was said; lines are responses.
    Auth(Box<Exchange>),
    /// A password is being checked.
    Checking,
    /// AUTH failed, and the reply waits.
    Penalty(Reply),
    /// The message is with the driver.
    Answering,
    Closed,
}

impl Session {
    /// A connection that was accepted at `now`. The greeting is in the output, the first action waits.
    pub fn new(settings: Settings, peer: Peer, now: Instant) -> Self {
        let greeting = Reply::new(220, None, format!("{} ESMTP Stagepost", settings.name));
        let client =
            Client { ip: peer.ip, claimed: None, verified: None, extended: false, tls: None, user: None };
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
            chunks_skipped: false,
            auth_failures: 0,
            auth_turns: 0,
            last_moment: now + Duration::from_secs(SERVER_SESSION_S_MAX),
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
                State::Closed | State::Handshake => rest = &[],
                State::Naming | State::Answering | State::Checking | State::Penalty(_) => break,
                State::Auth(_) => self.response_arrives(now, desk, &mut rest),
                State::Data(..) | State::Chunk { .. } | State::Skip { .. } => {
                    self.content_arrives(now, &mut rest);
                }
                State::Idle | State::Mail(_) | State::Chunks(..) => self.line_arrives(now, desk, &mut rest),
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
            self.stop_if_asked(now);
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
            self.stop_if_asked(now);
        }
    }

    /// When [`Session::timeout`] is to be called, unless something happens before. Of a session that is over:
    /// until when its last words may take.
    pub fn deadline(&self) -> Instant {
        let pace = match &self.state {
            State::Closed => return self.deadline,
            State::Data(message, _) | State::Chunk { message, .. } | State::Chunks(message, _) => {
                message.pace.looked_at()
            }
            _ => Instant::NEVER,
        };
        self.deadline.min(self.last_moment).min(pace)
    }

    /// The deadline has come; an earlier call does nothing.
    pub fn timeout(&mut self, now: Instant) {
        if self.is_finished() || now < self.deadline() {
            return;
        }
        if let State::Handshake = self.state {
            return self.leave();
        }
        let told = |text| Reply::new(421, Enhanced(4, 4, 2), text);
        match self.state {
            _ if now >= self.last_moment => self.end(now, told("The session has lasted too long")),
            State::Naming => self.resolved(now, None),
            State::Penalty(_) => self.penalty_over(now),
            State::Checking => self.not_checked(now),
            State::Answering => self.end(now, Reply::new(421, Enhanced(4, 3, 0), "The answer took too long")),
            _ if now >= self.deadline => self.end(now, told("Nothing came for too long")),
            _ => self.look_at_pace(now),
        }
    }

    /// Ends the connection with 421 4.3.2, at once or when the message on its way has its answer.
    pub fn shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.stop_if_asked(now);
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

    fn stop_if_asked(&mut self, now: Instant) {
        if self.stopping
            && matches!(self.state, State::Idle | State::Mail(_) | State::Chunks(..) | State::Auth(_))
        {
            self.end(now, Reply::new(421, Enhanced(4, 3, 2), "The service is going down; come back later"));
        }
    }

    /// Queues the reply to a command and waits for the next one.
    fn reply(&mut self, now: Instant, reply: Reply) {
        reply.write_to(self.output.end());
        self.deadline = now + Duration::from_secs(SERVER_COMMAND_WAIT_S);
    }

    /// The last reply, then the end; a client that does not read it has no more than a moment.
    fn end(&mut self, now: Instant, reply: Reply) {
        reply.write_to(self.output.end());
        self.leave();
        self.deadline = now + Duration::from_secs(SERVER_LAST_WORDS_WAIT_S);
    }

    fn leave(&mut self) {
        self.drop_transaction();
        self.state = State::Closed;
        self.actions.push_back(Action::Close);
    }

    /// Forgets the transaction; the driver hears of it when it has some of the content.
    fn drop_transaction(&mut self) {
        self.content = Vec::new();
        let lost = match std::mem::replace(&mut self.state, State::Idle) {
            State::Data(message, _) | State::Chunk { message, .. } | State::Chunks(message, _) => {
                !message.is_refused()
            }
            State::Answering => true,
            _ => false,
        };
        if lost {
            self.actions.push_back(Action::Aborted);
        }
    }
}
