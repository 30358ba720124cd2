//! Emptying a segment that little is left in: what is still needed is copied forward, a bounded piece with
//! each batch, and the segment is used again. Copies are whole records under the new segment's nonce.
//! Danger: the old copy counts until the new one is durable, and its done-record as long as it can be read.

use crate::limits::{RECORD_PAYLOAD_BYTES_MAX, SPOOL_COMPACT_BYTES_MAX};
use crate::spool::damage::keep_aside;
use crate::spool::domain_log::{DomainLog, Intent};
use crate::spool::flash::{FileName, Flash};
use crate::spool::record::{Found, Kind, Record, Walk, record_bytes};
use crate::spool::segments::{Claim, Place};
use crate::spool::settle::graves;

/// How far the emptying of a segment has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    victim: u32,
    /// The records before this offset have been looked at.
    cursor: u32,
}

/// Segments that can be opened at once, below which mail is refused; space is made before that.
const AVAILABLE_MIN: usize = 3;

impl DomainLog {
    /// The segment to be emptied next, if one is worth it: when few can be opened, any from which an
    /// eighth is gained; before a new file would have to be made, one that is three quarters free; and
    /// always one whose sync failed.
    pub(super) fn choose_victim(&self) -> Option<u32> {
        let busy = self.busy();
        let whole = self.segments.bounds.segment_bytes;
        let filling = self.active.is_some_and(|active| active.offset > whole / 2);
        let available = self.segments.available(&busy);
        let live_max = if available < AVAILABLE_MIN || available == AVAILABLE_MIN && filling {
            whole
        } else if filling && self.segments.reusable(&busy) == 0 {
            whole / 4
        } else {
            return self.segments.suspect(&busy);
        };
        self.segments.victim(&busy, live_max)
    }

    /// Copies a bounded piece of the victim into the pending records.
    pub(super) fn sweep(&mut self, flash: &dyn Flash) {
        if self.sweep.is_none() && self.sweep_wanted {
            self.sweep = self.choose_victim().map(|victim| Sweep { victim, cursor: 0 });
        }
        let Some(Sweep { victim, cursor }) = self.sweep else {
            self.sweep_wanted = false;
            return;
        };
        let Some(name) = self.segments.name(victim) else {
            self.sweep = None;
            return;
        };
        let FileName::Segment { nonce, .. } = name else { return };
        let end = self.segments.get(victim).map_or(0, |segment| segment.bytes);
        let window = SPOOL_COMPACT_BYTES_MAX + record_bytes(RECORD_PAYLOAD_BYTES_MAX);
        let mut bytes = vec![0; window.min((end - cursor.min(end)) as usize)];
        match flash.read(name, cursor, &mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(why) => {
                log::error!("{name} cannot be read and is left as it is: {why}");
                return self.leave(victim);
            }
        }
        match self.sweep_window(flash, victim, cursor, &bytes, nonce) {
            Step::Next(next) if next < end && bytes.len() > SPOOL_COMPACT_BYTES_MAX => {
                self.sweep = Some(Sweep { victim, cursor: next });
            }
            Step::Next(_) => self.end_sweep(victim),
            Step::NoRoom => {
                self.sweep = None;
                self.sweep_wanted = false;
            }
        }
    }

    fn sweep_window(
        &mut self,
        flash: &dyn Flash,
        victim: u32,
        cursor: u32,
        bytes: &[u8],
        nonce: u64,
    ) -> Step {
        let mut walk = Walk::new(bytes, nonce);
        for found in walk.by_ref() {
            match found {
                Found::Record { offset, .. }
                | Found::Damage { range: std::ops::Range { start: offset, .. }, .. }
                    if offset >= SPOOL_COMPACT_BYTES_MAX =>
                {
                    return Step::Next(cursor + offset as u32);
                }
                Found::Record { offset, record } => {
                    let place = Place::new(victim, cursor + offset as u32, record.payload.len());
                    if !self.sweep_record(place, record) {
                        return Step::NoRoom;
                    }
                }
                Found::Damage { range, .. } => {
                    let name = FileName::Segment { sequence: victim, nonce };
                    keep_aside(flash, name, cursor as usize + range.start, &bytes[range]);
                }
            }
        }
        Step::Next(cursor + walk.end().max(SPOOL_COMPACT_BYTES_MAX) as u32)
    }

    /// Copies one record forward if it is still needed; false when there is no room for it.
    fn sweep_record(&mut self, from: Place, record: Record<'_>) -> bool {
        if record.kind == Kind::Done {
            let graves = graves(record.payload);
            let there: Vec<u32> = graves.into_iter().filter(|n| self.segments.get(*n).is_some()).collect();
            let needed = there.iter().any(|n| *n != from.segment);
            if needed {
                self.append_done(record.id, &there);
                self.pending.urgent = true;
            }
            return true;
        }
        if !self.needs(record, from) {
            return true;
        }
        if !self.has_room_for_copy(record.payload.len()) {
            return false;
        }
        let Ok(to) = self.append(Claim::Upkeep, record.kind, record.id, record.detail, &[record.payload])
        else {
            return false;
        };
        self.note(Intent::Moved { id: record.id, from, to });
        self.segments.hold(to);
        self.relocate(record.id, from, to);
        self.pending.frees.push(from);
        self.pending.urgent = true;
        self.wear.bytes_moved += u64::from(to.bytes());
        if record.kind == Kind::Commit {
            self.segments.mark_copied_from(from.segment);
        }
        true
    }

    /// Whether the log counts on the record at `place`.
    fn needs(&self, record: Record<'_>, place: Place) -> bool {
        let entry = self.index.get(&record.id);
        let chunk = record.detail as usize;
        match record.kind {
            Kind::Commit => entry.is_some_and(|entry| entry.commit == place),
            Kind::State => entry.is_some_and(|entry| entry.state == Some(place)),
            Kind::Data => {
                let draft = self.drafts.get(&record.id).and_then(|draft| draft.chunks.get(chunk));
                entry.and_then(|entry| entry.chunks().get(chunk)).or(draft) == Some(&place)
            }
            Kind::Done => false,
        }
    }

    /// Copies must not take the log past its quota.
    fn has_room_for_copy(&self, payload_bytes: usize) -> bool {
        let here = self.room_in_active() as usize >= record_bytes(payload_bytes);
        here || self.segments.available(&self.busy()) > 0
    }

    /// The victim cannot be emptied.
    fn leave(&mut self, victim: u32) {
        self.sweep = None;
        if let Some(segment) = self.segments.get_mut(victim) {
            segment.stuck = true;
        }
        self.sweep_wanted = self.choose_victim().is_some();
    }

    /// All of the victim has been looked at. What is left in it cannot be read.
    fn end_sweep(&mut self, victim: u32) {
        self.sweep = None;
        let moved: u32 = self.pending.frees.iter().filter(|p| p.segment == victim).map(|p| p.bytes()).sum();
        if let Some(segment) = self.segments.get_mut(victim) {
            segment.stuck = segment.live > moved;
        }
        if self.pending.parts.is_empty() {
            self.segments.clear_graves(victim);
        } else {
            self.pending.emptied.push(victim);
        }
        self.sweep_wanted = self.choose_victim().is_some();
    }
}

enum Step {
    /// The next record to be looked at.
    Next(u32),
    NoRoom,
}
