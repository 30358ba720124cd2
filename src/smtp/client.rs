//! The client's side of one connection (RFC 5321 §3, §4): several transactions, one after another.
//! A reply that is missing, malformed or not due ends the connection with the reason; recipients without a
//! final reply are deferred then, never lost and never taken for delivered.

#[cfg(test)]
mod dialogue;
mod extensions;
mod security;
#[cfg(test)]
mod tests;
mod transaction;
mod transcript;

use std::collections::VecDeque;
use std::time::Duration;

pub use extensions::{Extensions, Limits};
pub use transaction::{Outcome, Refusal};
use transaction::{Phase, Transaction};
use transcript::Transcript;
pub use transcript::TranscriptLine;

use crate::limits::{
    CLIENT_CONTENT_WAIT_S, CLIENT_DATA_WAIT_S, CLIENT_FINAL_WAIT_S, CLIENT_QUIT_WAIT_S, CLIENT_REPLY_WAIT_S,
    CLIENT_TRANSACTION_S_MAX,
};
use crate::mail::{Domain, Envelope};
use crate::smtp::outbox::Outbox;
use crate::smtp::reply::{Enhanced, Reply, ReplyReader};
use crate::smtp::sasl::{Derivation, Login};
use crate::time::Instant;

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has greeted us; call [`Session::start`] or [`Session::quit`].
    Ready,
    /// Do the TLS handshake, then call [`Session::tls_started`]. When it fails, drop the session.
    StartTls,
    /// The server did not want STARTTLS after all. The session is ready, in the clear.
    TlsRefused(Reply),
    /// Run this, which is slow, and hand its result to [`Session::derived`].
    Derive(Derivation),
    /// The server knows us. The session is ready.
    Authenticated,
    /// The server does not know us, or offers no mechanism that we know. The session is ready.
    AuthRefused(Reply),
    /// Hand in the content: [`Session::content`], then [`Session::end_of_content`].
    SendContent,
    /// The transaction is over. Unless [`Event::Broken`] or [`Event::Closed`] follows, the next may start.
    Finished(Outcome),
    /// The server does not want to talk: its greeting, or its reply to EHLO or HELO.
    Refused(Reply),
    /// The connection is of no use any more, and why. Close it.
    Broken(String),
    /// The conversation is over in good order. Close the connection.
    Closed,
}

/// One connection, from the greeting to the end.
#[derive(Debug)]
pub struct Session {
    ehlo: Domain,
    state: State,
    /// Replies that are due, and the commands they answer.
    due: VecDeque<(Due, String)>,
    extensions: Extensions,
    replies: ReplyReader,
    output: Outbox,
    events: VecDeque<Event>,
    transcript: Transcript,
    /// The server may still hold a transaction that did not come to its end.
    dirty: bool,
    under_tls: bool,
    /// Transactions that the server still takes on this connection, where it said so.
    mails_left: Option<usize>,
    deadline: Instant,
    /// When the transaction is over at the latest.
    last_moment: Instant,
}

#[derive(Debug)]
enum State {
    /// Greeting, EHLO, HELO.
    Opening,
    Ready,
    /// STARTTLS was said.
    Securing,
    /// The server agreed to TLS; nothing in the clear may follow.
    Handshake,
    /// AUTH was said.
    Authenticating(Login),
    Transaction(Transaction),
    Quitting,
    Closed,
}

/// What a reply is due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Rset,
    Mail,
    /// The index of the recipient.
    Rcpt(usize),
    Data,
    Final,
    Quit,
}

impl Due {
    fn name(self) -> &'static str {
        match self {
            Due::Greeting => "a new connection",
            Due::Ehlo => "EHLO",
            Due::Helo => "HELO",
            Due::StartTls => "STARTTLS",
            Due::Auth => "AUTH",
            Due::Rset => "RSET",
            Due::Mail => "MAIL",
            Due::Rcpt(_) => "RCPT",
            Due::Data => "DATA",
            Due::Final => "the end of the message",
            Due::Quit => "QUIT",
        }
    }

    fn wait_s(self) -> u64 {
        match self {
            Due::Data => CLIENT_DATA_WAIT_S,
            Due::Final => CLIENT_FINAL_WAIT_S,
            Due::Quit => CLIENT_QUIT_WAIT_S,
            _ => CLIENT_REPLY_WAIT_S,
        }
    }
}

impl Session {
    /// A connection that was made at `now`, on which we are `ehlo`.
    pub fn new(ehlo: Domain, now: Instant) -> Self {
        let mut session = Session {
            ehlo,
            state: State::Opening,
            due: VecDeque::from([(Due::Greeting, String::new())]),
            extensions: Extensions::default(),
            replies: ReplyReader::default(),
            output: Outbox::default(),
            events: VecDeque::new(),
            transcript: Transcript::default(),
            dirty: false,
            under_tls: false,
            mails_left: None,
            deadline: now,
            last_moment: Instant::NEVER,
        };
        session.wait(now, Due::Greeting.wait_s());
        session
    }

    /// From now on every line is recorded for [`Session::take_transcript`].
    pub fn record_transcript(&mut self) {
        self.transcript.record();
    }

    /// The lines since the last call: each command right before its reply.
    pub fn take_transcript(&mut self) -> Vec<TranscriptLine> {
        self.transcript.take()
    }

    /// Takes all of `bytes` from the server.
    pub fn input(&mut self, now: Instant, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.is_finished() {
            if let State::Handshake = self.state {
                // Someone put words into the server's mouth, to be taken as said under TLS.
                if !rest.is_empty() || !self.replies.is_empty() {
                    self.break_off("the server went on in the clear after its reply to STARTTLS".to_owned());
                }
                return;
            }
            match self.replies.next(&mut rest) {
                Ok(Some(reply)) => self.replied(now, reply),
                Ok(None) => return,
                Err(fault) => self.break_off(fault.to_string()),
            }
        }
    }

    /// What is to be sent to the server.
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `n` bytes of the output are sent.
    pub fn sent(&mut self, n: usize) {
        self.output.sent(n);
    }

    /// What happened next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What the server offers; nothing before [`Event::Ready`] and nothing after HELO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Whether [`Session::start`] may be called.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Begins a transaction. `size` is the length of the content in bytes. What the server cannot take for
    /// lack of an extension is finished at once, and nothing is said. When the session is not ready, the
    /// outcome is a deferral.
    pub fn start(&mut self, now: Instant, envelope: &Envelope, size: u64) {
        let transaction = Transaction::new(envelope, size, &self.extensions);
        let (nobody, domains) = (transaction.nobody(), transaction.domains_named());
        if !self.is_ready() {
            let busy = Reply::new(451, Enhanced(4, 4, 2), "the connection takes no more mail");
            let outcome = transaction.outcome(Err(Refusal::Found(busy)));
            return self.events.push_back(Event::Finished(outcome));
        }
        self.state = State::Transaction(transaction);
        if let Some(refusal) = self.obstacle(envelope, size).map(Refusal::Found).or(nobody) {
            return self.finish(Err(refusal));
        }
        self.mails_left = self.mails_left.map(|left| left.saturating_sub(1));
        // The bound is that of a session (RFC 9422 §4.3); a domain that comes again is counted again.
        if let Some(left) = &mut self.extensions.limits.rcpt_domain_max {
            match left.saturating_sub(domains) {
                0 => self.mails_left = Some(0),
                rest => *left = rest,
            }
        }
        self.last_moment = now + Duration::from_secs(CLIENT_TRANSACTION_S_MAX);
        let reset = std::mem::replace(&mut self.dirty, true);
        self.begin_commands(now, reset);
    }

    /// A piece of the content, of any size; only after [`Event::SendContent`]. It waits in the output: keep
    /// that short by sending it before the next piece.
    pub fn content(&mut self, now: Instant, piece: &[u8]) {
        let State::Transaction(transaction) = &mut self.state else { return };
        let Phase::Content { encoder, bytes } = &mut transaction.phase else { return };
        encoder.encode(piece, self.output.end());
        *bytes += piece.len() as u64;
        self.wait(now, CLIENT_CONTENT_WAIT_S);
    }

    /// The content is whole. The final dot goes right behind its last bytes.
    pub fn end_of_content(&mut self, now: Instant) {
        let State::Transaction(transaction) = &mut self.state else { return };
        match std::mem::replace(&mut transaction.phase, Phase::Final) {
            Phase::Content { encoder, bytes } => {
                encoder.finish(self.output.end());
                self.transcript.add(TranscriptLine::Content { bytes });
                self.expect(now, Due::Final, ".");
            }
            other => transaction.phase = other,
        }
    }

    /// Says QUIT; a transaction that is open is given up, its recipients are deferred.
    pub fn quit(&mut self, now: Instant) {
        if matches!(self.state, State::Quitting | State::Closed) {
            return;
        }
        if !self.due.is_empty() || matches!(self.state, State::Transaction(_) | State::Handshake) {
            return self.break_off("given up before the end".to_owned());
        }
        self.state = State::Quitting;
        self.say(now, Due::Quit, "QUIT");
    }

    /// When [`Session::timeout`] is to be called; never while the connection waits for [`Session::start`].
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Ready | State::Closed => Instant::NEVER,
            State::Transaction(_) => self.deadline.min(self.last_moment),
            _ => self.deadline,
        }
    }

    /// The deadline has come; an earlier call does nothing.
    pub fn timeout(&mut self, now: Instant) {
        if now < self.deadline() {
            return;
        }
        let what = self.due.front().map_or("the message", |(due, _)| due.name());
        let text = match self.due.is_empty() {
            _ if matches!(self.state, State::Handshake) => "the TLS handshake takes too long".to_owned(),
            _ if now < self.deadline => "the transaction takes too long".to_owned(),
            true => "the server takes no more of the message".to_owned(),
            false => format!("no reply to {what} in time"),
        };
        self.break_off(text);
    }

    /// The server has closed the connection.
    pub fn closed(&mut self) {
        match self.state {
            State::Ready => self.close(Event::Closed),
            _ => self.break_off("the server closed the connection".to_owned()),
        }
    }

    /// Whether the session is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Why the server cannot take this message at all; the text goes behind its name.
    fn obstacle(&self, envelope: &Envelope, size: u64) -> Option<Reply> {
        let offered = &self.extensions;
        if envelope.smtputf8 && !offered.smtputf8 {
            return Some(Reply::new(
                553,
                Enhanced(5, 6, 7),
                "it does not offer SMTPUTF8, which the mail needs",
            ));
        }
        if envelope.require_tls && !self.under_tls {
            let text = "the mail requires TLS all the way (REQUIRETLS), and there is none";
            return Some(Reply::new(550, Enhanced(5, 7, 10), text));
        }
        if envelope.require_tls && !offered.require_tls {
            let text = "the mail requires TLS all the way, and it does not offer REQUIRETLS";
            return Some(Reply::new(550, Enhanced(5, 7, 30), text));
        }
        if offered.refuses_size(size) {
            let max = offered.size.unwrap_or_default();
            let text = format!("the message has {size} bytes, it takes at most {max}");
            return Some(Reply::new(552, Enhanced(5, 3, 4), text));
        }
        let nobody = envelope.recipients.is_empty();
        nobody.then(|| Reply::new(554, Enhanced(5, 5, 1), "the message has no recipients"))
    }

    /// Queues a command and waits for its reply.
    fn say(&mut self, now: Instant, due: Due, line: &str) {
        self.say_as(now, due, line, line);
    }

    /// The same, with what the transcript shows of it.
    fn say_as(&mut self, now: Instant, due: Due, line: &str, shown: &str) {
        self.output.end().extend_from_slice(line.as_bytes());
        self.output.end().extend_from_slice(b"\r\n");
        self.expect(now, due, shown);
    }

    fn expect(&mut self, now: Instant, due: Due, said: &str) {
        let said = if self.transcript.is_on() { said.to_owned() } else { String::new() };
        self.due.push_back((due, said));
        self.wait(now, due.wait_s());
    }

    fn wait(&mut self, now: Instant, seconds: u64) {
        self.deadline = now + Duration::from_secs(seconds);
    }

    fn replied(&mut self, now: Instant, reply: Reply) {
        let due = self.due.pop_front();
        if let Some((_, said)) = due.as_ref().filter(|(_, said)| !said.is_empty()) {
            self.transcript.add(TranscriptLine::Said(said.clone()));
        }
        self.transcript.heard(&reply);
        if let Some((next, _)) = self.due.front() {
            self.wait(now, next.wait_s());
        }
        match due {
            None => self.not_due(reply),
            Some((Due::Quit, _)) => self.close(Event::Closed),
            Some((Due::Greeting | Due::Ehlo | Due::Helo, _)) if reply.code() == 421 => {
                self.events.push_back(Event::Refused(reply));
                self.close(Event::Closed);
            }
            Some((Due::Auth, _)) => self.auth_replied(now, reply),
            Some((Due::StartTls, _)) => self.start_tls_replied(now, reply),
            Some((due @ (Due::Greeting | Due::Ehlo | Due::Helo), _)) => self.opening(now, due, reply),
            Some(_) if reply.code() == 421 => self.hang_up(reply),
            Some((due, _)) => self.transaction_replied(now, due, reply),
        }
        if self.is_ready() && self.mails_left == Some(0) {
            self.quit(now);
        }
    }

    /// A reply before Ready.
    fn opening(&mut self, now: Instant, due: Due, reply: Reply) {
        match due {
            Due::Greeting if reply.is_success() => self.say_ehlo(now),
            Due::Ehlo if reply.is_permanent() => {
                let line = format!("HELO {}", self.ehlo);
                self.say(now, Due::Helo, &line);
            }
            Due::Ehlo | Due::Helo if reply.is_success() => {
                if due == Due::Ehlo {
                    self.extensions = Extensions::parse(&reply);
                    self.mails_left = self.extensions.limits.mail_max;
                }
                self.state = State::Ready;
                self.events.push_back(Event::Ready);
            }
            _ if reply.is_intermediate() => {
                self.break_off(format!("{} is no reply to {}", reply.code(), due.name()));
            }
            _ => {
                self.events.push_back(Event::Refused(reply));
                self.quit(now);
            }
        }
    }

    fn say_ehlo(&mut self, now: Instant) {
        let line = format!("EHLO {}", self.ehlo);
        self.say(now, Due::Ehlo, &line);
    }

    /// A reply that answers nothing: the server says good-bye, or refuses a message before its end.
    fn not_due(&mut self, reply: Reply) {
        let sending = matches!(self.state, State::Transaction(_));
        let refusal = reply.is_transient() || reply.is_permanent();
        if reply.code() == 421 || (sending && refusal) {
            self.hang_up(reply);
        } else {
            self.break_off(format!("a reply came that was not due: {reply}"));
        }
    }

    /// The server ends the connection with `reply`.
    fn hang_up(&mut self, reply: Reply) {
        self.finish(Err(Refusal::Said(reply)));
        self.close(Event::Closed);
    }

    /// The connection is given up; what was not decided is deferred.
    fn break_off(&mut self, reason: String) {
        match self.state {
            State::Closed => {}
            State::Quitting => self.close(Event::Closed),
            _ => {
                let broken = Reply::new(451, Enhanced(4, 4, 2), reason.clone());
                self.finish(Err(Refusal::Found(broken)));
                self.close(Event::Broken(reason));
            }
        }
    }

    fn close(&mut self, event: Event) {
        for (_, said) in self.due.drain(..).filter(|(_, said)| !said.is_empty()) {
            self.transcript.add(TranscriptLine::Said(said));
        }
        // A final dot that is still here must not follow after its recipients were deferred.
        self.output = Outbox::default();
        self.state = State::Closed;
        self.events.push_back(event);
    }
}
