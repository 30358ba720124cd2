//! One lookup as a state machine: bytes and time in, things to send out (RFC 1035 §7.2, RFC 7766 §5).
//! Servers are asked in turn, over UDP first. Danger: a forged reply must neither be believed nor end a try,
//! or whoever sends one decides where mail goes.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dns::message::{self, Query, Reply};
use crate::dns::{Answer, Found, Name, Question};
use crate::limits::{DNS_ALIASES_MAX, DNS_FAILURE_TTL_S, DNS_LOOKUP_S_MAX, DNS_ROUNDS, DNS_TRY_S};
use crate::time::Instant;

/// How a query travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A lookup under way. Drive it: do what [`Lookup::step`] says, and report with [`Lookup::received`],
/// [`Lookup::timed_out`] or [`Lookup::broken`].
#[derive(Debug)]
pub struct Lookup {
    question: Question,
    servers: Vec<SocketAddr>,
    /// The current server.
    server: usize,
    /// Tries that failed, of all servers together.
    failures: usize,
    /// Why each server failed last.
    reasons: Vec<String>,
    aliases: usize,
    /// No answer lives longer than the aliases that led to it.
    ttl_max: Duration,
    give_up_at: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready(Transport),
    Waiting { query: Query, transport: Transport, until: Instant },
    Done(Answer),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// From a new socket; what came before on another one is of no interest any more.
    Send(Send),
    /// For a message on the socket of the last [`Step::Send`], until then.
    Wait(Instant),
    Done(Answer),
}

/// A query without TCP's length in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub server: SocketAddr,
    pub transport: Transport,
    pub query: Vec<u8>,
}

impl Lookup {
    /// Begins with `servers[0]`. Without any server the lookup has failed already.
    pub fn new(question: Question, servers: Vec<SocketAddr>, now: Instant) -> Self {
        let state = if servers.is_empty() {
            State::Done(failure("no nameserver is configured".to_owned()))
        } else {
            State::Ready(Transport::Udp)
        };
        Lookup {
            question,
            reasons: vec![String::new(); servers.len()],
            servers,
            server: 0,
            failures: 0,
            aliases: 0,
            ttl_max: Duration::MAX,
            give_up_at: now + Duration::from_secs(DNS_LOOKUP_S_MAX),
            state,
        }
    }

    /// The next thing to do; `random` gives bits that nobody can guess.
    pub fn step(&mut self, now: Instant, random: impl FnOnce() -> u64) -> Step {
        match &self.state {
            State::Done(answer) => Step::Done(answer.clone()),
            State::Waiting { until, .. } => Step::Wait(*until),
            State::Ready(transport) => {
                let transport = *transport;
                let plain = self.failures >= self.servers.len();
                let query = Query::new(&self.question, random(), plain);
                let bytes = query.bytes().to_vec();
                let until = self.give_up_at.min(now + Duration::from_secs(DNS_TRY_S));
                self.state = State::Waiting { query, transport, until };
                Step::Send(Send { server: self.current(), transport, query: bytes })
            }
        }
    }

    /// A message came from the current server: a datagram, or a message of the TCP stream.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) {
        let State::Waiting { query, transport, .. } = &self.state else { return };
        match (message::read(query, &self.question, *transport, bytes), transport) {
            (Reply::Foreign, Transport::Udp) => {}
            (Reply::Foreign, Transport::Tcp) => self.fail(now, "a reply to another question"),
            (Reply::AskOverTcp, _) => self.state = State::Ready(Transport::Tcp),
            (Reply::Failed(why), _) => self.fail(now, &why),
            (Reply::Alias(target, ttl), _) => self.follow(now, target, ttl),
            (Reply::Answer(answer), _) => {
                let ttl = answer.ttl.min(self.ttl_max);
                self.state = State::Done(Answer { ttl, ..answer });
            }
        }
    }

    /// The time of [`Step::Wait`] has come.
    pub fn timed_out(&mut self, now: Instant) {
        if matches!(self.state, State::Waiting { .. }) {
            self.fail(now, "no reply in time");
        }
    }

    /// The socket is of no use: the system, or the far end, says why.
    pub fn broken(&mut self, now: Instant, why: &str) {
        if matches!(self.state, State::Waiting { .. }) {
            self.fail(now, why);
        }
    }

    /// The server that is asked now or next; `None` without servers.
    pub fn server(&self) -> Option<SocketAddr> {
        self.servers.get(self.server).copied()
    }

    fn current(&self) -> SocketAddr {
        self.servers[self.server]
    }

    fn fail(&mut self, now: Instant, why: &str) {
        self.reasons[self.server] = format!("nameserver {}: {why}", self.current());
        self.failures += 1;
        self.server = (self.server + 1) % self.servers.len();
        let over = self.failures >= self.servers.len() * DNS_ROUNDS || now >= self.give_up_at;
        self.state = if over { State::Done(self.failure()) } else { State::Ready(Transport::Udp) };
    }

    fn failure(&self) -> Answer {
        let reasons: Vec<&str> =
            self.reasons.iter().map(String::as_str).filter(|why| !why.is_empty()).collect();
        failure(format!("{}: {}", self.question, reasons.join("; ")))
    }

    /// The server knows an alias, but not what it stands for: asks for that.
    fn follow(&mut self, now: Instant, target: Name, ttl: Duration) {
        self.aliases += 1;
        if self.aliases > DNS_ALIASES_MAX {
            self.fail(now, "aliases without end");
            return;
        }
        self.question.name = target;
        self.ttl_max = self.ttl_max.min(ttl);
        self.state = State::Ready(Transport::Udp);
    }
}

fn failure(why: String) -> Answer {
    Answer { found: Found::Failed(why), ttl: Duration::from_secs(DNS_FAILURE_TTL_S) }
}

#[cfg(test)]
mod tests;
