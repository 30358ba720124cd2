//! The log of one domain: takes messages, states and done-records, hands out batches of writes, and knows
//! where everything lies. It never waits and never syncs: the flusher runs its batches.
//! Danger: nothing is acknowledged, and no older copy given up, before its batch has come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{FLASH_PAGE_BYTES, SPOOL_INLINE_BYTES_MAX, SPOOL_LAZY_MS};
use crate::mail::QueueId;
use crate::spool::append::Body;
use crate::spool::batch::{Batch, Part};
use crate::spool::flash::Flash;
use crate::spool::meta::Meta;
use crate::spool::record::Kind;
use crate::spool::segments::{Bounds, Claim, Place, Segments};
use crate::spool::state::State;
use crate::spool::sweep::Sweep;
use crate::spool::{SpoolError, Ticket, Wear};
use crate::time::Instant;

/// Where a message lies.
#[derive(Debug)]
pub(super) struct Entry {
    pub commit: Place,
    pub state: Option<Place>,
    /// Boxed because most messages have none.
    pub chunks: Option<Box<Chunks>>,
}

/// What the index of a log holds of a message that lies in one record.
pub const INDEX_ENTRY_BYTES: usize = size_of::<(QueueId, Entry)>();

/// The data records of a message by number; those of the body come first.
#[derive(Debug)]
pub(super) struct Chunks {
    pub places: Vec<Place>,
    pub body: usize,
}

impl Entry {
    pub fn chunks(&self) -> &[Place] {
        self.chunks.as_ref().map_or(&[], |chunks| &chunks.places)
    }

    pub fn body_chunks(&self) -> &[Place] {
        self.chunks.as_ref().map_or(&[], |chunks| &chunks.places[..chunks.body])
    }

    pub fn prefix_chunks(&self) -> &[Place] {
        self.chunks.as_ref().map_or(&[], |chunks| &chunks.places[chunks.body..])
    }

    pub fn places(&self) -> impl Iterator<Item = Place> {
        [Some(self.commit), self.state].into_iter().flatten().chain(self.chunks().iter().copied())
    }

    pub fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        let chunks = self.chunks.iter_mut().flat_map(|chunks| chunks.places.iter_mut());
        std::iter::once(&mut self.commit).chain(self.state.as_mut()).chain(chunks)
    }
}

/// A message whose body is still coming in.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub chunks: Vec<Place>,
    /// The end of the body, not yet enough for a record.
    pub tail: Vec<u8>,
    pub body_bytes: u64,
    /// A piece of it could not be written.
    pub lost: bool,
}

/// What becomes of a record when its batch fails.
#[derive(Debug)]
pub(super) enum Intent {
    /// Of a message with so many bytes.
    Commit {
        id: QueueId,
        ticket: Ticket,
        place: Place,
        bytes: u64,
    },
    Data {
        id: QueueId,
        place: Place,
    },
    State {
        id: QueueId,
        place: Place,
    },
    Done {
        id: QueueId,
        place: Place,
    },
    Moved {
        id: QueueId,
        from: Place,
        to: Place,
    },
}

impl Intent {
    /// The place that counts as needed because of this record.
    pub fn held(&self) -> Option<Place> {
        match self {
            Intent::Commit { place, .. } | Intent::Data { place, .. } | Intent::State { place, .. } => {
                Some(*place)
            }
            Intent::Moved { to, .. } => Some(*to),
            Intent::Done { .. } => None,
        }
    }

    /// The place of a record that must be written again if it is lost.
    pub fn upkeep(&self) -> Option<Place> {
        match self {
            Intent::State { place, .. } | Intent::Done { place, .. } => Some(*place),
            Intent::Commit { .. } | Intent::Data { .. } | Intent::Moved { .. } => None,
        }
    }
}

/// Records that wait for the next batch.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub parts: Vec<Part>,
    /// Each with the number of its part, ascending.
    pub intents: Vec<(usize, Intent)>,
    /// Places that are given up when these records are durable.
    pub frees: Vec<Place>,
    /// Segments whose done-records have all been copied forward by these records.
    pub emptied: Vec<u32>,
    pub bytes: usize,
    /// Commits among them.
    pub commits: usize,
    /// Something in it should not wait for company.
    pub urgent: bool,
    /// Since when states and done-records wait.
    pub lazy_since: Option<Instant>,
}

/// A batch under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub batch: Batch,
    pub rest: Pending,
}

/// The segment that is being filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    pub sequence: u32,
    /// Where the next record goes.
    pub offset: u32,
}

impl Active {
    /// At the beginning of a page, so that nothing durable is written again.
    pub fn at_next_page(self) -> Self {
        Active { offset: self.offset.next_multiple_of(FLASH_PAGE_BYTES as u32), ..self }
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct DomainLog {
    pub(super) segments: Segments,
    pub(super) index: HashMap<QueueId, Entry>,
    pub(super) drafts: HashMap<QueueId, Draft>,
    pub(super) active: Option<Active>,
    pub(super) pending: Pending,
    pub(super) flight: Option<Flight>,
    pub(super) last_ticket: Ticket,
    pub(super) durable: Ticket,
    pub(super) sweep: Option<Sweep>,
    /// There is a segment worth emptying.
    pub(super) sweep_wanted: bool,
    /// After a batch that failed: what nobody waits for rests until then, so that a medium that is broken
    /// for good does not keep the house busy.
    pub(super) rest: Rest,
    pub(super) wear: Wear,
}

/// Whether upkeep rests after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    No,
    /// A batch has failed; the next call with a time begins the rest.
    Wanted,
    Until(Instant),
}

impl DomainLog {
    /// An empty log. [`DomainLog::recover`] opens one that may hold mail.
    pub(super) fn new(bounds: Bounds) -> Self {
        DomainLog {
            segments: Segments::new(bounds),
            index: HashMap::new(),
            drafts: HashMap::new(),
            active: None,
            pending: Pending::default(),
            flight: None,
            last_ticket: Ticket(0),
            durable: Ticket(0),
            sweep: None,
            sweep_wanted: false,
            rest: Rest::No,
            wear: Wear::default(),
        }
    }

    /// Appends a message with its header section (ending in its empty line) and its body. It may be called
    /// stored when its ticket is durable. On an error nothing of it stays.
    pub fn put(&mut self, id: QueueId, meta: &Meta, head: &[u8], body: &[u8]) -> Result<Ticket, SpoolError> {
        self.put_as(Claim::Mail, id, meta, head, body)
    }

    /// [`DomainLog::put`] for a report of our own, which may use the reserve.
    pub fn put_report(
        &mut self,
        id: QueueId,
        meta: &Meta,
        head: &[u8],
        body: &[u8],
    ) -> Result<Ticket, SpoolError> {
        self.put_as(Claim::Report, id, meta, head, body)
    }

    fn put_as(
        &mut self,
        claim: Claim,
        id: QueueId,
        meta: &Meta,
        head: &[u8],
        body: &[u8],
    ) -> Result<Ticket, SpoolError> {
        let facts = meta.encode();
        let whole = facts.len() + head.len() + body.len();
        self.check_room(claim, whole)?;
        if whole <= SPOOL_INLINE_BYTES_MAX {
            return self.commit(claim, id, meta.received, [&facts, head], Body::Inline(body));
        }
        self.draft(id);
        let appended = self.append_pieces(claim, id, body).and_then(|()| self.flush_tail(claim, id));
        let ticket = appended.and_then(|()| self.commit_draft(claim, id, meta.received, [&facts, head]));
        ticket.inspect_err(|_| self.draft_drop(id))
    }

    /// Begins a message whose body comes in pieces.
    pub fn draft(&mut self, id: QueueId) {
        self.drafts.insert(id, Draft::default());
    }

    /// Appends a piece of any size to a draft's body. After an error the draft can only be dropped, except
    /// after [`SpoolError::Busy`]: then nothing was taken, and the piece may be offered again.
    pub fn draft_append(&mut self, id: QueueId, piece: &[u8]) -> Result<(), SpoolError> {
        self.check_room(Claim::Mail, piece.len())?;
        self.append_pieces(Claim::Mail, id, piece)
    }

    /// Commits a draft under its facts and header section; see [`DomainLog::put`].
    pub fn draft_commit(&mut self, id: QueueId, meta: &Meta, head: &[u8]) -> Result<Ticket, SpoolError> {
        let facts = meta.encode();
        let draft = self.draft_mut(id)?;
        let whole = facts.len() + head.len() + draft.tail.len();
        let inline = draft.chunks.is_empty() && whole <= SPOOL_INLINE_BYTES_MAX;
        self.check_room(Claim::Mail, whole)?;
        if inline {
            let body = std::mem::take(&mut self.draft_mut(id)?.tail);
            self.drafts.remove(&id);
            return self.commit(Claim::Mail, id, meta.received, [&facts, head], Body::Inline(&body));
        }
        self.flush_tail(Claim::Mail, id)?;
        self.commit_draft(Claim::Mail, id, meta.received, [&facts, head])
    }

    /// Forgets a draft; what was written of it is given up.
    pub fn draft_drop(&mut self, id: QueueId) {
        for place in self.drafts.remove(&id).map(|draft| draft.chunks).unwrap_or_default() {
            self.segments.free(place);
        }
    }

    /// Remembers a message's state. It is written with the next commit, or a few seconds later.
    pub fn update(&mut self, id: QueueId, state: &State) {
        if self.index.contains_key(&id) {
            self.update_encoded(id, &state.encode());
        }
    }

    pub(super) fn update_encoded(&mut self, id: QueueId, payload: &[u8]) {
        let place = self.append_upkeep(Kind::State, id, 0, payload);
        self.note(Intent::State { id, place });
        self.segments.hold(place);
        let old = self.index.get_mut(&id).and_then(|entry| entry.state.replace(place));
        self.pending.frees.extend(old);
    }

    /// Ends a message: it is forgotten at once, and on flash with the next commit, or a few seconds later.
    pub fn done(&mut self, id: QueueId) {
        let Some(entry) = self.index.remove(&id) else { return };
        let copies = self.segments.copied_from().filter(|n| *n != entry.commit.segment);
        let graves: Vec<u32> = std::iter::once(entry.commit.segment).chain(copies).collect();
        self.pending.frees.extend(entry.places());
        self.append_done(id, &graves);
    }

    pub(super) fn append_done(&mut self, id: QueueId, graves: &[u32]) {
        let payload: Vec<u8> = graves.iter().flat_map(|n| n.to_le_bytes()).collect();
        let place = self.append_upkeep(Kind::Done, id, 0, &payload);
        self.segments.bury(place.segment, graves);
        self.note(Intent::Done { id, place });
    }

    /// What is to be written now; `None` when nothing is due or the last batch is still under way.
    /// It goes back through [`DomainLog::batch_finished`] once it has run.
    pub fn take_batch(&mut self, flash: &dyn Flash, now: Instant) -> Option<Batch> {
        if self.flight.is_some() {
            return None;
        }
        let lazy = Duration::from_millis(SPOOL_LAZY_MS);
        self.rest = match self.rest {
            Rest::Wanted => Rest::Until(now + lazy),
            Rest::Until(end) if end > now => self.rest,
            Rest::Until(_) | Rest::No => Rest::No,
        };
        if self.rest == Rest::No {
            self.sweep(flash);
        }
        let lazy_due = |since: Instant| since + lazy <= now;
        if !self.pending.parts.is_empty() && self.pending.lazy_since.is_none() {
            self.pending.lazy_since = Some(now);
        }
        if !self.pending.urgent && !self.pending.lazy_since.is_some_and(lazy_due) {
            return None;
        }
        let mut rest = std::mem::take(&mut self.pending);
        rest.parts.iter_mut().for_each(Part::pad);
        self.active = self.active.map(Active::at_next_page);
        let batch = Batch { parts: Arc::new(std::mem::take(&mut rest.parts)) };
        self.flight = Some(Flight { batch: batch.clone(), rest });
        Some(batch)
    }

    /// When [`DomainLog::take_batch`] has something to give, if nothing more comes in: a moment that has
    /// passed when it has now.
    pub fn flush_due(&self) -> Option<Instant> {
        if self.flight.is_some() {
            return None;
        }
        if self.pending.urgent || self.rest == Rest::Wanted {
            return Some(Instant::ORIGIN);
        }
        let sweep = self.sweep_wanted.then_some(match self.rest {
            Rest::Until(end) => end,
            Rest::No | Rest::Wanted => Instant::ORIGIN,
        });
        let due = |since: Instant| since + Duration::from_millis(SPOOL_LAZY_MS);
        let lazy = || self.pending.lazy_since.map_or(Instant::ORIGIN, due);
        sweep.into_iter().chain((!self.pending.parts.is_empty()).then(lazy)).min()
    }

    /// Records that were put in now count as if they had waited since then.
    pub fn waiting_since(&mut self, since: Instant) {
        if !self.pending.parts.is_empty() {
            let earlier = self.pending.lazy_since.map_or(since, |other| other.min(since));
            self.pending.lazy_since = Some(earlier);
        }
    }

    /// Whether a batch is under way.
    pub fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    /// Bytes of records that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes
    }

    /// Whether everything that was said is durable, and no message is half here.
    pub fn is_at_rest(&self) -> bool {
        self.is_written() && self.drafts.is_empty()
    }

    /// Whether every record that was put in is durable.
    pub fn is_written(&self) -> bool {
        self.flight.is_none() && self.pending.parts.is_empty()
    }

    /// Commits that the next batch will make durable.
    pub fn waiting(&self) -> usize {
        self.pending.commits
    }

    /// Whether a message of `bytes` would be taken now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.check_room(Claim::Mail, bytes).is_ok()
    }

    /// Whether a message is in the log.
    pub fn contains(&self, id: QueueId) -> bool {
        self.index.contains_key(&id)
    }

    /// Messages in the log.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes of records that are still needed.
    pub fn bytes_used(&self) -> u64 {
        self.segments.live_bytes()
    }

    /// Bytes that the log's files take.
    pub fn bytes_on_flash(&self) -> u64 {
        self.segments.count() as u64 * u64::from(self.segments.bounds.segment_bytes)
    }

    pub fn quota_bytes(&self) -> u64 {
        self.segments.bounds.quota_bytes()
    }

    /// A new quota. Space past it is given back as it becomes free; the size of segments stays until the
    /// log is opened again.
    pub fn set_quota(&mut self, quota_bytes: u64) {
        self.segments.bounds.set_quota(quota_bytes);
    }

    /// What was written since the start.
    pub fn wear(&self) -> Wear {
        self.wear
    }
}
