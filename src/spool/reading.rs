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
        let entry = self.index.get(&id).ok_or(SpoolError::Missing)?;
        let mut start = 0;
        for chunk in entry.body_chunks() {
            let end = start + chunk.payload_bytes();
            if offset < end {
                let piece = self.fetch(flash, *chunk, id, Kind::Data)?;
                return Ok(copy_from(&piece[HEADER_BYTES..], offset - start, buf));
            }
            start = end;
        }
        if start > 0 {
            return Ok(0);
        }
        let record = self.fetch(flash, entry.commit, id, Kind::Commit)?;
        let (commit, inline) = Commit::decode(&record[HEADER_BYTES..]).ok_or(SpoolError::Damaged)?;
        let prefix = if commit.prefix_chunks == 0 { commit.prefix_bytes() } else { 0 };
        Ok(copy_from(inline, prefix + offset, buf))
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
        let name = self.segments.name(place.segment).ok_or(SpoolError::Damaged)?;
        let FileName::Segment { nonce, .. } = name else { return Err(SpoolError::Damaged) };
        let flying = self.flight.iter().flat_map(|flight| flight.batch.parts.iter());
        let bytes = match self.pending.parts.iter().chain(flying).find_map(|part| part.record(place)) {
            Some(bytes) => bytes.to_vec(),
            None => {
                let mut bytes = vec![0; place.bytes() as usize];
                let count = flash.read(name, place.offset, &mut bytes)?;
                bytes.truncate(count);
                bytes
            }
        };
        match record::parse(&bytes, nonce) {
            Ok(record) if record.id == id && record.kind == kind => Ok(bytes),
            Ok(_) | Err(_) => Err(SpoolError::Damaged),
        }
    }
}

fn copy_from(bytes: &[u8], offset: u64, buf: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
    let count = rest.len().min(buf.len());
    buf[..count].copy_from_slice(&rest[..count]);
    count
}
