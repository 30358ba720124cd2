//! What the log asks of the medium: one directory of files for each domain, read and written at offsets.
//! `os::flash_files` is the real one; the tests bring one that forgets, reorders and tears.
//! Danger: only what was synced survives a power cut; [`Flash::write`] alone promises nothing.

use std::fmt;

/// A file of a domain's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `SEQUENCE-NONCE.log` in hexadecimal, 8 and 16 digits: a segment of the log. Its records carry the
    /// nonce, so what an earlier use of the same blocks left behind is never taken for a record.
    Segment { sequence: u32, nonce: u64 },
    /// `spare-SEQUENCE.log`: room for a segment, zero-filled or used before, that holds nothing of worth.
    Spare { sequence: u32 },
}

impl FileName {
    pub const fn sequence(self) -> u32 {
        match self {
            FileName::Segment { sequence, .. } | FileName::Spare { sequence } => sequence,
        }
    }

    /// Reads a name as it stands in the directory; the case of the digits does not matter.
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".log")?;
        if let Some(digits) = stem.strip_prefix("spare-") {
            return Some(FileName::Spare { sequence: hex(digits, 8)?.try_into().ok()? });
        }
        let (sequence, nonce) = stem.split_once('-')?;
        Some(FileName::Segment { sequence: hex(sequence, 8)?.try_into().ok()?, nonce: hex(nonce, 16)? })
    }
}

fn hex(digits: &str, width: usize) -> Option<u64> {
    let proper = digits.len() == width && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if proper { u64::from_str_radix(digits, 16).ok() } else { None }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Segment { sequence, nonce } => write!(f, "{sequence:08x}-{nonce:016x}.log"),
            FileName::Spare { sequence } => write!(f, "spare-{sequence:08x}.log"),
        }
    }
}

/// A file as the directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub name: FileName,
    pub bytes: u64,
}

/// Why the medium refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// No room (ENOSPC, EDQUOT). It may come back.
    NoSpace,
    /// There is no such file.
    Missing,
    /// Anything else, with the system's error number; EIO mostly.
    Io(i32),
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlashError::NoSpace => f.write_str("no space left"),
            FlashError::Missing => f.write_str("the file is gone"),
            FlashError::Io(number) => write!(f, "error {number} of the medium"),
        }
    }
}

impl std::error::Error for FlashError {}

/// One domain's directory. All calls block; those that wait for the medium run in the flusher's thread.
pub trait Flash: Send + Sync {
    /// The files of the log, in any order. Other names are not listed.
    fn list(&self) -> Result<Vec<Listed>, FlashError>;

    /// Makes a file of `bytes` zeros, with its blocks allocated and its content durable; a write within it
    /// changes no metadata. Its name is durable after [`Flash::sync_dir`]. Leaves nothing behind on failure.
    fn create(&self, name: FileName, bytes: u32) -> Result<(), FlashError>;

    /// Reads at `offset` until `buf` is full or the file ends; gives the number of bytes.
    fn read(&self, name: FileName, offset: u32, buf: &mut [u8]) -> Result<usize, FlashError>;

    /// Writes all of `bytes` at `offset`; durable after [`Flash::sync`].
    fn write(&self, name: FileName, offset: u32, bytes: &[u8]) -> Result<(), FlashError>;

    /// Makes everything written to the file durable. After an error nothing is known of what was written
    /// since the last success, another call proves nothing, and [`Flash::read`] gives what the medium has,
    /// not what was written.
    fn sync(&self, name: FileName) -> Result<(), FlashError>;

    /// Makes created, renamed and removed names durable.
    fn sync_dir(&self) -> Result<(), FlashError>;

    /// Renames in one step; durable after [`Flash::sync_dir`].
    fn rename(&self, from: FileName, to: FileName) -> Result<(), FlashError>;

    /// Removes a file; durable after [`Flash::sync_dir`].
    fn remove(&self, name: FileName) -> Result<(), FlashError>;

    /// Keeps bytes of a damaged range under `damaged/LABEL`, durably. A label that exists is left as it is.
    fn keep_damaged(&self, label: &str, bytes: &[u8]) -> Result<(), FlashError>;

    /// The labels kept under `damaged/`, sorted.
    fn damaged(&self) -> Result<Vec<String>, FlashError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_reads_back() {
        for name in
            [FileName::Segment { sequence: 26, nonce: 0xdead_beef }, FileName::Spare { sequence: u32::MAX }]
        {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for bad in [
            "",
            "1-2.log",
            "spare-1.log",
            "0000001a-00000000deadbeef",
            "0000001a-+0000000deadbee.log",
            "damaged",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad}");
        }
    }
}
