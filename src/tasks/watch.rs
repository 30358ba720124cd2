//! Watchers: somebody at the console or behind `sendmail -v` who wants to see one message leave, line by line
//! as Figure 3A has it.

use std::cell::RefCell;
use std::collections::HashMap;

use smol::channel::{Receiver, Sender};

use crate::console::answer::Fate;
use crate::limits::WATCHED_LINES_MAX;
use crate::mail::QueueId;
use crate::relay::{Answer, Outcome, Verdict};

/// What a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A line of the exchange.
    Line(String),
    /// A domain's share of the message has been tried for everyone: what became of it.
    End(Outcome),
}

/// Who watches which message.
#[derive(Debug, Default)]
pub struct Watchers(RefCell<HashMap<QueueId, Watched>>);

#[derive(Debug)]
struct Watched {
    watcher: Sender<Sight>,
    /// Domains whose share of the message has not been tried yet.
    shares: usize,
    /// Connections that still have something to show.
    connections: usize,
}

impl Watched {
    fn is_over(&self) -> bool {
        self.shares == 0 && self.connections == 0
    }
}

impl Watchers {
    /// Watches a message of so many shares until each has been tried once; the channel closes then.
    pub fn watch(&self, id: QueueId, shares: usize) -> Receiver<Sight> {
        let (watcher, receiver) = smol::channel::bounded(WATCHED_LINES_MAX);
        self.0.borrow_mut().insert(id, Watched { watcher, shares, connections: 0 });
        receiver
    }

    /// Ends a watch: the message was not accepted.
    pub fn forget(&self, id: QueueId) {
        self.0.borrow_mut().remove(&id);
    }

    /// A connection carries the message; it will [`Watchers::let_go`] when it is closed.
    pub fn hold(&self, id: QueueId) {
        if let Some(watched) = self.0.borrow_mut().get_mut(&id) {
            watched.connections += 1;
        }
    }

    pub fn let_go(&self, id: QueueId) {
        self.change(id, |watched| watched.connections -= 1);
    }

    fn change(&self, id: QueueId, change: impl FnOnce(&mut Watched)) {
        let mut all = self.0.borrow_mut();
        let Some(watched) = all.get_mut(&id) else { return };
        change(watched);
        if watched.is_over() {
            all.remove(&id);
        }
    }

    pub fn has(&self, id: QueueId) -> bool {
        self.0.borrow().contains_key(&id)
    }

    pub fn any(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    pub fn show(&self, id: QueueId, line: String) {
        if let Some(Watched { watcher, .. }) = self.0.borrow().get(&id) {
            // A watcher that left sees nothing more, and one that does not read misses lines.
            let _ = watcher.try_send(Sight::Line(line));
        }
    }

    /// A share of the message has been tried for everyone.
    pub fn conclude(&self, outcome: &Outcome) {
        self.change(outcome.id, |watched| {
            watched.shares = watched.shares.saturating_sub(1);
            let _ = watched.watcher.try_send(Sight::End(outcome.clone()));
        });
    }
}

/// A verdict in the words of Figure 1D.
pub fn fate(verdict: &Verdict) -> Fate {
    match verdict {
        Verdict::Delivered(Answer { host: None, .. }) => Fate::Kept,
        Verdict::Delivered(answer) => Fate::Sent(answer.reply.text().replace('\n', " ")),
        Verdict::Deferred(answer) => Fate::Deferred(answer.to_string()),
        Verdict::Failed(answer) => Fate::Refused(answer.to_string()),
    }
}
