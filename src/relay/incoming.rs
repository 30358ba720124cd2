//! The memory of messages that are coming in: one bound for all sessions together, or whoever opens many of them
//! and sends header sections without end would have the machine's. Source: the design's promise of bounds.

use std::cell::Cell;
use std::rc::Rc;

use crate::limits::INCOMING_BYTES_MAX;

/// What all of them hold.
#[derive(Clone, Debug, Default)]
pub struct Incoming(Rc<Cell<usize>>);

/// What one of them holds; nothing any more when it is dropped.
#[derive(Debug)]
pub struct Weight {
    all: Rc<Cell<usize>>,
    own: usize,
}

impl Incoming {
    pub fn bytes(&self) -> usize {
        self.0.get()
    }

    /// One more, which holds nothing yet.
    pub fn begin(&self) -> Weight {
        Weight { all: self.0.clone(), own: 0 }
    }
}

impl Weight {
    /// It holds so many bytes now. False: that is more than there is room for, and it must let go.
    pub fn becomes(&mut self, bytes: usize) -> bool {
        let all = self.all.get() - self.own + bytes;
        self.all.set(all);
        self.own = bytes;
        all <= INCOMING_BYTES_MAX
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.own);
    }
}
