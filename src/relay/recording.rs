//! What a post writes down between the beginning of a round of attempts and its end, and what it could not
//! read. While one host hangs, others have taken the message: that they did is on flash at most
//! `SPOOL_LAZY_MS` later, so that a cut sends it again to those only who took it in these last seconds.
//! Danger: a failure of which nobody was told must not be on flash, or nobody ever would be.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::limits::SPOOL_LAZY_MS;
use crate::mail::{Domain, QueueId};
use crate::relay::active::{Active, Footing};
use crate::relay::office::Post;
use crate::spool::SpoolError;
use crate::time::Instant;

/// Messages whose round is not over, with outcomes that are not in the log yet.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    ids: BTreeSet<QueueId>,
    /// Since when the first of them waits.
    since: Option<Instant>,
}

impl Unrecorded {
    /// The round is over: its end is recorded in another way, and counts as waiting since the given time.
    pub fn forget(&mut self, id: QueueId) -> Option<Instant> {
        let since = self.since.filter(|_| self.ids.remove(&id));
        if self.ids.is_empty() {
            self.since = None;
        }
        since
    }

    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + Duration::from_millis(SPOOL_LAZY_MS))
    }
}

impl Post {
    /// A recipient of a message has an outcome, and others have none yet.
    pub(super) fn outcome_is_known(&mut self, id: QueueId, now: Instant) {
        self.unrecorded.ids.insert(id);
        self.unrecorded.since.get_or_insert(now);
    }

    /// Whether all that is known of a message's recipients is on flash.
    pub fn is_recorded(&self, id: QueueId) -> bool {
        let stored = |active: &Active| active.footing == Footing::Stored;
        let known = self.active.get(&id).is_none_or(stored) && !self.unrecorded.ids.contains(&id);
        known && self.tickets.is_empty() && self.log.is_written()
    }

    /// Puts outcomes into the log when they have waited long enough, or something is written anyway.
    pub(super) fn record_outcomes(&mut self, now: Instant) {
        let (Some(since), Some(due)) = (self.unrecorded.since, self.unrecorded.due()) else { return };
        if self.log.is_flying() || due > now && self.log.flush_due().is_none_or(|other| other > now) {
            return;
        }
        let ids = std::mem::take(&mut self.unrecorded).ids;
        for id in ids {
            if let Some(active) = self.active.get(&id).filter(|active| !active.deleted) {
                self.log.update(id, &active.interim_state());
            }
        }
        self.log.waiting_since(since);
    }

    /// When something wants to be written; `None` while a batch is under way, or when there is nothing.
    pub fn flush_due(&self) -> Option<Instant> {
        if self.log.is_flying() {
            return None;
        }
        self.log.flush_due().into_iter().chain(self.unrecorded.due()).min()
    }

    /// The log could not give a message out whose time had come.
    pub(super) fn cannot_read(&mut self, owner: &Domain, id: QueueId, why: SpoolError) {
        log::error!("{owner} {id}: cannot be read, and is tried again later: {why}");
        self.unreadable.insert(id, why.to_string());
    }

    /// What the operator should know of this post.
    pub fn alarms(&self) -> impl Iterator<Item = String> {
        let unreadable = self.unreadable.first_key_value().map(|(id, why)| match self.unreadable.len() {
            1 => format!("message {id} cannot be read: {why}; it is tried again"),
            n => format!("{n} messages cannot be read, {id} among them: {why}; they are tried again"),
        });
        let held = "the operator holds its mail; `queue release` with its name lets it go";
        let held = self.held.then(|| held.to_owned());
        self.damage.iter().cloned().chain(unreadable).chain(held)
    }
}
