//! The memory of messages and long envelopes that are coming in: one bound for all sessions together, or whoever
//! opens many of them and sends header sections or recipients without end would have the machine's. Source: the design's promise of bounds.

use std::cell::Cell;
use std::rc::Rc;

/// What all of them hold.
#[derive(Clone, Debug)]
pub struct Incoming {
    all: Rc<Cell<usize>>,
    bytes_max: usize,
}

/// What one of them holds; nothing any more when it is dropped.
#[derive(Debug)]
pub struct Weight {
    all: Rc<Cell<usize>>,
    own: usize,
    bytes_max: usize,
}

impl Incoming {
    /// None of them yet, and so many bytes for all.
    pub fn new(bytes_max: usize) -> Self {
        Incoming { all: Rc::default(), bytes_max }
    }

    pub fn bytes(&self) -> usize {
        self.all.get()
    }

    /// One more, which holds nothing yet.
    pub fn begin(&self) -> Weight {
        Weight { all: self.all.clone(), own: 0, bytes_max: self.bytes_max }
    }
}

impl Weight {
    /// It holds so many bytes now. False: that is more than there is room for, and it must let go.
    pub fn becomes(&mut self, bytes: usize) -> bool {
        let all = self.all.get() - self.own + bytes;
        self.all.set(all);
        self.own = bytes;
        all <= self.bytes_max
    }

    /// It grows by so many bytes, if there is room for them; else it stays as it is.
    pub fn grows(&mut self, bytes: usize) -> bool {
        let before = self.own;
        let fits = self.becomes(before + bytes);
        fits || {
            self.becomes(before);
            false
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.own);
    }
}
