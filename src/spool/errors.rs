//! What callers of the log are told: tickets, errors that say what now, and counts of wear.

use std::fmt;

use crate::spool::flash::FlashError;

/// Names a commit of one log; later commits have greater tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// Why the log did not do what it was asked. In every case nothing has changed for other messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolError {
    /// The domain's quota is used up; it has room again when mail has left.
    Quota,
    /// Too much waits to be written already; there is room after the next batch.
    Busy,
    /// The medium has no room.
    NoSpace,
    /// The medium failed.
    Io,
    /// The message is there and cannot be read.
    Damaged,
    /// There is no such message.
    Missing,
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpoolError::Quota => "the domain's spool quota is used up",
            SpoolError::Busy => "too much mail waits to be written",
            SpoolError::NoSpace => "no space left for mail",
            SpoolError::Io => "the spool's medium failed",
            SpoolError::Damaged => "the message is damaged",
            SpoolError::Missing => "there is no such message",
        })
    }
}

impl std::error::Error for SpoolError {}

impl From<FlashError> for SpoolError {
    fn from(error: FlashError) -> Self {
        match error {
            FlashError::NoSpace => SpoolError::NoSpace,
            FlashError::Missing | FlashError::Io(_) => SpoolError::Io,
        }
    }
}

/// What a log has written since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// Whole pages of records.
    pub bytes_written: u64,
    /// Zeros of new segments.
    pub bytes_zeroed: u64,
    /// Records copied forward; they are part of `bytes_written`.
    pub bytes_moved: u64,
    /// Of the messages that were committed, header sections and bodies.
    pub bytes_stored: u64,
    pub commits: u64,
    pub batches: u64,
    pub syncs: u64,
}
