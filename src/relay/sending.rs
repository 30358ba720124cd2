//! Sending (Figure 6): a message whose time has come is cut into jobs by road; when every job has reported,
//! the message is settled: gone, or due again, with a report to its sender where one is owed. A message is
//! never marked done before what follows from it is on flash.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, DomainConfig};
use crate::limits::{LANE_DOWN_S, LOGIN_AGAIN_S};
use crate::mail::{Domain, Envelope, LocalPart, QueueId};
use crate::relay::active::{Active, Body, Content, Footing};
use crate::relay::dispatch::{Job, LaneKey};
use crate::relay::judge::{Answer, Attempt, Verdict, retry_at};
use crate::relay::office::{Office, Post};
use crate::relay::queue::Want;
use crate::relay::route::{Road, road};
use crate::relay::storing::Fresh;
use crate::smtp::{Enhanced, Reply};
use crate::spool::{BodyPiece, Flash, SpoolError, State};
use crate::time::{Instant, Now};

/// A delivery into a mailbox of this box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalJob {
    /// Whose spool holds the message.
    pub owner: Domain,
    pub id: QueueId,
    pub recipient: usize,
    /// The mailbox.
    pub domain: Domain,
    pub user: LocalPart,
}

/// What is left to do for a message once all its jobs have reported.
#[derive(Debug)]
pub struct Settled {
    pub(super) owner: Domain,
    pub(super) id: QueueId,
}

impl Office {
    /// Makes due messages active, one domain after the other in turn, while there is room.
    pub fn activate_due(&mut self, now: Now) {
        let mut names = self.posts.due(now.mono, self.is_crowded());
        if let Some(last) = &self.turn {
            let next = names.partition_point(|name| name <= last);
            names.rotate_left(next);
        }
        while !names.is_empty() {
            names.retain(|name| {
                let Some(id) = self.next_due(name, now.mono) else { return false };
                self.turn = Some(name.clone());
                self.activate(now, name, id);
                true
            });
        }
    }

    /// The due message of a post that has room for one more. A post that serves and has nothing active has.
    fn next_due(&mut self, name: &Domain, now: Instant) -> Option<QueueId> {
        let crowded = self.is_crowded();
        let post = self.posts.get_mut(name).filter(|post| post.has_room(crowded))?;
        post.queue.take_due(now)
    }

    fn activate(&mut self, now: Now, owner: &Domain, id: QueueId) {
        let Some(post) = self.posts.get_mut(owner) else { return };
        match post.load(id) {
            Ok((mut active, read_bytes)) => {
                active.put_right(|time| self.steps.corrected(time));
                self.resident_bytes += read_bytes;
                self.launch(now, owner, id, active);
            }
            Err(SpoolError::Missing) => {
                log::error!("{owner} {id}: left out of the queue: the spool does not have it");
                post.queue.remove(id);
            }
            Err(why) => {
                let wait = self.config.domain(owner).map(|d| d.retry).unwrap_or_default().first;
                post.queue.defer(id, now.mono + wait, None);
                post.cannot_read(owner, id, why);
            }
        }
    }

    /// Puts an active message on its roads.
    pub(super) fn launch(&mut self, now: Now, owner: &Domain, id: QueueId, mut active: Active) {
        let config = self.config.clone();
        let Some(domain) = config.domain(owner) else { return };
        active.state.attempts = active.state.attempts.saturating_add(1);
        let homeless = self.homeless(domain);
        let unsettled = active.unsettled();
        let plan = domain.retry;
        for (road, places) in roads(&config, domain, &active.meta.envelope, &unsettled) {
            match self.dispatch_road(now, owner, id, road, places, homeless.as_deref()) {
                Ok(jobs) => active.open_jobs += jobs,
                Err((places, attempt)) => {
                    for place in places {
                        active.record(place, attempt.clone(), now.wall, &plan);
                    }
                }
            }
        }
        let idle = active.open_jobs == 0;
        if let Some(post) = self.posts.get_mut(owner) {
            post.active.insert(id, active);
        }
        if idle {
            self.settle(now, owner, id);
        }
    }

    /// Puts one road's recipients on their way: how many jobs that made, or why it cannot be.
    fn dispatch_road(
        &mut self,
        now: Now,
        owner: &Domain,
        id: QueueId,
        road: Road,
        places: Vec<usize>,
        homeless: Option<&str>,
    ) -> Result<usize, (Vec<usize>, Attempt)> {
        match road {
            Road::None(reply) => Err((places, Attempt::Refused(Answer { host: None, reply }))),
            Road::Mailbox { domain, user } => {
                let jobs = places.len();
                self.local.extend(places.into_iter().map(|recipient| LocalJob {
                    owner: owner.clone(),
                    id,
                    recipient,
                    domain: domain.clone(),
                    user: user.clone(),
                }));
                Ok(jobs)
            }
            Road::Smtp(hop, terms) => {
                if let Some(why) = homeless {
                    return Err((
                        places,
                        Attempt::NoAddress(Answer::own(451, Enhanced(4, 3, 5), why.to_owned())),
                    ));
                }
                let key = LaneKey { sender: owner.clone(), hop, terms };
                match self.dispatch.add(&key, Job { id, recipients: places }, now.mono) {
                    Ok(()) => Ok(1),
                    Err((job, why)) => Err((job.recipients, why)),
                }
            }
        }
    }

    /// The next lane that wants a connection; [`Office::connection_closed`] ends what this begins.
    pub fn open_connection(&mut self) -> Option<LaneKey> {
        let config = self.config.clone();
        self.dispatch.open_next(self.capacity.connections, |sender| {
            config.domain(sender).map_or(1, |d| usize::from(d.connections_max))
        })
    }

    /// The next job for a connection that had none (`was_free`) or has just reported one.
    pub fn take_job(&mut self, key: &LaneKey, was_free: bool) -> Option<Job> {
        self.dispatch.take(key, was_free)
    }

    /// Whether a lane has jobs that no connection has taken.
    pub fn has_jobs(&self, key: &LaneKey) -> bool {
        self.dispatch.has_jobs(key)
    }

    /// The next delivery into a mailbox.
    pub fn take_local(&mut self) -> Option<LocalJob> {
        self.local.pop_front()
    }

    /// An active message's envelope with only the recipients of `places`, and its content.
    pub fn job_message(&self, owner: &Domain, id: QueueId, places: &[usize]) -> Option<(Envelope, Content)> {
        let active = self.posts.get(owner)?.active.get(&id).filter(|a| !a.deleted)?;
        let all = &active.meta.envelope;
        let recipients = places.iter().filter_map(|p| all.recipients.get(*p).cloned()).collect();
        Some((Envelope { recipients, ..all.clone() }, active.content.clone()))
    }

    /// Whether an active message is its owner's own, so that it may be signed.
    pub fn is_authored(&self, owner: &Domain, id: QueueId) -> bool {
        self.posts.get(owner).and_then(|post| post.active.get(&id)).is_some_and(|a| a.meta.authored)
    }

    /// The signatures that [`Office::keep_signatures`] was given.
    pub fn signatures(&self, owner: &Domain, id: QueueId) -> Option<Rc<str>> {
        self.posts.get(owner)?.active.get(&id)?.signatures.clone()
    }

    /// Keeps the signatures of an active message until this round of attempts is over.
    pub fn keep_signatures(&mut self, owner: &Domain, id: QueueId, signatures: Rc<str>) {
        if let Some(active) = self.posts.get_mut(owner).and_then(|post| post.active.get_mut(&id)) {
            active.signatures = Some(signatures);
        }
    }

    /// Finds a piece of a body that is in the spool, and the medium it is to be read from: on the thread that
    /// runs batches, and before any that is taken later. See [`crate::spool::DomainLog::find_body`].
    pub fn find_body(&self, owner: &Domain, id: QueueId, offset: u64) -> Option<(BodyPiece, Arc<dyn Flash>)> {
        let post = self.posts.get(owner)?;
        Some((post.log.find_body(id, offset).ok()??, post.flash.clone()))
    }

    /// A connection's host could not be reached, or its session did not come to mail: every waiting job of
    /// the lane ends so.
    pub fn connection_failed(&mut self, now: Now, key: &LaneKey, attempt: Attempt) {
        let plan = self.config.domain(&key.sender).map(|d| d.retry).unwrap_or_default();
        let down = match attempt {
            Attempt::NotAdmitted(_) => Duration::from_secs(LOGIN_AGAIN_S),
            _ => (plan.first / 2).min(Duration::from_secs(LANE_DOWN_S)),
        };
        for job in self.dispatch.failed(key, now.mono + down, attempt.clone()) {
            let attempts = job.recipients.iter().map(|place| (*place, attempt.clone())).collect();
            self.finish_job(now, &key.sender, job.id, attempts);
        }
    }

    /// A connection gives back a job, or what it did not get to of one; what it has learnt of some recipients
    /// is kept. Another connection takes the rest.
    pub fn put_back(&mut self, now: Now, key: &LaneKey, job: Job, attempts: Vec<(usize, Attempt)>) {
        let id = job.id;
        match self.dispatch.add(key, job, now.mono) {
            Ok(()) => {
                if let Some(active) =
                    self.posts.get_mut(&key.sender).and_then(|post| post.active.get_mut(&id))
                {
                    active.open_jobs += 1;
                }
                self.finish_job(now, &key.sender, id, attempts);
            }
            Err((job, why)) => {
                let rest = job.recipients.into_iter().map(|place| (place, why.clone()));
                self.finish_job(now, &key.sender, id, attempts.into_iter().chain(rest).collect());
            }
        }
    }

    /// A connection has ended, in the middle of a job or without one (`was_free`).
    pub fn connection_closed(&mut self, now: Now, key: &LaneKey, was_free: bool) {
        self.dispatch.closed(key, was_free, now.mono);
    }

    /// A connection has carried a message.
    pub fn connection_works(&mut self, key: &LaneKey) {
        self.dispatch.succeeded(key);
    }

    /// A job's outcome, recipient by recipient.
    pub fn finish_job(&mut self, now: Now, owner: &Domain, id: QueueId, attempts: Vec<(usize, Attempt)>) {
        let plan = self.config.domain(owner).map(|d| d.retry).unwrap_or_default();
        let Some(post) = self.posts.get_mut(owner) else { return };
        let Some(active) = post.active.get_mut(&id) else { return };
        for (place, attempt) in attempts {
            let to = active.meta.envelope.recipients[place].address.clone();
            post.last_reply = Some(format!("{to}: {}", attempt.answer()));
            match active.record(place, attempt, now.wall, &plan) {
                Verdict::Delivered(answer) => {
                    post.counts.delivered += 1;
                    log::info!("{owner} {id}: {to}... Sent ({answer})");
                }
                Verdict::Deferred(answer) => {
                    post.counts.deferred += 1;
                    log::warn!("{owner} {id}: {to}... Deferred: {answer}");
                }
                Verdict::Failed(answer) => {
                    post.counts.failed += 1;
                    log::warn!("{owner} {id}: {to}... Failed: {answer}");
                }
            }
        }
        active.open_jobs -= 1;
        let over = active.open_jobs == 0;
        if !matches!(active.footing, Footing::Held(_)) {
            post.outcome_is_known(id, now.mono);
        }
        if over {
            self.settle(now, owner, id);
        }
    }

    /// Every job of a message has reported.
    pub(super) fn settle(&mut self, now: Now, owner: &Domain, id: QueueId) {
        let footing =
            self.posts.get(owner).and_then(|post| post.active.get(&id)).map(|active| active.footing);
        match footing {
            Some(Footing::Stored) => self.report_and_conclude(now, owner, id),
            Some(Footing::Held(receipt)) => self.held_share_settled(now, receipt),
            // Settled when its commit has come to flash.
            Some(Footing::Committing) | None => {}
        }
    }

    /// What the sender of a message must hear is stored first.
    fn report_and_conclude(&mut self, now: Now, owner: &Domain, id: QueueId) {
        let settled = Settled { owner: owner.clone(), id };
        match self.report_on(now, owner, id) {
            Some(report) => {
                if let Err(reply) = self.store_report(now, report, Settled { owner: owner.clone(), id }) {
                    self.report_stored(now, settled, Err(reply));
                }
            }
            None => self.conclude(now, &settled),
        }
    }

    /// The report on a message is safe, or could not be stored: then its subjects are tried once more.
    pub(super) fn report_stored(&mut self, now: Now, settled: Settled, result: Result<(), Reply>) {
        if let Err(reply) = result {
            log::error!("{} {}: its report could not be stored: {reply}", settled.owner, settled.id);
            if let Some(active) =
                self.posts.get_mut(&settled.owner).and_then(|p| p.active.get_mut(&settled.id))
            {
                active.take_failures_back();
            }
        }
        self.conclude(now, &settled);
    }

    /// The message is done when no recipient is left, else it waits for its next attempt.
    fn conclude(&mut self, now: Now, settled: &Settled) {
        let plan = self.config.domain(&settled.owner).map(|d| d.retry).unwrap_or_default();
        let Some(post) = self.posts.get_mut(&settled.owner) else { return };
        let Some(mut active) = post.active.remove(&settled.id) else { return };
        let since = post.unrecorded.forget(settled.id).unwrap_or(now.mono);
        self.resident_bytes -= active.content.resident();
        if self.watched.remove(&settled.id) {
            self.outcomes.push(active.outcome(settled.id));
        }
        if active.deleted || active.unsettled().is_empty() {
            post.log.done(settled.id);
            post.log.waiting_since(since);
            post.queue.remove(settled.id);
            return;
        }
        let (received, attempts) = (active.meta.received, active.state.attempts);
        active.state.next = match active.wants {
            Some(Want::Login) => now.wall + Duration::from_secs(LOGIN_AGAIN_S),
            _ => retry_at(attempts, received, now.wall, &plan, &mut self.prng),
        };
        post.log.update(settled.id, &active.state);
        post.log.waiting_since(since);
        let due = now.mono + active.state.next.since(now.wall);
        post.queue.defer(settled.id, due, active.wants);
    }
}

impl Post {
    /// A message's envelope, state and content: from memory if it was just stored, else from flash. Tells
    /// too how many bytes this brought into memory.
    fn load(&mut self, id: QueueId) -> Result<(Active, usize), SpoolError> {
        if let Some(Fresh { meta, content }) = self.fresh.remove(&id) {
            let state = State::new(meta.envelope.recipients.len(), meta.received);
            return Ok((Active::new(meta, content, state, Footing::Stored), 0));
        }
        let stored = self.log.load(&*self.flash, id)?;
        self.unreadable.remove(&id);
        let content = Content { head: Rc::new(stored.head), body: Body::Spool(stored.body_len) };
        let bytes = content.resident();
        Ok((Active::new(Rc::new(stored.meta), content, stored.state, Footing::Stored), bytes))
    }
}

/// The recipients of `places`, grouped by road in the order of the envelope.
fn roads(
    config: &Config,
    sender: &DomainConfig,
    envelope: &Envelope,
    places: &[usize],
) -> Vec<(Road, Vec<usize>)> {
    let mut roads: Vec<(Road, Vec<usize>)> = Vec::new();
    for &place in places {
        let road = road(config, sender, &envelope.recipients[place].address);
        match roads.iter_mut().find(|(known, _)| *known == road) {
            Some((_, group)) => group.push(place),
            None => roads.push((road, vec![place])),
        }
    }
    roads
}
