//! The segments of one domain's log: how much of each is still needed, which may be used again, which is
//! worth emptying. Danger: a segment that is used again takes its records with it, so a done-record must
//! outlive every segment that still holds a commit of its message, or the message would come back.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::limits::SPOOL_QUOTA_BYTES_MIN;
use crate::limits::{SEGMENT_BYTES, SEGMENT_BYTES_MIN, SEGMENT_RESERVE_BYTES, SEGMENTS_MIN};
use crate::prng::Prng;
use crate::spool::flash::{FileName, Listed};
use crate::spool::record::{HEADER_BYTES, record_bytes};

/// Where a record lies, and the bytes of its header and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub segment: u32,
    pub offset: u32,
    bytes: NonZeroU32,
}

impl Place {
    pub fn new(segment: u32, offset: u32, payload_bytes: usize) -> Self {
        let bytes = NonZeroU32::MIN.saturating_add((HEADER_BYTES + payload_bytes - 1) as u32);
        Place { segment, offset, bytes }
    }

    pub fn bytes(self) -> u32 {
        self.bytes.get()
    }

    pub fn payload_bytes(self) -> u64 {
        u64::from(self.bytes()) - HEADER_BYTES as u64
    }
}

/// How large a domain's log may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub segment_bytes: u32,
    pub segments_max: usize,
    /// What the nonces are drawn from; it must differ from one start to the next and be no one's guess.
    pub seed: u64,
}

impl Bounds {
    /// Bounds for a quota in bytes, which is at least 1 MiB; segments are smaller where the quota is.
    pub fn for_quota(quota_bytes: u64, seed: u64) -> Self {
        let quota = quota_bytes.max(SPOOL_QUOTA_BYTES_MIN);
        let mut segment_bytes = SEGMENT_BYTES;
        while segment_bytes > SEGMENT_BYTES_MIN && quota / u64::from(segment_bytes) < 16 {
            segment_bytes /= 2;
        }
        let mut bounds = Bounds { segment_bytes, segments_max: 0, seed };
        bounds.set_quota(quota);
        bounds
    }

    /// Another quota with segments of the same size, of which there are at least four.
    pub fn set_quota(&mut self, quota_bytes: u64) {
        let fitting = usize::try_from(quota_bytes / u64::from(self.segment_bytes)).unwrap_or(usize::MAX);
        self.segments_max = fitting.max(SEGMENTS_MIN);
    }

    pub fn quota_bytes(&self) -> u64 {
        u64::from(self.segment_bytes) * self.segments_max as u64
    }
}

/// Who asks for a new segment, from the one who is refused first to the one who never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Mail,
    /// Reports of our own: they come out of the reserve.
    Report,
    /// States, done-records and records copied forward.
    Upkeep,
}

impl Claim {
    /// Segments that must be left when this claim has taken one.
    const fn leaves(self) -> usize {
        match self {
            Claim::Mail => 2,
            Claim::Report => 1,
            Claim::Upkeep => 0,
        }
    }
}

/// One segment.
#[derive(Clone, Debug)]
pub struct Segment {
    pub nonce: u64,
    pub bytes: u32,
    /// Bytes of records that are still needed.
    pub live: u32,
    /// The end of what has been written.
    pub end: u32,
    /// Segments whose commits are over because of done-records in this one, and the bytes of these.
    graves: Vec<u32>,
    grave_bytes: u32,
    /// Nothing counts from this offset on: a write or sync failed there.
    void_from: u32,
    /// A sync failed: what was stored here is to be copied to where it is safe.
    pub suspect: bool,
    /// Commits were copied from here, and the copies left behind are still readable.
    pub copied_from: bool,
    /// Emptying it came to an end and something was left that could not be read.
    pub stuck: bool,
}

impl Segment {
    pub fn new(nonce: u64, bytes: u32) -> Self {
        let (suspect, copied_from, stuck) = (false, false, false);
        let (graves, void_from) = (Vec::new(), bytes);
        Segment {
            nonce,
            bytes,
            live: 0,
            end: 0,
            graves,
            grave_bytes: 0,
            void_from,
            suspect,
            copied_from,
            stuck,
        }
    }

    /// The end of what mail may fill.
    pub fn usable(&self) -> u32 {
        self.bytes.saturating_sub(SEGMENT_RESERVE_BYTES)
    }
}

/// How a segment comes to be.
#[derive(Clone, Debug)]
pub enum Origin {
    Created,
    /// From a file that held nothing of worth; with the segment it was, if it was one.
    Reused(FileName, Option<Segment>),
}

/// All segments of a domain.
#[derive(Debug)]
pub struct Segments {
    map: BTreeMap<u32, Segment>,
    spares: Vec<Listed>,
    next_sequence: u32,
    nonces: Prng,
    pub bounds: Bounds,
}

impl Segments {
    pub fn new(bounds: Bounds) -> Self {
        let nonces = Prng::from_seed(bounds.seed);
        Segments { map: BTreeMap::new(), spares: Vec::new(), next_sequence: 1, nonces, bounds }
    }

    /// Takes in a segment that is there.
    pub fn insert(&mut self, sequence: u32, segment: Segment) {
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
        self.map.insert(sequence, segment);
    }

    /// Takes in a spare that is there.
    pub fn insert_spare(&mut self, spare: Listed) {
        self.next_sequence = self.next_sequence.max(spare.name.sequence().saturating_add(1));
        if !self.spares.contains(&spare) {
            self.spares.push(spare);
        }
    }

    pub fn get(&self, sequence: u32) -> Option<&Segment> {
        self.map.get(&sequence)
    }

    pub fn get_mut(&mut self, sequence: u32) -> Option<&mut Segment> {
        self.map.get_mut(&sequence)
    }

    pub fn name(&self, sequence: u32) -> Option<FileName> {
        self.map.get(&sequence).map(|s| FileName::Segment { sequence, nonce: s.nonce })
    }

    /// Files there are.
    pub fn count(&self) -> usize {
        self.map.len() + self.spares.len()
    }

    /// Bytes of records that are still needed.
    pub fn live_bytes(&self) -> u64 {
        self.map.values().map(|s| u64::from(s.live)).sum()
    }

    /// Records of the segment reach to `end`.
    pub fn written_to(&mut self, sequence: u32, end: u32) {
        if let Some(segment) = self.map.get_mut(&sequence) {
            segment.end = end;
        }
    }

    /// The record at `place` is needed from now on.
    pub fn hold(&mut self, place: Place) {
        if let Some(segment) = self.map.get_mut(&place.segment) {
            segment.live += place.bytes();
        }
    }

    /// The record at `place` is no longer needed.
    pub fn free(&mut self, place: Place) {
        if let Some(segment) = self.map.get_mut(&place.segment)
            && place.offset < segment.void_from
        {
            segment.live = segment.live.saturating_sub(place.bytes());
        }
    }

    /// Nothing that was meant for `sequence` from `offset` on counts; it takes no more records. If it was
    /// `written`, the segment's sync has failed.
    pub fn void(&mut self, sequence: u32, offset: u32, written: bool) {
        if let Some(segment) = self.map.get_mut(&sequence) {
            segment.void_from = segment.void_from.min(offset);
            segment.suspect |= written;
        }
    }

    /// A done-record in `sequence` speaks of commits in `of`.
    pub fn bury(&mut self, sequence: u32, of: &[u32]) {
        if let Some(segment) = self.map.get_mut(&sequence) {
            segment.grave_bytes += record_bytes(4 * of.len()) as u32;
            for grave in of {
                if *grave != sequence && !segment.graves.contains(grave) {
                    segment.graves.push(*grave);
                }
            }
        }
    }

    /// Forgets graves of segments that are gone.
    pub fn prune(&mut self) {
        let there: Vec<u32> = self.map.keys().copied().collect();
        for segment in self.map.values_mut() {
            segment.graves.retain(|grave| there.binary_search(grave).is_ok());
            if segment.graves.is_empty() {
                segment.grave_bytes = 0;
            }
        }
    }

    /// The done-records of this segment have been copied forward.
    pub fn clear_graves(&mut self, sequence: u32) {
        if let Some(segment) = self.map.get_mut(&sequence) {
            segment.graves.clear();
            segment.grave_bytes = 0;
        }
    }

    pub fn mark_copied_from(&mut self, sequence: u32) {
        if let Some(segment) = self.map.get_mut(&sequence) {
            segment.copied_from = true;
        }
    }

    /// A segment's file was removed.
    pub fn forget(&mut self, sequence: u32) {
        self.map.remove(&sequence);
    }

    /// Segments of which copies were left behind.
    pub fn copied_from(&self) -> impl Iterator<Item = u32> {
        self.map.iter().filter(|(_, s)| s.copied_from).map(|(sequence, _)| *sequence)
    }

    fn has_graves(&self, segment: &Segment) -> bool {
        segment.graves.iter().any(|grave| self.map.contains_key(grave))
    }

    /// Segments that hold nothing of worth, oldest first.
    fn empty(&self, busy: &[u32]) -> impl Iterator<Item = u32> {
        let empty = |s: &Segment| s.live == 0 && !self.has_graves(s);
        self.map.iter().filter(move |(n, s)| empty(s) && !busy.contains(n)).map(|(n, _)| *n)
    }

    /// Segments that could be opened now: used again, or created within the quota.
    pub fn available(&self, busy: &[u32]) -> usize {
        self.reusable(busy) + self.bounds.segments_max.saturating_sub(self.count())
    }

    /// Segments that could be opened without creating one, one after the other: done-records keep a
    /// segment only until those that they speak of have been opened again.
    pub fn reusable(&self, busy: &[u32]) -> usize {
        let mut freed: Vec<u32> = Vec::new();
        for (n, segment) in self.map.iter().filter(|(n, s)| s.live == 0 && !busy.contains(n)) {
            let gone = |grave: &u32| freed.contains(grave) || !self.map.contains_key(grave);
            if segment.graves.iter().all(gone) {
                freed.push(*n);
            }
        }
        self.spares.len() + freed.into_iter().filter(|n| self.fits(*n)).count()
    }

    fn fits(&self, sequence: u32) -> bool {
        self.map.get(&sequence).is_some_and(|s| s.bytes == self.bounds.segment_bytes && !s.suspect)
    }

    /// Whether `claim` may open `wanted` more segments.
    pub fn grants(&self, claim: Claim, wanted: usize, busy: &[u32]) -> bool {
        claim == Claim::Upkeep || self.available(busy) >= wanted + claim.leaves()
    }

    /// Past the quota: a segment of which nothing is needed, though a sync of it has failed. A medium that
    /// fails again and again must not fill up with new files.
    fn last_resort(&self, busy: &[u32]) -> Option<u32> {
        let full = self.count() >= self.bounds.segments_max;
        let right = |n: &u32| self.map.get(n).is_some_and(|s| s.bytes == self.bounds.segment_bytes);
        if full { self.empty(busy).find(right) } else { None }
    }

    /// Opens a segment: the oldest that may be used again, else a spare, else a new one.
    pub fn open(&mut self, busy: &[u32]) -> (u32, Origin) {
        let sequence = self.next_sequence;
        let reused = self.empty(busy).find(|n| self.fits(*n));
        let origin = if let Some(old) = reused {
            let name = self.name(old).expect("just found");
            Origin::Reused(name, self.map.remove(&old))
        } else if let Some(spare) = self.spares.pop() {
            Origin::Reused(spare.name, None)
        } else if let Some(doubtful) = self.last_resort(busy) {
            let name = self.name(doubtful).expect("just found");
            Origin::Reused(name, self.map.remove(&doubtful))
        } else {
            Origin::Created
        };
        // Odd, so that no run of zeros looks like it.
        let nonce = self.nonces.u64() | 1;
        self.insert(sequence, Segment::new(nonce, self.bounds.segment_bytes));
        (sequence, origin)
    }

    /// The segment could not be opened: what it was to be made of is there as before.
    pub fn undo_open(&mut self, sequence: u32, origin: &Origin) {
        let bytes = self.map.remove(&sequence).map_or(self.bounds.segment_bytes, |s| s.bytes);
        match origin {
            Origin::Created => {}
            Origin::Reused(name, Some(segment)) => self.insert(name.sequence(), segment.clone()),
            Origin::Reused(name, None) => self.insert_spare(Listed { name: *name, bytes: bytes.into() }),
        }
    }

    /// Takes out segments that hold nothing of worth beside those that are kept ready for use, for their
    /// files to become spares or, past the quota and where they have another size, to be removed.
    pub fn retire(&mut self, busy: &[u32]) -> Vec<(FileName, Segment, Option<FileName>)> {
        let over: Vec<u32> = self.empty(busy).collect();
        let mut retired = Vec::new();
        for sequence in over {
            let keep = self.fits(sequence) && self.count() <= self.bounds.segments_max;
            let name = self.name(sequence).expect("just found");
            let Some(segment) = self.map.remove(&sequence) else { continue };
            let spare = FileName::Spare { sequence };
            if keep {
                self.spares.push(Listed { name: spare, bytes: segment.bytes.into() });
            }
            retired.push((name, segment, keep.then_some(spare)));
        }
        retired
    }

    /// Undoes [`Segments::retire`] for one file.
    pub fn undo_retire(&mut self, name: FileName, segment: Segment, spare: Option<FileName>) {
        self.spares.retain(|s| Some(s.name) != spare);
        self.insert(name.sequence(), segment);
    }

    fn needed(&self, segment: &Segment) -> bool {
        segment.live > 0 || self.has_graves(segment)
    }

    /// A segment whose sync failed and that something is still needed of.
    pub fn suspect(&self, busy: &[u32]) -> Option<u32> {
        let suspects = self.map.iter().filter(|(_, s)| s.suspect && !s.stuck && self.needed(s));
        suspects.map(|(n, _)| *n).find(|n| !busy.contains(n))
    }

    /// The segment that is worth emptying most: a suspect one, else the one with the least in it, if that
    /// is at most `live_max` bytes, and an eighth of what was written there is over. Emptying therefore
    /// comes to an end: what it has packed is left alone until enough of that is over too.
    pub fn victim(&self, busy: &[u32], live_max: u32) -> Option<u32> {
        let thin = |s: &Segment| s.live <= live_max && s.live + s.grave_bytes <= s.end / 8 * 7;
        let worth = |n: &u32, s: &Segment| !busy.contains(n) && !s.stuck && self.needed(s) && thin(s);
        let least =
            || self.map.iter().filter(|(n, s)| worth(n, s)).min_by_key(|(_, s)| s.live).map(|(n, _)| *n);
        self.suspect(busy).or_else(least)
    }

    /// Brings the table in line with what the directory holds, after a name was left in doubt.
    pub fn reconcile(&mut self, listed: &[Listed]) {
        self.map.retain(|n, s| {
            let name = FileName::Segment { sequence: *n, nonce: s.nonce };
            s.live > 0 || listed.iter().any(|file| file.name == name)
        });
        self.spares.retain(|spare| listed.contains(spare));
        for file in listed {
            match file.name {
                FileName::Segment { sequence, nonce } if !self.map.contains_key(&sequence) => {
                    let bytes = u32::try_from(file.bytes).unwrap_or(u32::MAX);
                    self.insert(sequence, Segment::new(nonce, bytes));
                }
                FileName::Segment { .. } => {}
                FileName::Spare { .. } => self.insert_spare(*file),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_quota_has_small_segments() {
        let sizes =
            [(0, 4, 256), (1 << 20, 4, 256), (4 << 20, 16, 256), (10 << 20, 20, 512), (64 << 20, 64, 1024)];
        for (quota, segments, kib) in sizes {
            let bounds = Bounds::for_quota(quota, 1);
            assert_eq!((bounds.segments_max, bounds.segment_bytes), (segments, kib * 1024), "{quota}");
        }
    }

    #[test]
    fn a_done_record_outlives_the_commit_it_ends() {
        let mut segments = Segments::new(Bounds::for_quota(1 << 20, 1));
        let (first, _) = segments.open(&[]);
        let (second, _) = segments.open(&[first]);
        segments.hold(Place::new(first, 0, 32));
        segments.bury(second, &[first]);
        assert_eq!(segments.empty(&[]).count(), 0);
        segments.free(Place::new(first, 0, 32));
        assert_eq!(segments.empty(&[]).collect::<Vec<_>>(), [first]);
        let (third, _) = segments.open(&[]);
        assert_eq!(segments.empty(&[third]).collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn mail_leaves_room_for_reports_and_these_for_upkeep() {
        let mut segments = Segments::new(Bounds::for_quota(1 << 20, 1));
        let mut busy = Vec::new();
        for (claims, caption) in [
            ([true, true, true], "all four are free"),
            ([true, true, true], "three"),
            ([false, true, true], "two"),
            ([false, false, true], "one"),
            ([false, false, true], "none: upkeep goes on"),
        ] {
            let granted = [Claim::Mail, Claim::Report, Claim::Upkeep].map(|c| segments.grants(c, 1, &busy));
            assert_eq!(granted, claims, "{caption}");
            busy.push(segments.open(&busy).0);
        }
    }
}
