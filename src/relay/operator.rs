//! What the operator does to the queue: try now, delete, hold, release. What is on its way to a host at the
//! moment is not torn away: it is deleted or held as far as its next attempt.

use crate::mail::{Domain, QueueId};
use crate::relay::office::{Office, Post};
use crate::time::Now;

/// What a queue command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Message(QueueId),
    Domain(Domain),
    All,
}

/// What a queue command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueAction {
    Retry,
    Delete,
    Hold,
    Release,
}

impl Office {
    /// Applies an action to every message of the target that it makes sense for, and counts them. A target
    /// that holds no message counts zero.
    pub fn operate(&mut self, now: Now, action: QueueAction, target: &Target) -> usize {
        if action == QueueAction::Retry {
            let sender = if let Target::Domain(name) = target { Some(name) } else { None };
            self.dispatch.forgive(sender);
        }
        let mut count = 0;
        let mut deleted = Vec::new();
        for (name, post) in &mut self.posts {
            let ids: Vec<QueueId> = match target {
                Target::Domain(wanted) if wanted != name => continue,
                Target::Message(id) => post.queue.stand(*id).map(|_| *id).into_iter().collect(),
                Target::Domain(_) | Target::All => post.queue.ids().collect(),
            };
            for id in ids {
                let done = match action {
                    QueueAction::Retry => post.queue.hurry(id, now.mono),
                    QueueAction::Release => post.release(id, now),
                    QueueAction::Hold => post.hold(id),
                    QueueAction::Delete => {
                        deleted.push((name.clone(), id));
                        post.delete(id)
                    }
                };
                count += usize::from(done);
            }
        }
        for (name, id) in deleted {
            self.forget_fresh(&name, id);
        }
        count
    }
}

impl Post {
    fn hold(&mut self, id: QueueId) -> bool {
        self.queue.hold(id) && self.remember_hold(id, true)
    }

    fn release(&mut self, id: QueueId, now: Now) -> bool {
        self.queue.release(id, now.mono) && self.remember_hold(id, false)
    }

    /// Writes the hold down, so that it outlives a restart.
    fn remember_hold(&mut self, id: QueueId, on_hold: bool) -> bool {
        match self.log.load(&*self.flash, id) {
            Ok(stored) => {
                let mut state = stored.state;
                state.on_hold = on_hold;
                self.log.update(id, &state);
            }
            Err(why) => log::error!("{id}: the hold could not be written down: {why}"),
        }
        true
    }

    fn delete(&mut self, id: QueueId) -> bool {
        match self.active.get_mut(&id) {
            Some(active) => active.deleted = true,
            None => {
                self.log.done(id);
                self.queue.remove(id);
            }
        }
        true
    }
}
