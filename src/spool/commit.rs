//! The payload of a commit record: the lengths of a message's three parts, and as much of them as fits.
//! A message is one stream of bytes, its facts (`meta.rs`), its header section, its body; the table is in
//! `spool/mod.rs`. Danger: lengths come from flash and must agree with what is really there.

use crate::spool::bytes::{Reader, Writer};
use crate::time::WallTime;

/// The fixed part of a commit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub received: WallTime,
    pub meta_bytes: u32,
    pub head_bytes: u32,
    pub body_bytes: u64,
    /// Data records 0.. that hold the body; none when the body is inline.
    pub body_chunks: u32,
    /// Data records after those that hold the facts and the header section; none when these are inline.
    pub prefix_chunks: u32,
}

impl Commit {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(self.received.unix_millis());
        w.u32(self.meta_bytes);
        w.u32(self.head_bytes);
        w.u64(self.body_bytes);
        w.u32(self.body_chunks);
        w.u32(self.prefix_chunks);
        w.0
    }

    /// The fixed part and the inline bytes, whose number must be what the fixed part says.
    pub fn decode(payload: &[u8]) -> Option<(Commit, &[u8])> {
        let mut r = Reader(payload);
        let commit = Commit {
            received: WallTime::from_unix_millis(r.u64()?),
            meta_bytes: r.u32()?,
            head_bytes: r.u32()?,
            body_bytes: r.u64()?,
            body_chunks: r.u32()?,
            prefix_chunks: r.u32()?,
        };
        let inline = r.0;
        (commit.inline_bytes() == inline.len() as u64).then_some((commit, inline))
    }

    /// Data records of the message.
    pub fn chunks(&self) -> u64 {
        u64::from(self.body_chunks) + u64::from(self.prefix_chunks)
    }

    pub fn prefix_bytes(&self) -> u64 {
        u64::from(self.meta_bytes) + u64::from(self.head_bytes)
    }

    fn inline_bytes(&self) -> u64 {
        let prefix = if self.prefix_chunks == 0 { self.prefix_bytes() } else { 0 };
        let body = if self.body_chunks == 0 { self.body_bytes } else { 0 };
        prefix.saturating_add(body)
    }
}
