//! A message that is being tried: its envelope and the state of each recipient, in memory from the moment
//! its time has come until every road has been tried once.

use std::rc::Rc;

use crate::config::RetryPlan;
use crate::mail::QueueId;
use crate::relay::judge::{Attempt, Verdict, judge};
use crate::relay::office::Outcome;
use crate::relay::queue::Want;
use crate::relay::storing::Receipt;
use crate::spool::{Meta, RecipientState, State};
use crate::time::WallTime;

/// A message under way. Jobs refer to its recipients by their place in the envelope.
#[derive(Debug)]
pub struct Active {
    pub meta: Rc<Meta>,
    pub content: Content,
    pub state: State,
    /// Jobs that have not reported yet.
    pub open_jobs: usize,
    /// The verdicts of this round, each with the recipient's place.
    pub judged: Vec<(usize, Verdict)>,
    /// What some attempt of this round failed for want of.
    pub wants: Option<Want>,
    /// It is to be forgotten: nothing more is tried or reported.
    pub deleted: bool,
    pub footing: Footing,
    /// Its DKIM signatures as it is, for the next connection that carries it.
    pub signatures: Option<Rc<str>>,
}

/// Where an active message stands with the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// It is on flash.
    Stored,
    /// It is in memory alone, while its client waits for the receipt's answer.
    Held(Receipt),
    /// Its commit is on its way to flash.
    Committing,
}

/// Where a message's bytes are.
#[derive(Clone, Debug)]
pub struct Content {
    /// The header section, composed, with its empty line.
    pub head: Rc<Vec<u8>>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Memory(Rc<Vec<u8>>),
    /// In the domain's spool; the length in bytes.
    Spool(u64),
}

impl Content {
    /// Octets of the whole message, as SIZE counts them (RFC 1870 §3).
    pub fn octets(&self) -> u64 {
        let body = match &self.body {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::Spool(len) => *len,
        };
        self.head.len() as u64 + body
    }

    /// Octets held in memory.
    pub fn resident(&self) -> usize {
        let body = match &self.body {
            Body::Memory(bytes) => bytes.len(),
            Body::Spool(_) => 0,
        };
        self.head.len() + body
    }
}

impl Active {
    pub fn new(meta: Rc<Meta>, content: Content, state: State, footing: Footing) -> Self {
        Active {
            meta,
            content,
            state,
            open_jobs: 0,
            judged: Vec::new(),
            wants: None,
            deleted: false,
            footing,
            signatures: None,
        }
    }

    /// Puts right when the message came, where the clock was wrong then.
    pub fn put_right(&mut self, corrected: impl Fn(WallTime) -> WallTime) {
        let received = corrected(self.meta.received);
        if received != self.meta.received {
            self.meta = Rc::new(Meta { received, ..(*self.meta).clone() });
        }
    }

    /// Places of the recipients that still wait for a verdict.
    pub fn unsettled(&self) -> Vec<usize> {
        let open =
            |s: &RecipientState| matches!(s, RecipientState::Pending | RecipientState::Deferred { .. });
        self.state.recipients.iter().enumerate().filter(|(_, s)| open(s)).map(|(place, _)| place).collect()
    }

    /// Takes the outcome of one attempt for one recipient.
    pub fn record(&mut self, place: usize, attempt: Attempt, now: WallTime, plan: &RetryPlan) -> Verdict {
        self.wants = match attempt {
            Attempt::NoAddress(_) => Some(Want::Address),
            Attempt::NotAdmitted(_) => Some(Want::Login),
            _ => self.wants,
        };
        let verdict = judge(attempt, now.since(self.meta.received), plan);
        self.state.recipients[place] = match &verdict {
            Verdict::Delivered(answer) => RecipientState::Delivered { reply: answer.to_string() },
            Verdict::Deferred(answer) => RecipientState::Deferred { reply: answer.to_string() },
            Verdict::Failed(answer) => RecipientState::Failed { reply: answer.to_string() },
        };
        self.judged.push((place, verdict.clone()));
        verdict
    }

    /// What of this round may be written down before it is over. A failure is not: its sender hears of it when
    /// the round ends, and must hear of it after a cut as well.
    pub fn interim_state(&self) -> State {
        let mut state = self.state.clone();
        for (place, _) in &self.judged {
            take_failure_back(&mut state.recipients[*place]);
        }
        state
    }

    /// Whether every recipient has it.
    pub fn is_delivered(&self) -> bool {
        self.state.recipients.iter().all(|r| matches!(r, RecipientState::Delivered { .. }))
    }

    /// The verdicts of this round.
    pub fn outcome(&self, id: QueueId) -> Outcome {
        let address = |place: usize| self.meta.envelope.recipients[place].address.clone();
        Outcome {
            id,
            recipients: self.judged.iter().map(|(place, v)| (address(*place), v.clone())).collect(),
        }
    }

    /// The failures of this round could not be reported: they count as deferrals, and fail again.
    pub fn take_failures_back(&mut self) {
        for (place, _) in &self.judged {
            take_failure_back(&mut self.state.recipients[*place]);
        }
    }
}

fn take_failure_back(state: &mut RecipientState) {
    if let RecipientState::Failed { reply } = state {
        *state = RecipientState::Deferred { reply: std::mem::take(reply) };
    }
}
