//! Damage: what it is called, and how it is kept aside before its segment is used again.
//! Danger: it must never stop the start or the mail beside it; what cannot even be kept aside is only told.

use std::fmt;

use crate::limits::SPOOL_DAMAGED_FILES_MAX;
use crate::spool::flash::{FileName, Flash};

/// A range of a domain's log that cannot be read as records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where in the file, and how many bytes.
    pub offset: u64,
    pub bytes: u64,
    /// It is the last of its file: perhaps only a write that a power cut left unfinished, which nobody was
    /// promised.
    pub at_end: bool,
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, {} bytes: {}", self.file, self.offset, self.bytes, self.why)
    }
}

/// The name under which a damaged range is kept: segment, nonce and offset in hexadecimal.
pub(super) fn damage_label(sequence: u32, nonce: u64, offset: usize) -> String {
    format!("{sequence:08x}-{nonce:016x}-{offset:08x}")
}

/// Keeps damaged bytes aside, up to a bound on their number.
pub(super) fn keep_aside(flash: &dyn Flash, name: FileName, offset: usize, bytes: &[u8]) {
    let FileName::Segment { sequence, nonce } = name else { return };
    let label = damage_label(sequence, nonce, offset);
    let kept = flash.damaged().map_or(0, |labels| labels.len());
    if kept >= SPOOL_DAMAGED_FILES_MAX {
        log::error!("damaged range {label} is not kept aside: {kept} others are");
    } else if let Err(why) = flash.keep_damaged(&label, bytes) {
        log::error!("damaged range {label} could not be kept aside: {why}");
    }
}
