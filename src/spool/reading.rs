//! Reading messages back, from flash or, before their batch is over, from memory. Every record is proved by
//! its checksum each time: flash may change what it was given, and no torn message leaves the house.

use crate::mail::QueueId;
use crate::spool::SpoolError;
use crate::spool::commit::Commit;
use crate::spool::domain_log::{DomainLog, Entry};
use crate::spool::flash::{FileName, Flash};
use crate::spool::meta::Meta;
use crate::spool::record::{self, HEADER_BYTES, Kind};
use crate::spool::segments::Place;
use crate::spool::state::State;

/// A message as the log holds it; the body is read apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub meta: Meta,
    pub state: State,
    /// The header section with its empty line.
    pub head: Vec<u8>,
    pub body_len: u64,
}

impl DomainLog {
    /// Reads a message's facts, state and header section.
    pub fn load(&self, flash: &dyn Flash, id: QueueId) -> Result<Stored, SpoolError> {
        let entry = self.index.get(&id).ok_or(SpoolError::Missing)?;
        let record = self.fetch(flash, entry.commit, id, Kind::Commit)?;
        let (commit, inline) = Commit::decode(&record[HEADER_BYTES..]).ok_or(SpoolError::Damaged)?;
        let spilled;
        let prefix = if commit.prefix_chunks == 0 {
            inline
        } else {
            spilled = self.spilled_prefix(flash, id, entry)?;
            &spilled
        };
        let (facts, rest) = prefix.split_at_checked(commit.meta_bytes as usize).ok_or(SpoolError::Damaged)?;
        let head = rest.get(..commit.head_bytes as usize).ok_or(SpoolError::Damaged)?.to_vec();
        let meta = Meta::decode(commit.received, facts).ok_or(SpoolError::Damaged)?;
        let state = self.load_state(flash, id, entry, &meta)?;
        Ok(Stored { meta, state, head, body_len: commit.body_bytes })
    }

    /// Reads the body from `offset` on into `buf`, up to the end of a piece; gives the bytes read, zero at
    /// the end. A buffer of `SPOOL_DATA_BYTES_MAX` takes a whole piece and reads nothing twice.
    pub fn read_body(
        &self,
        flash: &dyn Flash,
        id: QueueId,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<usize, SpoolError> {
        let Some(piece) = self.find_body(id, offset)? else { return Ok(0) };
        let bytes = piece.read(flash)?;
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Finds the piece of the body that begins at `offset`; `None` at the end. Reading it waits for the medium
    /// and is done elsewhere, but before any batch that is taken from now on: that one may use the place again.
    pub fn find_body(&self, id: QueueId, offset: u64) -> Result<Option<BodyPiece>, SpoolError> {
        let entry = self.index.get(&id).ok_or(SpoolError::Missing)?;
        let mut start = 0;
        for chunk in entry.body_chunks() {
            let end = start + chunk.payload_bytes();
            if offset < end {
                let record = self.find(*chunk, id, Kind::Data)?;
                return Ok(Some(BodyPiece { record, offset: offset - start }));
            }
            start = end;
        }
        if start > 0 {
            return Ok(None);
        }
        Ok(Some(BodyPiece { record: self.find(entry.commit, id, Kind::Commit)?, offset }))
    }

    fn load_state(
        &self,
        flash: &dyn Flash,
        id: QueueId,
        entry: &Entry,
        meta: &Meta,
    ) -> Result<State, SpoolError> {
        let recipients = meta.envelope.recipients.len();
        let Some(place) = entry.state else { return Ok(State::new(recipients, meta.received)) };
        let record = self.fetch(flash, place, id, Kind::State)?;
        let state = State::decode(&record[HEADER_BYTES..]).ok_or(SpoolError::Damaged)?;
        if state.recipients.len() == recipients { Ok(state) } else { Err(SpoolError::Damaged) }
    }

    /// Facts and header section, where they are too long for the commit record.
    fn spilled_prefix(&self, flash: &dyn Flash, id: QueueId, entry: &Entry) -> Result<Vec<u8>, SpoolError> {
        let mut prefix = Vec::new();
        for place in entry.prefix_chunks() {
            let record = self.fetch(flash, *place, id, Kind::Data)?;
            prefix.extend_from_slice(&record[HEADER_BYTES..]);
        }
        Ok(prefix)
    }

    /// A whole record, proved to be the one that is looked for.
    fn fetch(&self, flash: &dyn Flash, place: Place, id: QueueId, kind: Kind) -> Result<Vec<u8>, SpoolError> {
        self.find(place, id, kind)?.read(flash)
    }

    fn find(&self, place: Place, id: QueueId, kind: Kind) -> Result<Whereabouts, SpoolError> {
        let name = self.segments.name(place.segment).ok_or(SpoolError::Damaged)?;
        let flying = self.flight.iter().flat_map(|flight| flight.batch.parts.iter());
        let unwritten = self.pending.parts.iter().chain(flying).find_map(|part| part.record(place));
        Ok(Whereabouts { name, place, id, kind, unwritten: unwritten.map(<[u8]>::to_vec) })
    }
}

/// A record that the log has found.
#[derive(Debug)]
struct Whereabouts {
    name: FileName,
    place: Place,
    id: QueueId,
    kind: Kind,
    /// Its bytes, while its batch is not over.
    unwritten: Option<Vec<u8>>,
}

impl Whereabouts {
    fn read(self, flash: &dyn Flash) -> Result<Vec<u8>, SpoolError> {
        let FileName::Segment { nonce, .. } = self.name else { return Err(SpoolError::Damaged) };
        let bytes = match self.unwritten {
            Some(bytes) => bytes,
            None => {
                let mut bytes = vec![0; self.place.bytes() as usize];
                let count = flash.read(self.name, self.place.offset, &mut bytes)?;
                bytes.truncate(count);
                bytes
            }
        };
        match record::parse(&bytes, nonce) {
            Ok(record) if record.id == self.id && record.kind == self.kind => Ok(bytes),
            Ok(_) | Err(_) => Err(SpoolError::Damaged),
        }
    }
}

/// A piece of a body that is found and not read yet.
#[derive(Debug)]
pub struct BodyPiece {
    record: Whereabouts,
    /// Where it begins in the record's share of the body.
    offset: u64,
}

impl BodyPiece {
    /// Its bytes, to the end of the record; at most `SPOOL_INLINE_BYTES_MAX` or `SPOOL_DATA_BYTES_MAX`. None
    /// at the end of a body that is inline.
    pub fn read(self, flash: &dyn Flash) -> Result<Vec<u8>, SpoolError> {
        let kind = self.record.kind;
        let mut bytes = self.record.read(flash)?;
        let before = match kind {
            Kind::Commit => {
                let (commit, inline) = Commit::decode(&bytes[HEADER_BYTES..]).ok_or(SpoolError::Damaged)?;
                let prefix = if commit.prefix_chunks == 0 { commit.prefix_bytes() } else { 0 };
                (bytes.len() - inline.len()) as u64 + prefix
            }
            _ => HEADER_BYTES as u64,
        };
        let start = usize::try_from(before + self.offset).map_or(bytes.len(), |start| start.min(bytes.len()));
        bytes.drain(..start);
        Ok(bytes)
    }
}
