//! What follows from a batch's end. On success the places it made obsolete are given up. On failure its
//! commits are refused, its states and done-records are written again elsewhere, and what may have reached
//! flash of a refused commit is ended by a done-record, so that it does not come back after a restart.

use std::ops::RangeInclusive;

use crate::mail::QueueId;
use crate::spool::batch::{Batch, BatchError, Part, Stage};
use crate::spool::domain_log::{Active, DomainLog, Entry, Flight, Intent, Pending, Rest};
use crate::spool::flash::FileName;
use crate::spool::record;
use crate::spool::segments::{Origin, Place};
use crate::spool::{SpoolError, Ticket};

/// Which tickets are settled after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// All tickets up to this one are on flash, but for those that were ever told as failed.
    pub up_to: Ticket,
    /// These are not, and their messages are forgotten.
    pub failed: Option<Failure>,
}

/// Commits that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub tickets: RangeInclusive<Ticket>,
    pub why: SpoolError,
}

impl Failure {
    pub fn contains(&self, ticket: &Ticket) -> bool {
        self.tickets.contains(ticket)
    }
}

/// A record that did not become durable.
struct Lost {
    intent: Intent,
    /// What the record said; only of states and done-records.
    payload: Vec<u8>,
    /// It may have reached flash nevertheless.
    written: bool,
}

/// A record to be written again.
enum Again {
    State(QueueId, Vec<u8>),
    Done(QueueId, Vec<u32>),
}

impl DomainLog {
    /// Takes back the batch that [`DomainLog::take_batch`] gave out, with its result.
    pub fn batch_finished(&mut self, result: Result<(), BatchError>) -> Durable {
        let Some(Flight { batch, rest }) = self.flight.take() else {
            return Durable { up_to: self.durable, failed: None };
        };
        let good = result.as_ref().map_or_else(|error| error.part, |()| batch.parts.len());
        self.count_wear(&batch, &rest, good);
        for (part, intent) in &rest.intents {
            if let Intent::Commit { ticket, .. } = intent
                && *part < good
            {
                self.durable = *ticket;
            }
        }
        match result {
            Ok(()) => {
                self.settle_frees(&rest);
                Durable { up_to: self.durable, failed: None }
            }
            Err(error) => self.batch_failed(batch, rest, error),
        }
    }

    fn settle_frees(&mut self, rest: &Pending) {
        for place in &rest.frees {
            self.segments.free(*place);
        }
        for emptied in &rest.emptied {
            self.segments.clear_graves(*emptied);
        }
        self.segments.prune();
        self.sweep_wanted = self.sweep.is_some() || self.choose_victim().is_some();
    }

    fn count_wear(&mut self, batch: &Batch, rest: &Pending, good: usize) {
        for part in &batch.parts[..good] {
            self.wear.bytes_written += part.bytes.len() as u64;
            self.wear.syncs += 1;
            if let Some(opening) = &part.opening {
                self.wear.syncs += 1;
                if matches!(opening.origin, Origin::Created) {
                    self.wear.bytes_zeroed += u64::from(opening.bytes);
                    self.wear.syncs += 1;
                }
            }
        }
        self.wear.batches += 1;
        for (part, intent) in &rest.intents {
            if let Intent::Commit { bytes, .. } = intent
                && *part < good
            {
                self.wear.commits += 1;
                self.wear.bytes_stored += bytes;
            }
        }
    }

    /// The parts before the one that failed are durable; it, the later ones and all that was appended
    /// meanwhile are not.
    fn batch_failed(&mut self, batch: Batch, rest: Pending, error: BatchError) -> Durable {
        let Pending { parts, intents, mut frees, .. } = std::mem::take(&mut self.pending);
        let mut lost = lost_records(&parts, intents, 0, None);
        let written = (error.stage == Stage::Writing).then_some(error.part);
        lost.extend(lost_records(&batch.parts, rest.intents, error.part, written));
        frees.extend(rest.frees);
        for record in &lost {
            if let Some(place) = record.intent.held() {
                self.segments.free(place);
            }
        }
        for part in parts.iter().rev() {
            self.close(part, false);
        }
        for (n, part) in batch.parts.iter().enumerate().skip(error.part).rev() {
            self.close(part, written == Some(n));
        }
        if let Stage::Opening(Some(listed)) = &error.stage {
            self.segments.reconcile(listed);
        }
        let again: Vec<Again> =
            lost.into_iter().filter_map(|record| self.revert(record, &mut frees)).collect();
        self.pending.frees = frees;
        self.sweep = None;
        self.rest = Rest::Wanted;
        for record in again.into_iter().rev() {
            match record {
                Again::State(id, payload) => self.update_encoded(id, &payload),
                Again::Done(id, graves) => self.append_done(id, &graves),
            }
        }
        self.sweep_wanted = self.choose_victim().is_some();
        self.tickets_failed(SpoolError::from(error.why))
    }

    fn tickets_failed(&mut self, why: SpoolError) -> Durable {
        let (first, last) = (Ticket(self.durable.0 + 1), self.last_ticket);
        let failed = (first <= last).then_some(Failure { tickets: first..=last, why });
        let up_to = std::mem::replace(&mut self.durable, last);
        Durable { up_to, failed }
    }

    /// The part's segment takes no more records: it was never opened, or is final from the part on.
    fn close(&mut self, part: &Part, written: bool) {
        let sequence = part.name.sequence();
        if self.active.is_some_and(|active| active.sequence == sequence) {
            self.active = None;
        }
        match &part.opening {
            Some(opening) if !written => {
                self.segments.undo_open(sequence, &opening.origin);
                for (name, segment, spare) in &opening.retired {
                    self.segments.undo_retire(*name, segment.clone(), *spare);
                }
                let before = opening.before.filter(|active| self.segments.get(active.sequence).is_some());
                self.active = before.map(Active::at_next_page);
            }
            _ => self.segments.void(sequence, part.offset, written),
        }
    }

    /// Takes back what the log believed because of a record; newest records come first.
    fn revert(&mut self, lost: Lost, frees: &mut Vec<Place>) -> Option<Again> {
        match lost.intent {
            Intent::Commit { id, place, .. } => {
                if self.index.get(&id).is_some_and(|entry| entry.commit == place) {
                    let entry = self.index.remove(&id)?;
                    entry.places().for_each(|place| self.segments.free(place));
                }
                lost.written.then(|| Again::Done(id, vec![place.segment]))
            }
            Intent::Data { id, .. } => {
                if let Some(draft) = self.drafts.get_mut(&id) {
                    draft.lost = true;
                }
                None
            }
            Intent::State { id, place } => {
                let current = self.index.get(&id).is_some_and(|entry| entry.state == Some(place));
                current.then_some(Again::State(id, lost.payload))
            }
            Intent::Done { id, .. } => Some(Again::Done(id, graves(&lost.payload))),
            Intent::Moved { id, from, to } => {
                if self.relocate(id, to, from) {
                    frees.retain(|place| *place != from);
                }
                None
            }
        }
    }

    /// Replaces one place of a message or draft by another, if it is there.
    pub(super) fn relocate(&mut self, id: QueueId, old: Place, new: Place) -> bool {
        let entry = self.index.get_mut(&id).map(Entry::places_mut);
        let draft = self.drafts.get_mut(&id).map(|draft| draft.chunks.iter_mut());
        let mut places = entry.into_iter().flatten().chain(draft.into_iter().flatten());
        places.find(|place| **place == old).map(|place| *place = new).is_some()
    }
}

/// The records of the parts from `first` on, newest first.
fn lost_records(
    parts: &[Part],
    intents: Vec<(usize, Intent)>,
    first: usize,
    written: Option<usize>,
) -> Vec<Lost> {
    let lost = intents.into_iter().rev().filter(|(part, _)| *part >= first);
    lost.map(|(n, intent)| {
        let payload = intent.upkeep().and_then(|place| payload(&parts[n], place)).unwrap_or_default();
        Lost { intent, payload, written: written == Some(n) }
    })
    .collect()
}

fn payload(part: &Part, place: Place) -> Option<Vec<u8>> {
    let FileName::Segment { nonce, .. } = part.name else { return None };
    record::parse(part.record(place)?, nonce).ok().map(|record| record.payload.to_vec())
}

/// The segments that a done-record's payload lists.
pub(super) fn graves(payload: &[u8]) -> Vec<u32> {
    payload.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect()
}
