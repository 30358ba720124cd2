//! Held mail: while its client waits for the answer to the final dot, a message is offered to its
//! destinations from memory, and flash is not touched. When all of them take it, the client hears so; when
//! all refuse it for good, the client hears that; else it is committed like any other.
//! Danger: 250 only when every recipient has it or every share is on flash; nothing in between.

use std::rc::Rc;

use crate::config::SpoolMode;
use crate::limits::RESIDENT_CONTENT_BYTES_MAX;
use crate::mail::bounce::{Kind, is_wanted};
use crate::mail::{Domain, QueueId};
use crate::relay::active::{Active, Body, Content, Footing};
use crate::relay::judge::{Answer, Verdict};
use crate::relay::office::Office;
use crate::relay::storing::{Composed, Receipt, Safe, reply_to};
use crate::smtp::{Enhanced, Reply};
use crate::spool::{RecipientState, State};
use crate::time::{Instant, Now};

/// A message whose client waits.
#[derive(Debug)]
pub(super) struct Holding {
    id: QueueId,
    owners: Vec<Domain>,
    /// Shares that have not been tried for every recipient.
    open: usize,
    until: Instant,
}

impl Office {
    /// Takes a message from a client: holds it where its domains allow that and memory has room, else stores
    /// it at once. An error means that none of it stays.
    pub fn accept(&mut self, now: Now, message: Composed) -> Result<Receipt, Reply> {
        match self.patience(&message) {
            Some(until) => Ok(self.hold(now, message, now.mono + until)),
            None => self.store(now, message),
        }
    }

    /// How long a message may be held: as long as all of its domains allow. `None`: not at all. Who asked to
    /// hear of success gets a report, and a report needs a message that is stored.
    fn patience(&self, message: &Composed) -> Option<std::time::Duration> {
        let bytes = (message.head.len() + message.body.len()) * message.shares.len();
        if self.resident_bytes + bytes > RESIDENT_CONTENT_BYTES_MAX || message.shares.is_empty() {
            return None;
        }
        let mut recipients = message.shares.iter().flat_map(|share| &share.envelope.recipients);
        if recipients.any(|recipient| is_wanted(recipient, Kind::Success)) {
            return None;
        }
        let times = message.shares.iter().map(|share| match self.config.domain(&share.owner)?.spool {
            SpoolMode::Held(time) if self.posts.get(&share.owner).is_some_and(|post| !post.held) => {
                Some(time)
            }
            _ => None,
        });
        times.min().flatten()
    }

    fn hold(&mut self, now: Now, message: Composed, until: Instant) -> Receipt {
        let Composed { id, shares, origin, head, body } = message;
        let receipt = self.receipts.issue();
        let owners: Vec<Domain> = shares.iter().map(|share| share.owner.clone()).collect();
        let open = owners.len();
        self.receipts.held.insert(receipt, Holding { id, owners, open, until });
        let content = Content { head: Rc::new(head), body: Body::Memory(Rc::new(body)) };
        for share in shares {
            let (owner, meta) = share.come(now, &origin);
            let state = State::new(meta.envelope.recipients.len(), now.wall);
            let active = Active::new(Rc::new(meta), content.clone(), state, Footing::Held(receipt));
            if let Some(post) = self.posts.get_mut(&owner) {
                post.queue.activate(id);
            }
            self.resident_bytes += content.resident();
            self.launch(now, &owner, id, active);
        }
        receipt
    }

    /// Until when the message behind a receipt is held; `None` when it is not.
    pub fn held_until(&self, receipt: Receipt) -> Option<Instant> {
        self.receipts.held.get(&receipt).map(|holding| holding.until)
    }

    /// One share of a held message has been tried for all its recipients.
    pub(super) fn held_share_settled(&mut self, now: Now, receipt: Receipt) {
        let Some(holding) = self.receipts.held.get_mut(&receipt) else { return };
        holding.open -= 1;
        if holding.open > 0 {
            return;
        }
        match self.common_answer(receipt) {
            Some(answer) => {
                self.drop_held(now, receipt);
                let safe = answer.reply.is_success();
                let result = if safe { Ok(Safe::Delivered(answer)) } else { Err(passed_on(&answer)) };
                self.receipts.answer(receipt, result);
            }
            None => self.commit_held(now, receipt),
        }
    }

    /// The answer that all recipients of a held message share: taken, or refused for good. It is the last
    /// host's where they took it, the first one's where they refused.
    fn common_answer(&self, receipt: Receipt) -> Option<Answer> {
        let holding = self.receipts.held.get(&receipt)?;
        let mut taken = None;
        let mut refused = None;
        for owner in &holding.owners {
            let active = self.posts.get(owner)?.active.get(&holding.id)?;
            for (_, verdict) in &active.judged {
                match verdict {
                    Verdict::Delivered(answer) => taken = Some(answer.clone()),
                    Verdict::Failed(answer) if answer.reply.is_permanent() => {
                        refused = refused.or(Some(answer.clone()));
                    }
                    Verdict::Failed(_) | Verdict::Deferred(_) => return None,
                }
            }
        }
        match (taken, refused) {
            (Some(answer), None) | (None, Some(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Commits what of a held message is not delivered yet; its receipt is answered when that is on flash.
    /// A receipt that is not held any more is left alone.
    pub fn commit_held(&mut self, now: Now, receipt: Receipt) {
        let Some(holding) = self.receipts.held.remove(&receipt) else { return };
        let Holding { id, owners, .. } = holding;
        let mut commits = Vec::new();
        let mut failure = None;
        for owner in &owners {
            match self.commit_share(owner, id) {
                Ok(Some(ticket)) => commits.push((owner.clone(), ticket)),
                Ok(None) => {}
                Err(reply) => failure = failure.or(Some(reply)),
            }
        }
        if let Some(reply) = failure {
            owners.iter().for_each(|owner| self.give_up(now, owner, id));
            return self.receipts.answer(receipt, Err(reply));
        }
        for owner in owners.iter().filter(|owner| commits.iter().all(|(committed, _)| committed != *owner)) {
            self.give_up(now, owner, id);
        }
        self.receipts.expect_commits(receipt, commits.len());
        for (owner, ticket) in commits {
            self.expect_commit(&owner, ticket, id, receipt);
        }
    }

    /// Puts one share into its log, with what is known of its recipients; nothing when all of them have it.
    fn commit_share(&mut self, owner: &Domain, id: QueueId) -> Result<Option<crate::spool::Ticket>, Reply> {
        let post = self.posts.get_mut(owner);
        let Some((post, mut active)) =
            post.and_then(|post| Some((post.active.remove(&id)?, post))).map(|(a, p)| (p, a))
        else {
            return Ok(None);
        };
        let Body::Memory(body) = &active.content.body else { return Ok(None) };
        let put = match active.is_delivered() {
            true => Ok(None),
            false => post.log.put(id, &active.meta, &active.content.head, body).map(Some),
        };
        if let Ok(Some(_)) = put {
            active.footing = Footing::Committing;
            if active.deleted {
                post.log.done(id);
            } else if active.state.recipients.iter().any(|r| !matches!(r, RecipientState::Pending)) {
                post.log.update(id, &active.interim_state());
            }
        }
        post.active.insert(id, active);
        put.map_err(|error| reply_to(&error))
    }

    /// All shares of a message are on flash: this one is its queue's from now on.
    pub(super) fn share_is_safe(&mut self, now: Now, owner: &Domain, id: QueueId) {
        let Some(post) = self.posts.get_mut(owner) else { return };
        post.counts.accepted += 1;
        match post.active.get_mut(&id) {
            None => post.queue.insert(id, now.mono),
            Some(active) => {
                active.footing = Footing::Stored;
                if active.open_jobs == 0 {
                    self.settle(now, owner, id);
                }
            }
        }
    }

    /// Forgets a share, on flash too: its client was told so, or every recipient has it. A transaction that
    /// is under way has its content in memory and goes on.
    pub(super) fn give_up(&mut self, now: Now, owner: &Domain, id: QueueId) {
        self.forget_fresh(owner, id);
        let Some(post) = self.posts.get_mut(owner) else { return };
        post.log.done(id);
        post.log.waiting_since(now.mono);
        let Some(active) = post.active.get_mut(&id) else { return };
        active.footing = Footing::Stored;
        active.deleted = true;
        if active.open_jobs == 0 {
            self.settle(now, owner, id);
        }
    }

    fn drop_held(&mut self, now: Now, receipt: Receipt) {
        let Some(Holding { id, owners, .. }) = self.receipts.held.remove(&receipt) else { return };
        for owner in owners {
            if let Some(post) = self.posts.get_mut(&owner) {
                post.counts.accepted += 1;
            }
            self.give_up(now, &owner, id);
        }
    }
}

/// A host's refusal as the client hears it.
fn passed_on(answer: &Answer) -> Reply {
    match &answer.host {
        Some(host) => {
            let reply = &answer.reply;
            let class = if reply.is_permanent() { 5 } else { 4 };
            // Ours always have a code (RFC 2034 §4), whether the host's had one or not.
            let enhanced = reply.enhanced().filter(|e| e.0 == class).unwrap_or(Enhanced(class, 0, 0));
            Reply::new(reply.code(), enhanced, format!("{} said: {}", host.name, reply.text()))
        }
        None => answer.reply.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::judge::Host;

    #[test]
    fn a_hosts_refusal_has_a_code_of_its_class() {
        let host = Host { name: "xyz.com".into(), reports: false, tls: None };
        for (said, told) in [
            (Reply::new(550, None, "no"), "550 5.0.0 xyz.com said: no"),
            (Reply::new(550, Enhanced(5, 1, 1), "no"), "550 5.1.1 xyz.com said: no"),
            (Reply::new(550, Enhanced(4, 1, 1), "no"), "550 5.0.0 xyz.com said: no"),
        ] {
            let answer = Answer { host: Some(host.clone()), reply: said };
            assert_eq!(passed_on(&answer).to_string(), told);
        }
    }
}
