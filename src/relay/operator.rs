//! What the operator does to the queue: try now, delete, hold, release. What is on its way to a host at the
//! moment is not torn away: it is deleted or held as far as its next attempt. A domain that is held keeps
//! back what comes later too, until it is released; the tasks keep a mark of that beside its spool.

use crate::config::Config;
use crate::mail::{Domain, QueueId};
use crate::relay::active::Body;
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
        let hold = match action {
            QueueAction::Hold => Some(true),
            QueueAction::Release => Some(false),
            QueueAction::Retry | QueueAction::Delete => None,
        };
        match (target, hold) {
            (Target::Domain(_) | Target::All, Some(hold)) => self.hold_domains(now, target, hold),
            _ => self.operate_on_messages(now, action, target),
        }
    }

    /// Keeps all mail of a domain back, what is here and what comes, or lets it go again.
    fn hold_domains(&mut self, now: Now, target: &Target, hold: bool) -> usize {
        let wanted = |name: &Domain| *target == Target::All || *target == Target::Domain(name.clone());
        let posts = self.posts.iter_mut().filter(|(name, _)| wanted(name));
        posts.map(|(_, post)| if hold { post.hold_all() } else { post.release_all(now) }).sum()
    }

    /// Whether the operator keeps the mail of this domain back.
    pub fn is_held(&self, name: &Domain) -> bool {
        self.posts.get(name).is_some_and(|post| post.held)
    }

    /// A domain was held before the last start.
    pub fn hold_again(&mut self, name: &Domain) {
        if let Some(post) = self.posts.get_mut(name) {
            post.held = true;
        }
    }

    /// Holds the domains of which only a later version knows where their mail goes, and of which that was known
    /// while `before` ran: a former configuration that comes back sends nothing by another road.
    pub fn hold_without_roads(&mut self, before: &Config) {
        let lacked = |name: &Domain| before.domain(name).is_some() && before.lacks_roads(name);
        let config = self.config.clone();
        let lack = config.domains.iter().map(|domain| &domain.name).filter(|name| config.lacks_roads(name));
        lack.filter(|name| !lacked(name)).for_each(|name| self.hold_again(name));
    }

    fn operate_on_messages(&mut self, now: Now, action: QueueAction, target: &Target) -> usize {
        if action == QueueAction::Retry {
            let sender = if let Target::Domain(name) = target { Some(name) } else { None };
            self.dispatch.forgive(sender);
        }
        let mut count = 0;
        let mut deleted = Vec::new();
        for (name, post) in self.posts.iter_mut() {
            let ids: Vec<QueueId> = match target {
                Target::Domain(wanted) if wanted != name => continue,
                Target::Message(id) => post.queue.stand(*id).map(|_| *id).into_iter().collect(),
                Target::Domain(_) | Target::All => post.queue.ids().collect(),
            };
            for id in ids {
                let done = match action {
                    QueueAction::Retry => !post.held && post.queue.hurry(id, now.mono),
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
    /// Whether the operator keeps all its mail back.
    pub fn is_held(&self) -> bool {
        self.held
    }

    fn hold_all(&mut self) -> usize {
        self.held = true;
        self.queue.len() - self.queue.active()
    }

    fn release_all(&mut self, now: Now) -> usize {
        let everything = std::mem::take(&mut self.held);
        let ids: Vec<QueueId> = self.queue.ids().collect();
        let let_go = |post: &mut Post, id| {
            post.release(id, now) || everything && post.queue.hurry_waiting(id, now.mono)
        };
        ids.into_iter().filter(|id| let_go(self, *id)).count()
    }

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
            // A body in the spool is still needed for a transaction that is under way.
            Some(active) => {
                active.deleted = true;
                if matches!(active.content.body, Body::Memory(_)) {
                    self.log.done(id);
                }
            }
            None => {
                self.log.done(id);
                self.queue.remove(id);
                self.unreadable.remove(&id);
            }
        }
        true
    }
}
