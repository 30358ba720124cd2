//! Bytes that wait to be sent: the sessions append, the driver sends from the front.
//! Nothing is moved until all is gone, so that one write follows another without copying.

/// A queue of bytes. What may be in it is bounded by the session that owns it.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// What is to be sent.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` pending bytes are gone; at most all of them.
    pub fn sent(&mut self, n: usize) {
        self.sent = self.bytes.len().min(self.sent + n);
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Where to append.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
