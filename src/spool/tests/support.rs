//! What the tests of the log share: messages whose content follows from their id, and a log on its medium.

use std::time::Duration;

use crate::mail::{Address, Envelope, QueueId, ReversePath};
use crate::spool::sim::SimFlash;
use crate::spool::{Batch, Bounds, DomainLog, Durable, Flash, Meta, Recovery, Ticket};
use crate::time::{Instant, WallTime};

pub fn id(n: u64) -> QueueId {
    QueueId::from_u64(n).unwrap()
}

pub fn small_bounds() -> Bounds {
    Bounds::for_quota(2 << 20, 11)
}

pub fn meta(n: u64) -> Meta {
    let rcpt = |user: &str| Address::parse(&format!("{user}{n}@xyz.com")).unwrap();
    let sender = ReversePath::Address(Address::parse("b1@bcd.com").unwrap());
    Meta {
        received: WallTime::from_unix_seconds(1_000_000 + n),
        origin: format!("192.0.2.{n} ESMTP"),
        authored: false,
        envelope: Envelope::plain(sender, [rcpt("x"), rcpt("y")]),
    }
}

pub fn head(n: u64) -> Vec<u8> {
    format!("Message-Id: <{n}@bcd.com>\r\nSubject: number {n}\r\n\r\n").into_bytes()
}

/// Bytes that differ at every place and for every message.
pub fn body(n: u64, bytes: usize) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// A log and its medium.
pub struct Rig {
    pub flash: SimFlash,
    pub log: DomainLog,
    pub recovery: Recovery,
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        Self::open(SimFlash::new(seed))
    }

    pub fn open(flash: SimFlash) -> Self {
        let (log, recovery) = DomainLog::recover(&flash, small_bounds());
        Rig { flash, log, recovery }
    }

    /// Opens the log again, as after a restart without a cut.
    pub fn reopen(self) -> Self {
        Self::open(self.flash)
    }

    pub fn put(&mut self, n: u64, bytes: usize) -> Ticket {
        self.log.put(id(n), &meta(n), &head(n), &body(n, bytes)).unwrap()
    }

    pub fn put_all(&mut self, numbers: impl IntoIterator<Item = u64>, bytes: usize) {
        for n in numbers {
            self.put(n, bytes);
        }
    }

    /// Runs batches until nothing more is to be written, lazy records included.
    pub fn flush(&mut self) -> Vec<Durable> {
        let mut ends = Vec::new();
        while let Some(batch) = self.take_batch() {
            ends.push(self.log.batch_finished(batch.run(&self.flash)));
        }
        ends
    }

    /// What is to be written, lazy records included.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let urgent = self.log.take_batch(&self.flash, Instant::ORIGIN);
        urgent.or_else(|| self.log.take_batch(&self.flash, Instant::ORIGIN + Duration::from_secs(3600)))
    }

    pub fn ids(&self) -> Vec<u64> {
        self.recovery.messages.iter().map(|m| m.id.as_u64()).collect()
    }

    pub fn assert_whole(&self, n: u64, bytes: usize) {
        assert_whole(&self.log, &self.flash, n, bytes);
    }
}

/// Reads the body to its end.
pub fn read_body(log: &DomainLog, flash: &dyn Flash, n: u64) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        let count = log.read_body(flash, id(n), whole.len() as u64, &mut buf).unwrap();
        if count == 0 {
            return whole;
        }
        whole.extend_from_slice(&buf[..count]);
    }
}

/// The message is there, byte for byte.
pub fn assert_whole(log: &DomainLog, flash: &dyn Flash, n: u64, bytes: usize) {
    let stored = log.load(flash, id(n)).unwrap_or_else(|why| panic!("message {n}: {why}"));
    assert_eq!(stored.meta, meta(n), "facts of {n}");
    assert_eq!(stored.head, head(n), "header section of {n}");
    assert_eq!(stored.body_len, bytes as u64, "length of {n}");
    assert!(read_body(log, flash, n) == body(n, bytes), "body of {n}");
}
