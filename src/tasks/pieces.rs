//! A stored message piece by piece, from memory or from its domain's spool, which is read on the flusher's
//! thread: flash that takes its time holds up nobody else. Danger: a message that cannot be read whole must not
//! pass for a shorter one, so an end and an error are told apart.

use futures_lite::future;

use crate::limits::SPOOL_READ_BYTES;
use crate::mail::{Domain, QueueId};
use crate::relay::{Body, Content};
use crate::tasks::station::Station;

/// The body of a message under way.
pub struct Pieces<'a> {
    station: &'a Station,
    owner: &'a Domain,
    id: QueueId,
    body: &'a Body,
    at: usize,
    /// The last piece that was read.
    read: Vec<u8>,
}

/// The spool did not give what it holds.
#[derive(Debug)]
pub struct Unreadable;

impl<'a> Pieces<'a> {
    pub fn of(station: &'a Station, owner: &'a Domain, id: QueueId, content: &'a Content) -> Self {
        Pieces { station, owner, id, body: &content.body, at: 0, read: Vec::new() }
    }

    /// The next piece of the body; `None` after the last one. Other tasks get their turn in between.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Unreadable> {
        let start = self.at;
        match self.body {
            Body::Memory(bytes) => {
                if start > 0 {
                    future::yield_now().await;
                }
                let end = bytes.len().min(start + SPOOL_READ_BYTES);
                self.at = end;
                Ok((start < end).then(|| &bytes[start..end]))
            }
            Body::Spool(len) if start as u64 >= *len => Ok(None),
            Body::Spool(_) => {
                let found = self.station.office.borrow().find_body(self.owner, self.id, start as u64);
                let (piece, flash) = found.ok_or(Unreadable)?;
                self.read = match self.station.blocking(move || piece.read(&*flash)).await {
                    Some(Ok(bytes)) if !bytes.is_empty() => bytes,
                    _ => return Err(Unreadable),
                };
                self.at += self.read.len();
                Ok(Some(&self.read))
            }
        }
    }
}
