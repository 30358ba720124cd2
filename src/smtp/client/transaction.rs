//! One transaction of the client: MAIL, RCPT for each recipient, DATA, the content, the outcome.
//! With PIPELINING all commands up to DATA leave at once (RFC 2920 §3.1). What the server does not take for
//! one recipient must never touch another's outcome, and no recipient is left without one.

use std::collections::BTreeSet;

use super::*;
use crate::mail::{Body, Notify, Recipient, Ret};
use crate::smtp::data::Encoder;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For each recipient of the envelope, in its order: taken, or why not.
    pub recipients: Vec<Result<Reply, Refusal>>,
}

/// Why a recipient was not taken, and who says so: a report must not put our words into the server's mouth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server's reply.
    Said(Reply),
    /// Our own finding: it was not asked, or did not answer.
    Found(Reply),
}

impl Refusal {
    pub fn reply(&self) -> &Reply {
        match self {
            Refusal::Said(reply) | Refusal::Found(reply) => reply,
        }
    }
}

/// What a reply of the server means for whomever it is about.
fn decision(reply: Reply) -> Result<Reply, Refusal> {
    if reply.is_success() { Ok(reply) } else { Err(Refusal::Said(reply)) }
}

/// A transaction on its way.
#[derive(Debug)]
pub(super) struct Transaction {
    mail: String,
    recipients: Vec<Recipient>,
    /// For each recipient that was refused, why.
    refusals: Vec<Option<Refusal>>,
    accepted: usize,
    /// MAIL was refused, and with it everything.
    mail_refusal: Option<Refusal>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Commands and their replies, up to the reply to DATA.
    Commands,
    /// The driver hands in the content.
    Content { encoder: Encoder, bytes: u64 },
    /// The final dot is said.
    Final,
}

impl Transaction {
    pub(super) fn new(envelope: &Envelope, size: u64, offered: &Extensions) -> Self {
        let later = Reply::new(452, Enhanced(4, 5, 3), "it takes no more recipients at once");
        let beyond =
            Reply::new(553, Enhanced(5, 6, 7), "it does not offer SMTPUTF8, which the address needs");
        let sayable =
            |r: &Recipient| envelope.smtputf8 && offered.smtputf8 || r.address.local.as_str().is_ascii();
        let mut fitting =
            offered.limits.fitting(envelope.recipients.iter().filter(|r| sayable(r))).into_iter();
        let refusal = |r: &Recipient| match sayable(r) {
            true => (fitting.next() == Some(false)).then(|| Refusal::Found(later.clone())),
            false => Some(Refusal::Found(beyond.clone())),
        };
        Transaction {
            mail: mail_line(envelope, size, offered),
            recipients: envelope.recipients.clone(),
            refusals: envelope.recipients.iter().map(refusal).collect(),
            accepted: 0,
            mail_refusal: None,
            phase: Phase::Commands,
        }
    }

    /// The outcome when `decision` is that on all who were not refused before.
    pub(super) fn outcome(self, decision: Result<Reply, Refusal>) -> Outcome {
        let recipients = match self.mail_refusal {
            Some(refusal) => vec![Err(refusal); self.refusals.len()],
            None => {
                let decided = self.refusals.into_iter().map(|r| r.map_or_else(|| decision.clone(), Err));
                decided.collect()
            }
        };
        Outcome { recipients }
    }

    /// How many domains its recipients have, but for those who are not named.
    pub(super) fn domains_named(&self) -> usize {
        let named = self.recipients.iter().zip(&self.refusals).filter(|(_, refusal)| refusal.is_none());
        named.map(|(recipient, _)| &recipient.address.domain).collect::<BTreeSet<_>>().len()
    }

    fn rcpt_line(&self, index: usize, offered: &Extensions) -> String {
        rcpt_line(&self.recipients[index], offered)
    }

    /// Why nobody is to be named at all.
    pub(super) fn nobody(&self) -> Option<Refusal> {
        match self.next_named(0) {
            None => self.refusals.iter().flatten().next().cloned(),
            Some(_) => None,
        }
    }

    /// The first recipient from `index` on that is still to be named.
    fn next_named(&self, index: usize) -> Option<usize> {
        (index..self.recipients.len()).find(|i| self.refusals[*i].is_none())
    }

    fn rcpt_replied(&mut self, index: usize, reply: Reply) {
        if reply.is_success() {
            self.accepted += 1;
        } else {
            let reply = too_many_is_transient(reply, self.accepted);
            self.refusals[index] = Some(Refusal::Said(reply));
        }
    }
}

impl Session {
    /// Says what can be said now: everything up to DATA, or one command.
    pub(super) fn begin_commands(&mut self, now: Instant, reset: bool) {
        if reset {
            self.say(now, Due::Rset, "RSET");
        }
        if self.extensions.pipelining {
            self.say_mail(now);
            let mut next = self.next_named(0);
            while let Some(index) = next {
                self.say_rcpt(now, index);
                next = self.next_named(index + 1);
            }
            self.say(now, Due::Data, "DATA");
        } else if !reset {
            self.say_mail(now);
        }
    }

    fn next_named(&self, index: usize) -> Option<usize> {
        self.transaction()?.next_named(index)
    }

    fn transaction(&self) -> Option<&Transaction> {
        match &self.state {
            State::Transaction(transaction) => Some(transaction),
            _ => None,
        }
    }

    fn say_mail(&mut self, now: Instant) {
        let Some(line) = self.transaction().map(|t| t.mail.clone()) else { return };
        self.say(now, Due::Mail, &line);
    }

    fn say_rcpt(&mut self, now: Instant, index: usize) {
        let Some(line) = self.transaction().map(|t| t.rcpt_line(index, &self.extensions)) else { return };
        self.say(now, Due::Rcpt(index), &line);
    }

    /// A reply within a transaction, to RSET, MAIL, RCPT, DATA or the final dot.
    pub(super) fn transaction_replied(&mut self, now: Instant, due: Due, reply: Reply) {
        let State::Transaction(transaction) = &mut self.state else { return };
        let goes_on = due == Due::Data && reply.code() == 354;
        if reply.is_intermediate() != goes_on || (due == Due::Data && reply.is_success()) {
            return self.break_off(format!("{} is no reply to {}", reply.code(), due.name()));
        }
        match due {
            Due::Rset if !reply.is_success() => self.break_off(format!("RSET was refused: {reply}")),
            Due::Rset if self.extensions.pipelining => {}
            Due::Rset => self.say_mail(now),
            Due::Mail => self.mail_replied(now, reply),
            Due::Rcpt(index) => {
                transaction.rcpt_replied(index, reply.clone());
                if !self.extensions.pipelining {
                    self.after_rcpt(now, index + 1, reply);
                }
            }
            Due::Data => self.data_replied(now, reply),
            _ => {
                self.dirty = false;
                self.finish(decision(reply));
            }
        }
    }

    fn mail_replied(&mut self, now: Instant, reply: Reply) {
        let State::Transaction(transaction) = &mut self.state else { return };
        match (reply.is_success(), self.extensions.pipelining) {
            (true, true) => {}
            (true, false) => self.say_rcpt(now, self.next_named(0).unwrap_or_default()),
            (false, pipelining) => {
                transaction.mail_refusal = Some(Refusal::Said(reply.clone()));
                if !pipelining {
                    self.finish(decision(reply));
                }
            }
        }
    }

    /// Without pipelining: the next recipient, or DATA, or the end when nobody was accepted.
    fn after_rcpt(&mut self, now: Instant, next: usize, reply: Reply) {
        match self.next_named(next) {
            Some(index) => self.say_rcpt(now, index),
            None if self.transaction().is_some_and(|t| t.accepted > 0) => self.say(now, Due::Data, "DATA"),
            None => self.finish(decision(reply)),
        }
    }

    fn data_replied(&mut self, now: Instant, reply: Reply) {
        let State::Transaction(transaction) = &mut self.state else { return };
        if !reply.is_intermediate() {
            return self.finish(decision(reply));
        }
        if transaction.accepted > 0 && transaction.mail_refusal.is_none() {
            transaction.phase = Phase::Content { encoder: Encoder::default(), bytes: 0 };
            self.events.push_back(Event::SendContent);
            self.wait(now, CLIENT_CONTENT_WAIT_S);
        } else {
            // 354 although nobody was accepted: an empty message ends it (RFC 2920 §3.1).
            transaction.phase = Phase::Final;
            self.say(now, Due::Final, ".");
        }
    }

    /// The transaction is over, the connection ready for the next one.
    pub(super) fn finish(&mut self, decision: Result<Reply, Refusal>) {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Transaction(transaction) => {
                self.events.push_back(Event::Finished(transaction.outcome(decision)));
            }
            other => self.state = other,
        }
    }
}

/// RFC 5321 §4.5.3.1.10: 552 for too many recipients means 452. It is told from a full mailbox by an
/// accepted recipient before it and no other enhanced code.
fn too_many_is_transient(reply: Reply, accepted: usize) -> Reply {
    let ambiguous = matches!(reply.enhanced(), None | Some(Enhanced(5, 5, 3)));
    if reply.code() == 552 && accepted > 0 && ambiguous {
        return Reply::new(452, Enhanced(4, 5, 3), reply.text().to_owned());
    }
    reply
}

fn mail_line(envelope: &Envelope, size: u64, offered: &Extensions) -> String {
    let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
    if offered.size.is_some() {
        line += &format!(" SIZE={size}");
    }
    if offered.eight_bit_mime && envelope.body == Body::EightBitMime {
        line += " BODY=8BITMIME";
    }
    if envelope.smtputf8 {
        line += " SMTPUTF8";
    }
    if envelope.require_tls {
        line += " REQUIRETLS";
    }
    if offered.dsn {
        match envelope.ret {
            Some(Ret::Full) => line += " RET=FULL",
            Some(Ret::Headers) => line += " RET=HDRS",
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            line += &format!(" ENVID={envid}");
        }
    }
    line
}

fn rcpt_line(recipient: &Recipient, offered: &Extensions) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if offered.dsn {
        if let Some(notify) = recipient.notify {
            line += &format!(" NOTIFY={}", notify_value(notify));
        }
        if let Some(orcpt) = &recipient.orcpt {
            line += &format!(" ORCPT={orcpt}");
        }
    }
    line
}

fn notify_value(notify: Notify) -> String {
    let words = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let words: Vec<&str> = words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word).collect();
    if words.is_empty() { "NEVER".to_owned() } else { words.join(",") }
}
