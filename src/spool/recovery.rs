//! Opening a log: what lies in the segments is gathered, whatever its order, and what is over is dropped.
//! The result depends only on the set of whole records, so that being cut down here changes nothing; and
//! only on durable ones, so that an older copy may be given up because of a newer one.
//! Danger: it must come to an end with a usable log whatever the files contain.

use std::collections::{HashMap, HashSet};

use crate::limits::{FLASH_PAGE_BYTES, SEGMENT_BYTES, SEGMENT_BYTES_MIN};
use crate::mail::QueueId;
use crate::spool::commit::Commit;
use crate::spool::damage::{Damage, keep_aside};
use crate::spool::domain_log::{Active, Chunks, DomainLog, Entry};
use crate::spool::flash::{FileName, Flash, FlashError, Listed};
use crate::spool::record::{Found, Kind, Record, Walk};
use crate::spool::segments::{Bounds, Place, Segment};
use crate::spool::state::Brief;
use crate::time::WallTime;

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// In the order of their ids.
    pub messages: Vec<Recovered>,
    pub damage: Vec<Damage>,
}

/// A message found at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub id: QueueId,
    pub received: WallTime,
    /// When its next attempt is due.
    pub next: WallTime,
    pub on_hold: bool,
    /// Header section and body together.
    pub bytes: u64,
}

/// What the walk through all segments has gathered.
#[derive(Default)]
struct Gathered {
    commits: HashMap<QueueId, (Place, Commit)>,
    /// Segments with commits of which there is a later copy.
    older: HashMap<QueueId, Vec<u32>>,
    states: HashMap<QueueId, (Place, Brief)>,
    data: HashMap<QueueId, Vec<(u32, Place)>>,
    /// Messages that are over, and the segments that say so.
    done: Vec<(QueueId, u32)>,
}

impl DomainLog {
    /// Opens the log in `flash`. It always opens: what cannot be read is told, and kept aside where it can be.
    pub fn recover(flash: &dyn Flash, bounds: Bounds) -> (DomainLog, Recovery) {
        let mut log = DomainLog::new(bounds);
        let mut recovery = Recovery::default();
        let mut listed = flash.list().unwrap_or_else(|why| {
            recovery.damage.push(unlistable(why));
            Vec::new()
        });
        listed.sort_unstable();
        // A daemon that was killed may have left names that a cut would still take away, records and all.
        let named = flash.sync_dir().is_ok();
        let mut gathered = Gathered::default();
        let mut bytes = Vec::new();
        for file in listed {
            match file.name {
                FileName::Segment { sequence, nonce } => {
                    let damage = &mut recovery.damage;
                    let durable = named && prove(flash, file.name);
                    read_segment(flash, file, &mut bytes, damage);
                    let end = gathered.walk(flash, file.name, &bytes, damage);
                    let mut segment = Segment::new(nonce, clamp(file.bytes));
                    segment.suspect = !durable;
                    segment.end = end as u32;
                    log.segments.insert(sequence, segment);
                    log.adopt(flash, file, end, durable);
                }
                FileName::Spare { .. } => log.adopt_spare(flash, file),
            }
        }
        log.take_in(gathered, &mut recovery);
        (log, recovery)
    }

    /// Goes on writing behind the last segment's records, if it is as it should be; one that holds nothing
    /// and is not as it should be is removed.
    fn adopt(&mut self, flash: &dyn Flash, file: Listed, end: usize, durable: bool) {
        let sequence = file.name.sequence();
        let whole = file.bytes == u64::from(self.segments.bounds.segment_bytes);
        if end == 0 && !whole && flash.remove(file.name).is_ok() {
            self.segments.forget(sequence);
            return;
        }
        let offset = end.next_multiple_of(FLASH_PAGE_BYTES) as u32;
        self.active = (whole && durable).then_some(Active { sequence, offset });
    }

    fn adopt_spare(&mut self, flash: &dyn Flash, file: Listed) {
        let whole = file.bytes == u64::from(self.segments.bounds.segment_bytes);
        if whole && self.segments.count() < self.segments.bounds.segments_max {
            self.segments.insert_spare(file);
        } else if let Err(why) = flash.remove(file.name) {
            log::warn!("{} could not be removed: {why}", file.name);
        }
    }

    fn take_in(&mut self, gathered: Gathered, recovery: &mut Recovery) {
        let Gathered { mut commits, older, states, mut data, done } = gathered;
        for (id, sequence) in &done {
            let last = commits.get(id).map(|(place, _)| place.segment);
            self.segments.bury(*sequence, last.as_slice());
            self.segments.bury(*sequence, older.get(id).map_or(&[], Vec::as_slice));
        }
        let done: HashSet<QueueId> = done.into_iter().map(|(id, _)| id).collect();
        commits.retain(|id, _| !done.contains(id));
        for (_, sequences) in older.iter().filter(|(id, _)| commits.contains_key(id)) {
            sequences.iter().for_each(|sequence| self.segments.mark_copied_from(*sequence));
        }
        self.index.reserve(commits.len());
        recovery.messages.reserve(commits.len());
        for (id, (place, commit)) in commits {
            match join(&commit, data.remove(&id).unwrap_or_default()) {
                Ok(chunks) => {
                    let state = states.get(&id).copied();
                    recovery.messages.push(recovered(id, &commit, state.map(|(_, brief)| brief)));
                    let entry = Entry { commit: place, state: state.map(|(place, _)| place), chunks };
                    entry.places().for_each(|place| self.segments.hold(place));
                    self.index.insert(id, entry);
                }
                Err(why) => {
                    recovery.damage.push(incomplete(id, self.segments.name(place.segment), place, why))
                }
            }
        }
        recovery.messages.sort_unstable_by_key(|message| message.id);
        self.sweep_wanted = self.choose_victim().is_some();
    }
}

impl Gathered {
    /// Gathers a segment's records; gives the end of what it holds.
    fn walk(&mut self, flash: &dyn Flash, name: FileName, bytes: &[u8], damage: &mut Vec<Damage>) -> usize {
        let FileName::Segment { sequence, nonce } = name else { return 0 };
        let mut walk = Walk::new(bytes, nonce);
        let before = damage.len();
        for found in walk.by_ref() {
            match found {
                Found::Record { offset, record } => {
                    let place = Place::new(sequence, offset as u32, record.payload.len());
                    if let Some(told) = damage.get_mut(before..).and_then(|new| new.last_mut()) {
                        told.at_end = false;
                    }
                    if let Some(why) = self.take(record, place) {
                        damage.push(damaged(name, offset, place.bytes() as usize, why));
                    }
                }
                Found::Damage { range, why, of } => {
                    keep_aside(flash, name, range.start, &bytes[range.clone()]);
                    let why = match of {
                        Some((kind, id)) => format!("{why}; by its header the {kind} record of message {id}"),
                        None => why.to_string(),
                    };
                    let told = damaged(name, range.start, range.len(), &why);
                    damage.push(Damage { at_end: true, ..told });
                }
            }
        }
        walk.end()
    }

    /// Gathers one record; gives why it is not as it should be.
    fn take(&mut self, record: Record<'_>, place: Place) -> Option<&'static str> {
        let id = record.id;
        match record.kind {
            Kind::Data => self.data.entry(id).or_default().push((record.detail, place)),
            Kind::Commit => {
                let Some((commit, _)) = Commit::decode(record.payload) else {
                    return Some("a commit makes no sense");
                };
                if let Some((old, _)) = self.commits.insert(id, (place, commit)) {
                    self.older.entry(id).or_default().push(old.segment);
                }
            }
            Kind::State => {
                let Some(brief) = Brief::decode(record.payload) else {
                    return Some("a state makes no sense");
                };
                self.states.insert(id, (place, brief));
            }
            Kind::Done => self.done.push((id, place.segment)),
        }
        record.mended.then_some("a record's header was damaged and could be mended")
    }
}

/// The data records of a message, if they are all there and as long together as they should be.
fn join(commit: &Commit, data: Vec<(u32, Place)>) -> Result<Option<Box<Chunks>>, &'static str> {
    if commit.chunks() == 0 {
        return Ok(None);
    }
    let latest: HashMap<u32, Place> = data.into_iter().collect();
    let count = u32::try_from(commit.chunks()).map_err(|_| "a commit makes no sense")?;
    if latest.len() < count as usize {
        return Err("a part of a message is missing");
    }
    let found: Option<Vec<Place>> = (0..count).map(|number| latest.get(&number).copied()).collect();
    let places = found.ok_or("a part of a message is missing")?;
    let body = commit.body_chunks as usize;
    let bytes = |places: &[Place]| places.iter().map(|p| p.payload_bytes()).sum::<u64>();
    let body_fits = body == 0 || bytes(&places[..body]) == commit.body_bytes;
    let prefix_fits = commit.prefix_chunks == 0 || bytes(&places[body..]) == commit.prefix_bytes();
    if !body_fits || !prefix_fits {
        return Err("a part of a message has another length than it should");
    }
    Ok(Some(Box::new(Chunks { places, body })))
}

fn recovered(id: QueueId, commit: &Commit, state: Option<Brief>) -> Recovered {
    let brief = state.unwrap_or(Brief { next: commit.received, on_hold: false });
    let bytes = u64::from(commit.head_bytes) + commit.body_bytes;
    Recovered { id, received: commit.received, next: brief.next, on_hold: brief.on_hold, bytes }
}

/// Makes durable what a killed process wrote and did not sync, so that what is read now is there after a cut.
fn prove(flash: &dyn Flash, name: FileName) -> bool {
    let proved = flash.sync(name);
    proved.inspect_err(|why| log::error!("{name} could not be synced at the start: {why}")).is_ok()
}

/// Reads a whole segment; pages that cannot be read are left as zeros and told.
fn read_segment(flash: &dyn Flash, file: Listed, bytes: &mut Vec<u8>, damage: &mut Vec<Damage>) {
    let size = clamp(file.bytes) as usize;
    bytes.clear();
    bytes.resize(size, 0);
    if !is_segment_size(file.bytes) {
        let why = "the file is not as long as a segment is";
        damage.push(damaged(file.name, size, 0, why));
    }
    match flash.read(file.name, 0, bytes) {
        Ok(count) => bytes.truncate(count),
        Err(why) => {
            log::error!("{} is read page by page: {why}", file.name);
            for (n, page) in bytes.chunks_mut(FLASH_PAGE_BYTES).enumerate() {
                let offset = n * FLASH_PAGE_BYTES;
                if let Err(why) = flash.read(file.name, offset as u32, page) {
                    page.fill(0);
                    damage.push(damaged(file.name, offset, page.len(), &why.to_string()));
                }
            }
        }
    }
}

/// Segments of all sizes that this version makes: 256 KiB, 512 KiB, 1 MiB.
fn is_segment_size(bytes: u64) -> bool {
    bytes.is_power_of_two() && (u64::from(SEGMENT_BYTES_MIN)..=u64::from(SEGMENT_BYTES)).contains(&bytes)
}

fn clamp(bytes: u64) -> u32 {
    bytes.min(u64::from(SEGMENT_BYTES)) as u32
}

fn damaged(name: FileName, offset: usize, bytes: usize, why: &str) -> Damage {
    let (offset, bytes) = (offset as u64, bytes as u64);
    Damage { file: name.to_string(), offset, bytes, at_end: false, why: why.to_owned() }
}

fn incomplete(id: QueueId, name: Option<FileName>, place: Place, why: &str) -> Damage {
    let file = name.map(|n| n.to_string()).unwrap_or_default();
    let why = format!("message {id}: {why}");
    Damage { file, offset: place.offset.into(), bytes: place.bytes().into(), at_end: false, why }
}

fn unlistable(why: FlashError) -> Damage {
    let why = format!("the directory cannot be listed: {why}");
    Damage { file: ".".to_owned(), offset: 0, bytes: 0, at_end: false, why }
}
