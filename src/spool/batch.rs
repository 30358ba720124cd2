//! What is to be written, as one owned value: plain steps that the flusher runs in order, each part made
//! durable before the next begins. Danger: a segment's new name must be durable before a byte is written to
//! it, or a cut would leave old records under an old name with new ones in their midst.

use std::sync::Arc;

use crate::limits::FLASH_PAGE_BYTES;
use crate::spool::domain_log::Active;
use crate::spool::flash::{FileName, Flash, FlashError, Listed};
use crate::spool::segments::{Origin, Place, Segment};

/// How a part's segment is opened before it is written.
#[derive(Debug)]
pub(super) struct Opening {
    pub origin: Origin,
    pub bytes: u32,
    /// Files that become spares, or are removed; done along with it for the sake of one directory sync.
    pub retired: Vec<(FileName, Segment, Option<FileName>)>,
    /// Where the log ended before.
    pub before: Option<Active>,
}

/// A run of pages of one segment.
#[derive(Debug)]
pub(super) struct Part {
    pub name: FileName,
    pub offset: u32,
    pub bytes: Vec<u8>,
    pub opening: Option<Opening>,
}

impl Part {
    /// The record at `place`, if it is in this part.
    pub fn record(&self, place: Place) -> Option<&[u8]> {
        if place.segment != self.name.sequence() {
            return None;
        }
        let start = place.offset.checked_sub(self.offset)? as usize;
        self.bytes.get(start..start + place.bytes() as usize)
    }

    /// Fills the last page with zeros, so that no later batch shares a page with this one.
    pub fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(FLASH_PAGE_BYTES), 0);
    }

    fn open(&self, flash: &dyn Flash, opening: &Opening) -> Result<(), FlashError> {
        match &opening.origin {
            Origin::Created => flash.create(self.name, opening.bytes)?,
            Origin::Reused(from, _) => flash.rename(*from, self.name)?,
        }
        for (from, _, spare) in &opening.retired {
            match spare {
                Some(to) => flash.rename(*from, *to)?,
                None => flash.remove(*from)?,
            }
        }
        flash.sync_dir()
    }

    fn write(&self, flash: &dyn Flash) -> Result<(), FlashError> {
        flash.write(self.name, self.offset, &self.bytes)?;
        flash.sync(self.name)
    }
}

/// Work for the flusher. It stays readable to the log while it is under way.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(super) parts: Arc<Vec<Part>>,
}

/// How far a batch came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// The part at which it stopped; those before it are durable.
    pub(super) part: usize,
    pub(super) stage: Stage,
    pub why: FlashError,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The part was not written; what the directory holds now, if that could be learned.
    Opening(Option<Vec<Listed>>),
    /// What was written may or may not be there.
    Writing,
}

impl Batch {
    /// Runs all steps. Blocks until the medium has answered.
    pub fn run(&self, flash: &dyn Flash) -> Result<(), BatchError> {
        for (part, work) in self.parts.iter().enumerate() {
            if let Some(opening) = &work.opening {
                work.open(flash, opening).map_err(|why| {
                    let stage = Stage::Opening(flash.list().ok());
                    BatchError { part, stage, why }
                })?;
            }
            work.write(flash).map_err(|why| BatchError { part, stage: Stage::Writing, why })?;
        }
        Ok(())
    }

    /// Bytes that it writes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }
}
