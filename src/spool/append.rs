//! Appending to the log: cutting a message into records, placing them in segments, opening segments.
//! Danger: a place is promised to the index the moment a record is appended, so what is appended is never
//! moved within its batch.

use crate::limits::{
    FLASH_PAGE_BYTES, SPOOL_DATA_BYTES_MAX, SPOOL_DRAFT_FLUSH_BYTES, SPOOL_INLINE_BYTES_MAX,
};
use crate::limits::{SEGMENT_RESERVE_BYTES, SPOOL_PENDING_BYTES_MAX};
use crate::mail::QueueId;
use crate::spool::batch::{Opening, Part};
use crate::spool::commit::Commit;
use crate::spool::domain_log::{Active, Chunks, DomainLog, Draft, Entry, Intent};
use crate::spool::record::{self, HEADER_BYTES, Kind, record_bytes};
use crate::spool::segments::{Claim, Place};
use crate::spool::{SpoolError, Ticket};
use crate::time::WallTime;

/// Where the body of a message to be committed is.
pub(super) enum Body<'a> {
    Inline(&'a [u8]),
    /// In the draft's data records, of which so many are the body; the others are facts and header section.
    Chunks(Draft, u32),
}

impl DomainLog {
    pub(super) fn draft_mut(&mut self, id: QueueId) -> Result<&mut Draft, SpoolError> {
        let draft = self.drafts.get_mut(&id).ok_or(SpoolError::Missing)?;
        if draft.lost { Err(SpoolError::Io) } else { Ok(draft) }
    }

    pub(super) fn append_pieces(
        &mut self,
        claim: Claim,
        id: QueueId,
        mut piece: &[u8],
    ) -> Result<(), SpoolError> {
        self.draft_mut(id)?.body_bytes += piece.len() as u64;
        loop {
            let draft = self.draft_mut(id)?;
            if draft.tail.is_empty() && piece.len() >= SPOOL_DATA_BYTES_MAX {
                let (chunk, rest) = piece.split_at(SPOOL_DATA_BYTES_MAX);
                self.append_chunk(claim, id, chunk)?;
                piece = rest;
                continue;
            }
            let (taken, rest) = piece.split_at(piece.len().min(SPOOL_DATA_BYTES_MAX - draft.tail.len()));
            draft.tail.extend_from_slice(taken);
            piece = rest;
            if draft.tail.len() < SPOOL_DATA_BYTES_MAX {
                return Ok(());
            }
            self.flush_tail(claim, id)?;
        }
    }

    pub(super) fn flush_tail(&mut self, claim: Claim, id: QueueId) -> Result<(), SpoolError> {
        let tail = std::mem::take(&mut self.draft_mut(id)?.tail);
        self.append_chunk(claim, id, &tail)
    }

    /// Appends data records that hold `bytes`; a piece is cut where the segment ends.
    fn append_chunk(&mut self, claim: Claim, id: QueueId, mut bytes: &[u8]) -> Result<(), SpoolError> {
        while !bytes.is_empty() {
            let wanted = bytes.len().min(SPOOL_DATA_BYTES_MAX).min(self.room_for_data());
            let (piece, rest) = bytes.split_at(wanted);
            let number = self.draft_mut(id)?.chunks.len() as u32;
            let place = self.append(claim, Kind::Data, id, number, &[piece])?;
            self.note(Intent::Data { id, place });
            self.segments.hold(place);
            self.draft_mut(id)?.chunks.push(place);
            bytes = rest;
        }
        self.pending.urgent |= self.pending.bytes >= SPOOL_DRAFT_FLUSH_BYTES;
        Ok(())
    }

    /// Payload that a data record may have where the log ends; where that is hardly any, a new segment's.
    fn room_for_data(&self) -> usize {
        match self.room_in_active() as usize {
            left if left < FLASH_PAGE_BYTES => SPOOL_DATA_BYTES_MAX,
            left => left - HEADER_BYTES,
        }
    }

    /// Bytes that mail may still fill of the segment at the end of the log.
    pub(super) fn room_in_active(&self) -> u32 {
        let room =
            |active: Active| Some(self.segments.get(active.sequence)?.usable().saturating_sub(active.offset));
        self.active.and_then(room).unwrap_or(0)
    }

    pub(super) fn commit_draft(
        &mut self,
        claim: Claim,
        id: QueueId,
        received: WallTime,
        prefix: [&[u8]; 2],
    ) -> Result<Ticket, SpoolError> {
        let body_chunks = self.draft_mut(id)?.chunks.len() as u32;
        if prefix[0].len() + prefix[1].len() > SPOOL_INLINE_BYTES_MAX {
            self.append_chunk(claim, id, prefix[0])?;
            self.append_chunk(claim, id, prefix[1])?;
        }
        let draft = self.drafts.remove(&id).ok_or(SpoolError::Missing)?;
        self.commit(claim, id, received, prefix, Body::Chunks(draft, body_chunks))
    }

    /// Appends the commit record; `prefix` is the facts and the header section.
    pub(super) fn commit(
        &mut self,
        claim: Claim,
        id: QueueId,
        received: WallTime,
        prefix: [&[u8]; 2],
        body: Body<'_>,
    ) -> Result<Ticket, SpoolError> {
        let (inline_body, body_bytes, body_chunks, chunks): (&[u8], u64, u32, Vec<Place>) = match body {
            Body::Inline(bytes) => (bytes, bytes.len() as u64, 0, Vec::new()),
            Body::Chunks(draft, body_chunks) => (&[], draft.body_bytes, body_chunks, draft.chunks),
        };
        let prefix_chunks = chunks.len() as u32 - body_chunks;
        let [meta_bytes, head_bytes] = prefix.map(|part| part.len() as u32);
        let fixed =
            Commit { received, meta_bytes, head_bytes, body_bytes, body_chunks, prefix_chunks }.encode();
        let inline_prefix: [&[u8]; 2] = if prefix_chunks == 0 { prefix } else { [&[], &[]] };
        let payload = [&fixed, inline_prefix[0], inline_prefix[1], inline_body];
        let place = match self.append(claim, Kind::Commit, id, 0, &payload) {
            Ok(place) => place,
            Err(why) => {
                chunks.iter().for_each(|chunk| self.segments.free(*chunk));
                return Err(why);
            }
        };
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        let ticket = self.last_ticket;
        let bytes = u64::from(head_bytes) + body_bytes;
        self.note(Intent::Commit { id, ticket, place, bytes });
        self.segments.hold(place);
        let chunks =
            (!chunks.is_empty()).then(|| Box::new(Chunks { places: chunks, body: body_chunks as usize }));
        self.index.insert(id, Entry { commit: place, state: None, chunks });
        self.pending.commits += 1;
        self.pending.urgent = true;
        Ok(ticket)
    }

    /// Refuses what would not fit, before anything of it is appended.
    pub(super) fn check_room(&self, claim: Claim, payload_bytes: usize) -> Result<(), SpoolError> {
        if self.pending.bytes > SPOOL_PENDING_BYTES_MAX {
            return Err(SpoolError::Busy);
        }
        let records = 2 + payload_bytes.div_ceil(SPOOL_DATA_BYTES_MAX);
        let wanted = payload_bytes + records * (2 * HEADER_BYTES);
        let here = self.room_in_active() as usize;
        if wanted <= here {
            return Ok(());
        }
        let usable = (self.segments.bounds.segment_bytes - SEGMENT_RESERVE_BYTES) as usize;
        let beyond = if payload_bytes <= SPOOL_INLINE_BYTES_MAX { wanted } else { wanted - here };
        let fits = self.segments.grants(claim, beyond.div_ceil(usable), &self.busy());
        if fits { Ok(()) } else { Err(SpoolError::Quota) }
    }

    /// Appends a record that is never refused.
    pub(super) fn append_upkeep(&mut self, kind: Kind, id: QueueId, detail: u32, payload: &[u8]) -> Place {
        self.append(Claim::Upkeep, kind, id, detail, &[payload]).expect("upkeep is always granted a segment")
    }

    pub(super) fn append(
        &mut self,
        claim: Claim,
        kind: Kind,
        id: QueueId,
        detail: u32,
        payload: &[&[u8]],
    ) -> Result<Place, SpoolError> {
        let payload_bytes: usize = payload.iter().map(|piece| piece.len()).sum();
        let bytes = record_bytes(payload_bytes) as u32;
        let mut active = self.active_for(claim, kind, bytes)?;
        let segment = self.segments.get(active.sequence).ok_or(SpoolError::Io)?;
        let nonce = segment.nonce;
        let name = self.segments.name(active.sequence).ok_or(SpoolError::Io)?;
        let parts = &mut self.pending.parts;
        if parts.last().is_none_or(|part| part.name != name) {
            parts.push(Part { name, offset: active.offset, bytes: Vec::new(), opening: None });
        }
        let part = parts.last_mut().ok_or(SpoolError::Io)?;
        let place = Place::new(active.sequence, active.offset, payload_bytes);
        record::append(&mut part.bytes, nonce, kind, id, detail, payload);
        self.pending.bytes += bytes as usize;
        active.offset += bytes;
        self.segments.written_to(active.sequence, active.offset);
        self.active = Some(active);
        Ok(place)
    }

    /// The end of the log, in a segment with room for a record of this kind.
    fn active_for(&mut self, claim: Claim, kind: Kind, bytes: u32) -> Result<Active, SpoolError> {
        if let Some(active) = self.active
            && let Some(segment) = self.segments.get(active.sequence)
        {
            let end = if matches!(kind, Kind::State | Kind::Done) { segment.bytes } else { segment.usable() };
            if active.offset + bytes <= end {
                return Ok(active);
            }
        }
        self.open_segment(claim)
    }

    fn open_segment(&mut self, claim: Claim) -> Result<Active, SpoolError> {
        let before = self.active;
        let mut busy = self.busy();
        if !self.segments.grants(claim, 1, &busy) {
            return Err(SpoolError::Quota);
        }
        let (sequence, origin) = self.segments.open(&busy);
        busy.push(sequence);
        let retired = self.segments.retire(&busy);
        let name = self.segments.name(sequence).ok_or(SpoolError::Io)?;
        let opening = Opening { origin, bytes: self.segments.bounds.segment_bytes, retired, before };
        self.pending.parts.push(Part { name, offset: 0, bytes: Vec::new(), opening: Some(opening) });
        let active = Active { sequence, offset: 0 };
        self.active = Some(active);
        Ok(active)
    }

    /// Segments that records are being written to.
    pub(super) fn busy(&self) -> Vec<u32> {
        let flying = self.flight.iter().flat_map(|flight| flight.batch.parts.iter());
        let parts = self.pending.parts.iter().chain(flying).map(|part| part.name.sequence());
        self.active.iter().map(|active| active.sequence).chain(parts).collect()
    }

    /// Remembers what the record just appended was for.
    pub(super) fn note(&mut self, intent: Intent) {
        self.pending.intents.push((self.pending.parts.len() - 1, intent));
    }
}
