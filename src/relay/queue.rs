//! One domain's queue: which message is due when. Only times and ids are kept here, about a hundred bytes a
//! message; content and envelope stay in the spool until a message's time has come.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::QueueId;
use crate::time::Instant;

/// The messages of one domain, oldest first by id.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<QueueId, Entry>,
    due: BTreeSet<(Instant, QueueId)>,
    active: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    stand: Stand,
    /// The last attempt failed for want of this: its return makes the message due.
    wants: Option<Want>,
}

/// What a message may wait for beside its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Our own address.
    Address,
    /// A smarthost that admits us.
    Login,
}

/// What a message of the queue is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Its next attempt comes at this time.
    Waiting(Instant),
    /// It is being tried.
    Active,
    /// The operator holds it.
    OnHold,
}

impl Queue {
    /// A message that is new here: due at `at`.
    pub fn insert(&mut self, id: QueueId, at: Instant) {
        self.set(id, Entry { stand: Stand::Waiting(at), wants: None });
    }

    /// A message that an operator put on hold before the last start.
    pub fn insert_held(&mut self, id: QueueId) {
        self.set(id, Entry { stand: Stand::OnHold, wants: None });
    }

    /// Takes the message that is due first, if its time has come; it is active then.
    pub fn take_due(&mut self, now: Instant) -> Option<QueueId> {
        let (at, id) = *self.due.first()?;
        (at <= now).then(|| {
            self.activate(id);
            id
        })
    }

    /// Makes a message active, whatever it did before.
    pub fn activate(&mut self, id: QueueId) {
        self.set(id, Entry { stand: Stand::Active, wants: None });
    }

    /// Puts an active message back until `at`.
    pub fn defer(&mut self, id: QueueId, at: Instant, wants: Option<Want>) {
        if self.entries.contains_key(&id) {
            self.set(id, Entry { stand: Stand::Waiting(at), wants });
        }
    }

    /// Holds a message that waits. An active one is not interrupted: false.
    pub fn hold(&mut self, id: QueueId) -> bool {
        let waits = matches!(self.stand(id), Some(Stand::Waiting(_) | Stand::OnHold));
        if waits {
            self.set(id, Entry { stand: Stand::OnHold, wants: None });
        }
        waits
    }

    /// Makes a message due at `now` unless it is on hold or active. False: it is unknown or on hold.
    pub fn hurry(&mut self, id: QueueId, now: Instant) -> bool {
        match self.stand(id) {
            Some(Stand::Waiting(_)) => self.insert(id, now),
            Some(Stand::Active) => {}
            Some(Stand::OnHold) | None => return false,
        }
        true
    }

    /// Makes a message due at `now` if it waits. False: it does something else.
    pub fn hurry_waiting(&mut self, id: QueueId, now: Instant) -> bool {
        matches!(self.stand(id), Some(Stand::Waiting(_))) && self.hurry(id, now)
    }

    /// Ends a hold: due at `now`. False: it was not on hold.
    pub fn release(&mut self, id: QueueId, now: Instant) -> bool {
        let held = self.stand(id) == Some(Stand::OnHold);
        if held {
            self.insert(id, now);
        }
        held
    }

    /// What was wanted is there, or may be: the messages that waited for it are due at `now`.
    pub fn is_there(&mut self, now: Instant, what: Want) {
        let waiting: Vec<_> =
            self.entries.iter().filter(|(_, e)| e.wants == Some(what)).map(|(id, _)| *id).collect();
        for id in waiting {
            self.insert(id, now);
        }
    }

    /// The message is gone.
    pub fn remove(&mut self, id: QueueId) {
        if let Some(old) = self.entries.remove(&id) {
            self.forget(id, old);
        }
    }

    /// When the next message is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn stand(&self, id: QueueId) -> Option<Stand> {
        self.entries.get(&id).map(|e| e.stand)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn active(&self) -> usize {
        self.active
    }

    /// Every message, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = QueueId> {
        self.entries.keys().copied()
    }

    fn set(&mut self, id: QueueId, entry: Entry) {
        if let Some(old) = self.entries.insert(id, entry) {
            self.forget(id, old);
        }
        match entry.stand {
            Stand::Waiting(at) => {
                self.due.insert((at, id));
            }
            Stand::Active => self.active += 1,
            Stand::OnHold => {}
        }
    }

    fn forget(&mut self, id: QueueId, old: Entry) {
        match old.stand {
            Stand::Waiting(at) => {
                self.due.remove(&(at, id));
            }
            Stand::Active => self.active -= 1,
            Stand::OnHold => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(n: u64) -> QueueId {
        QueueId::from_u64(n).unwrap()
    }

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    /// Everything counted: both trees here, whose nodes hold 11 and are half full when ids rise, and the log's
    /// index, a hash table that has just doubled.
    #[test]
    fn a_waiting_message_takes_two_hundred_bytes_at_most() {
        const NODE: usize = 16;
        let tree = |item: usize| (11 * item + NODE).div_ceil(6);
        let queue = tree(size_of::<(QueueId, Entry)>()) + tree(size_of::<(Instant, QueueId)>());
        let index = (crate::spool::INDEX_ENTRY_BYTES + 1) * 16 / 7;
        assert!(queue + index <= crate::limits::QUEUED_MESSAGE_BYTES, "{queue} + {index}");
    }

    #[test]
    fn messages_come_in_the_order_of_their_time() {
        let mut queue = Queue::default();
        queue.insert(id(1), at(30));
        queue.insert(id(2), at(10));
        queue.insert(id(3), at(20));
        assert_eq!(queue.next_due(), Some(at(10)));
        assert_eq!(queue.take_due(at(9)), None);
        assert_eq!(queue.take_due(at(25)), Some(id(2)));
        assert_eq!(queue.take_due(at(25)), Some(id(3)));
        assert_eq!(queue.take_due(at(25)), None);
        assert_eq!((queue.len(), queue.active()), (3, 2));
        queue.defer(id(2), at(40), None);
        queue.remove(id(3));
        assert_eq!((queue.len(), queue.active()), (2, 0));
    }

    #[test]
    fn a_held_message_waits_for_its_release() {
        let mut queue = Queue::default();
        queue.insert(id(1), at(0));
        assert!(queue.hold(id(1)));
        assert!(!queue.hurry(id(1), at(5)));
        assert_eq!(queue.take_due(at(99)), None);
        assert!(queue.release(id(1), at(5)));
        assert_eq!(queue.take_due(at(5)), Some(id(1)));
        assert!(!queue.hold(id(1)), "an active message is not interrupted");
    }

    #[test]
    fn an_address_that_comes_back_makes_due_only_what_waited_for_it() {
        let mut queue = Queue::default();
        for n in [1, 2] {
            queue.insert(id(n), at(0));
            queue.take_due(at(0));
        }
        queue.defer(id(1), at(600), Some(Want::Address));
        queue.defer(id(2), at(300), Some(Want::Login));
        queue.is_there(at(1), Want::Address);
        assert_eq!(queue.take_due(at(1)), Some(id(1)));
        assert_eq!(queue.take_due(at(1)), None);
    }

    #[test]
    fn a_message_that_is_gone_is_not_deferred_back_to_life() {
        let mut queue = Queue::default();
        queue.insert(id(1), at(0));
        queue.take_due(at(0));
        queue.remove(id(1));
        queue.defer(id(1), at(9), None);
        assert!(queue.is_empty());
        assert_eq!(queue.next_due(), None);
    }
}
