//! Storing (step 525 of Figure 5): a message goes to the log of each domain that answers for a part of it,
//! and its client is answered when the last of these commits is on flash. 250 before that would be a lie.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::limits::RESIDENT_CONTENT_BYTES_MAX;
use crate::mail::{Domain, QueueId};
use crate::relay::active::{Body, Content};
use crate::relay::holding::Holding;
use crate::relay::judge::Answer;
use crate::relay::office::Office;
use crate::relay::policy::Share;
use crate::relay::sending::Settled;
use crate::smtp::{Enhanced, Reply};
use crate::spool::{Batch, BatchError, Durable, Flash, Meta, SpoolError, Ticket};
use crate::time::{Instant, Now};

/// A promise to tell when a message is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(u64);

/// Open receipts: how many commits each still waits for.
#[derive(Debug, Default)]
pub struct Receipts {
    last: u64,
    open: HashMap<Receipt, Open>,
    done: Vec<(Receipt, Result<Safe, Reply>)>,
    /// Messages that are in memory alone while their clients wait.
    pub(super) held: HashMap<Receipt, Holding>,
}

/// In what way a message is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Safe {
    /// It is on flash.
    Stored,
    /// Every recipient has it; what the last host said.
    Delivered(Answer),
}

#[derive(Debug)]
struct Open {
    commits: usize,
    /// Whose commits have ended, well or not.
    ended: Vec<Domain>,
    failure: Option<Reply>,
    then: Then,
}

/// What a commit leads to when it is durable.
#[derive(Debug)]
enum Then {
    /// Somebody asks [`Office::take_answers`].
    Answer,
    /// A report about this message is safe: the message itself may be settled.
    Settle(Box<Settled>),
}

/// A commit under way: of which message, and for which receipt.
#[derive(Debug)]
pub struct Awaited {
    id: QueueId,
    receipt: Receipt,
}

/// A message just committed, with its content at hand so that it need not be read back.
#[derive(Debug)]
pub struct Fresh {
    pub meta: Rc<Meta>,
    pub content: Content,
}

/// A composed message, ready for the spool.
pub struct Composed {
    pub id: QueueId,
    pub shares: Vec<Share>,
    /// What the queue remembers of where it came from, for logs and reports.
    pub origin: String,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// A message too large for memory, on its way into the logs of its owners.
#[derive(Debug)]
pub struct Draft {
    id: QueueId,
    owners: Vec<Domain>,
    /// What has come in and not every log has taken yet, and how much of it each log has.
    backlog: Vec<u8>,
    taken: Vec<usize>,
}

impl Draft {
    /// Whether the logs must write before they take more.
    pub fn is_backlogged(&self) -> bool {
        !self.backlog.is_empty()
    }
}

impl Office {
    /// Appends a message to the logs of its shares. The receipt is answered when all of them are on flash;
    /// an error means that none of it stays.
    pub fn store(&mut self, now: Now, message: Composed) -> Result<Receipt, Reply> {
        self.store_then(now, message, Then::Answer)
    }

    /// Stores a report on `settled`'s message, which is settled once the report is safe.
    pub(super) fn store_report(&mut self, now: Now, report: Composed, settled: Settled) -> Result<(), Reply> {
        self.store_then(now, report, Then::Settle(Box::new(settled))).map(|_| ())
    }

    fn store_then(&mut self, now: Now, message: Composed, then: Then) -> Result<Receipt, Reply> {
        let Composed { id, shares, origin, head, body } = message;
        let (head, body) = (Rc::new(head), Rc::new(body));
        let is_report = matches!(then, Then::Settle(_));
        let mut commits = Vec::new();
        for share in shares {
            let (owner, meta) = share.come(now, &origin);
            let post = self.posts.get_mut(&owner).ok_or_else(no_post);
            let put = post.and_then(|post| {
                let put = match is_report {
                    true => post.log.put_report(id, &meta, &head, &body),
                    false => post.log.put(id, &meta, &head, &body),
                };
                put.map_err(|e| reply_to(&e))
            });
            match put {
                Ok(ticket) => commits.push((owner, ticket, meta)),
                Err(reply) => {
                    self.take_back(id, commits.into_iter().map(|(owner, ..)| owner));
                    return Err(reply);
                }
            }
        }
        let receipt = self.receipts.open(commits.len(), then);
        for (owner, ticket, meta) in commits {
            let content = Content { head: head.clone(), body: Body::Memory(body.clone()) };
            self.keep_fresh(&owner, id, meta, content);
            self.expect_commit(&owner, ticket, id, receipt);
        }
        Ok(receipt)
    }

    /// Begins a message that is too large for memory.
    pub fn begin_draft(&mut self, id: QueueId, shares: &[Share]) -> Result<Draft, Reply> {
        let owners: Vec<Domain> = shares.iter().map(|s| s.owner.clone()).collect();
        for owner in &owners {
            self.posts.get_mut(owner).ok_or_else(no_post)?.log.draft(id);
        }
        let taken = vec![0; owners.len()];
        Ok(Draft { id, owners, backlog: Vec::new(), taken })
    }

    /// Appends a piece of the body to a draft. While it [`is_backlogged`](Draft::is_backlogged), nothing more
    /// should be read from the client; after the next batch, another call with an empty piece goes on.
    pub fn extend_draft(&mut self, draft: &mut Draft, piece: &[u8]) -> Result<(), Reply> {
        draft.backlog.extend_from_slice(piece);
        for (owner, taken) in draft.owners.iter().zip(&mut draft.taken) {
            let post = self.posts.get_mut(owner).ok_or_else(no_post)?;
            match post.log.draft_append(draft.id, &draft.backlog[*taken..]) {
                Ok(()) => *taken = draft.backlog.len(),
                Err(SpoolError::Busy) => {}
                Err(error) => return Err(reply_to(&error)),
            }
        }
        if draft.taken.iter().all(|taken| *taken == draft.backlog.len()) {
            draft.backlog.clear();
            draft.taken.fill(0);
        }
        Ok(())
    }

    /// Commits a draft under its header section.
    pub fn commit_draft(
        &mut self,
        now: Now,
        draft: &Draft,
        shares: Vec<Share>,
        origin: &str,
        head: &[u8],
    ) -> Result<Receipt, Reply> {
        let mut commits = Vec::new();
        for share in shares {
            let (owner, meta) = share.come(now, origin);
            let post = self.posts.get_mut(&owner).ok_or_else(no_post)?;
            let ticket = post.log.draft_commit(draft.id, &meta, head).map_err(|e| reply_to(&e));
            match ticket {
                Ok(ticket) => commits.push((owner, ticket)),
                Err(reply) => {
                    self.take_back(draft.id, commits.into_iter().map(|(owner, _)| owner));
                    self.drop_draft(draft);
                    return Err(reply);
                }
            }
        }
        let receipt = self.receipts.open(commits.len(), Then::Answer);
        for (owner, ticket) in commits {
            self.expect_commit(&owner, ticket, draft.id, receipt);
        }
        Ok(receipt)
    }

    /// Forgets a draft that will not be committed.
    pub fn drop_draft(&mut self, draft: &Draft) {
        for owner in &draft.owners {
            if let Some(post) = self.posts.get_mut(owner) {
                post.log.draft_drop(draft.id);
            }
        }
    }

    /// What is to be written now, one batch a domain; each goes back through [`Office::batch_finished`].
    pub fn take_batches(&mut self, now: Instant) -> Vec<(Domain, Arc<dyn Flash>, Batch)> {
        let ready = self.posts.writes_due(now).into_iter().filter_map(|name| {
            let post = self.posts.get_mut(&name)?;
            post.record_outcomes(now);
            let batch = post.log.take_batch(&*post.flash, now)?;
            Some((name, post.flash.clone(), batch))
        });
        ready.collect()
    }

    /// Commits that wait to be handed to the flusher.
    pub fn commits_waiting(&mut self) -> usize {
        self.posts.commits()
    }

    /// A batch has been written and synced, or not.
    pub fn batch_finished(&mut self, now: Now, owner: &Domain, result: Result<(), BatchError>) {
        let Some(post) = self.posts.get_mut(owner) else { return };
        post.today.turn(now.wall, post.log.wear().bytes());
        let Durable { up_to, failed } = post.log.batch_finished(result);
        let mut over = Vec::new();
        while let Some((ticket, _)) = post.tickets.front() {
            let outcome = match ticket {
                t if failed.as_ref().is_some_and(|f| f.contains(t)) => {
                    Err(failed.as_ref().map_or_else(no_post, |f| reply_to(&f.why)))
                }
                t if *t <= up_to => Ok(()),
                _ => break,
            };
            over.extend(post.tickets.pop_front().map(|(_, awaited)| (awaited, outcome)));
        }
        for (awaited, outcome) in over {
            self.commit_ended(now, owner, awaited, outcome);
        }
    }

    /// Receipts that were answered since the last call.
    pub fn take_answers(&mut self) -> Vec<(Receipt, Result<Safe, Reply>)> {
        std::mem::take(&mut self.receipts.done)
    }

    /// All shares of a message are kept or none is: what its client must send again would come twice.
    fn commit_ended(&mut self, now: Now, owner: &Domain, awaited: Awaited, outcome: Result<(), Reply>) {
        let Some(open) = self.receipts.open.get_mut(&awaited.receipt) else { return };
        open.commits -= 1;
        open.ended.push(owner.clone());
        open.failure = open.failure.take().or(outcome.err());
        if open.commits > 0 {
            return;
        }
        if let Some(Open { ended, failure, then, .. }) = self.receipts.open.remove(&awaited.receipt) {
            for owner in &ended {
                match &failure {
                    None => self.share_is_safe(now, owner, awaited.id),
                    Some(_) => self.give_up(now, owner, awaited.id),
                }
            }
            let result = failure.map_or(Ok(()), Err);
            match then {
                Then::Answer => self.receipts.answer(awaited.receipt, result.map(|()| Safe::Stored)),
                Then::Settle(settled) => self.report_stored(now, *settled, result),
            }
        }
    }

    pub(super) fn expect_commit(&mut self, owner: &Domain, ticket: Ticket, id: QueueId, receipt: Receipt) {
        if let Some(post) = self.posts.get_mut(owner) {
            post.tickets.push_back((ticket, Awaited { id, receipt }));
        }
    }

    /// Keeps a message's content in memory for its first attempt, as long as there is room.
    fn keep_fresh(&mut self, owner: &Domain, id: QueueId, meta: Meta, content: Content) {
        let bytes = content.resident();
        if self.resident_bytes + bytes > RESIDENT_CONTENT_BYTES_MAX {
            return;
        }
        if let Some(post) = self.posts.get_mut(owner) {
            self.resident_bytes += bytes;
            post.fresh.insert(id, Fresh { meta: Rc::new(meta), content });
        }
    }

    pub(super) fn forget_fresh(&mut self, owner: &Domain, id: QueueId) {
        if let Some(fresh) = self.posts.get_mut(owner).and_then(|post| post.fresh.remove(&id)) {
            self.resident_bytes -= fresh.content.resident();
        }
    }

    /// Undoes the puts of a message that not every log took.
    fn take_back(&mut self, id: QueueId, owners: impl Iterator<Item = Domain>) {
        for owner in owners {
            if let Some(post) = self.posts.get_mut(&owner) {
                post.log.done(id);
            }
        }
    }
}

impl Share {
    /// Whose it is, and what is remembered of it when it has come from `origin` now.
    pub(super) fn come(self, now: Now, origin: &str) -> (Domain, Meta) {
        let Share { owner, authored, envelope } = self;
        (owner, Meta { received: now.wall, origin: origin.to_owned(), authored, envelope })
    }
}

impl Receipts {
    fn open(&mut self, commits: usize, then: Then) -> Receipt {
        let receipt = self.issue();
        self.open.insert(receipt, Open { commits, ended: Vec::new(), failure: None, then });
        receipt
    }

    /// A receipt that nothing is known of yet.
    pub(super) fn issue(&mut self) -> Receipt {
        self.last += 1;
        Receipt(self.last)
    }

    /// A receipt that held mail was given now waits for so many commits.
    pub(super) fn expect_commits(&mut self, receipt: Receipt, commits: usize) {
        self.open.insert(receipt, Open { commits, ended: Vec::new(), failure: None, then: Then::Answer });
    }

    pub(super) fn answer(&mut self, receipt: Receipt, result: Result<Safe, Reply>) {
        self.done.push((receipt, result));
    }
}

fn no_post() -> Reply {
    Reply::new(451, Enhanced(4, 3, 0), "the domain's spool is not open")
}

/// The one place where the spool's troubles become replies.
pub fn reply_to(error: &SpoolError) -> Reply {
    match error {
        SpoolError::Quota => Reply::new(452, Enhanced(4, 3, 1), "the domain's spool quota is used up"),
        SpoolError::NoSpace => Reply::new(452, Enhanced(4, 3, 1), "no space left for mail"),
        SpoolError::Busy => Reply::new(451, Enhanced(4, 3, 1), "too much mail at once; try again"),
        SpoolError::Io | SpoolError::Damaged | SpoolError::Missing => {
            Reply::new(451, Enhanced(4, 3, 0), "the message could not be stored")
        }
    }
}
