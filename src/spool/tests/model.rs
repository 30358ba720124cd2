//! What the log has promised, kept beside it: a step is done to both, and after every start the log must
//! agree. Where a cut leaves a choice (an unacknowledged message, a record not yet durable) the model
//! allows both, but never a message that is torn.

use std::collections::{BTreeMap, BTreeSet};

use super::support::*;
use crate::spool::sim::SimFlash;
use crate::spool::{Batch, Bounds, DomainLog, RecipientState, Recovery, SpoolError, State, Ticket};
use crate::time::WallTime;

/// One thing that the queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message of so many bytes.
    Put(u64, usize),
    /// A report of our own.
    Report(u64, usize),
    Draft(u64),
    Append(u64, usize),
    CommitDraft(u64),
    DropDraft(u64),
    /// The next state of a message.
    Update(u64),
    Done(u64),
    /// Batches are run until nothing waits, lazy records included.
    Flush,
    /// A batch is taken; what follows until the next flush is appended while it is under way.
    Take,
    /// The process is killed and starts again; what was written and not synced is still in the cache.
    Restart,
}

/// A message that may be in the log.
#[derive(Clone, Debug, Default)]
struct Message {
    bytes: usize,
    /// Its commit is durable, or it was there at a start.
    promised: bool,
    /// It was ended, or its commit was refused.
    over: bool,
    /// The end is durable: it must never come back.
    gone: bool,
    /// The last state, and the last that is durable.
    version: u16,
    durable_version: u16,
}

/// A log, its medium and what it has promised.
pub struct World {
    pub rig: Rig,
    messages: BTreeMap<u64, Message>,
    drafts: BTreeMap<u64, usize>,
    tickets: BTreeMap<Ticket, u64>,
    taken: Option<(Batch, Taken)>,
    bounds: Bounds,
}

/// What a batch covers if it succeeds.
struct Taken {
    over: BTreeSet<u64>,
    versions: BTreeMap<u64, u16>,
}

/// The state of a message after so many updates.
pub fn state(n: u64, version: u16) -> State {
    let mut state = State::new(2, meta(n).received);
    if version > 0 {
        state.attempts = version;
        state.next = WallTime::from_unix_seconds(2_000_000 + u64::from(version));
        state.recipients[0] = RecipientState::Delivered { reply: format!("250 ok {n}") };
        state.recipients[1] = RecipientState::Deferred { reply: format!("450 4.2.0 try {version}") };
    }
    state
}

impl World {
    pub fn new(seed: u64) -> Self {
        let rig = Rig::new(seed);
        let (messages, drafts, tickets) = Default::default();
        World { rig, messages, drafts, tickets, taken: None, bounds: small_bounds() }
    }

    pub fn is_dead(&self) -> bool {
        self.rig.flash.is_dead()
    }

    pub fn live(&self) -> Vec<u64> {
        self.messages.iter().filter(|(_, m)| !m.over && !m.gone).map(|(n, _)| *n).collect()
    }

    pub fn drafts(&self) -> Vec<u64> {
        self.drafts.keys().copied().collect()
    }

    pub fn step(&mut self, step: Step) {
        match step {
            Step::Put(n, bytes) => {
                let put = self.rig.log.put(id(n), &meta(n), &head(n), &body(n, bytes));
                self.committed(n, bytes, put);
            }
            Step::Report(n, bytes) => {
                let put = self.rig.log.put_report(id(n), &meta(n), &head(n), &body(n, bytes));
                self.committed(n, bytes, put);
            }
            Step::Draft(n) => {
                self.rig.log.draft(id(n));
                self.drafts.insert(n, 0);
            }
            Step::Append(n, bytes) => self.append(n, bytes),
            Step::CommitDraft(n) => {
                let Some(bytes) = self.drafts.remove(&n) else { return };
                let put = self.rig.log.draft_commit(id(n), &meta(n), &head(n));
                if put.is_err() {
                    self.rig.log.draft_drop(id(n));
                }
                self.committed(n, bytes, put);
            }
            Step::DropDraft(n) => {
                self.rig.log.draft_drop(id(n));
                self.drafts.remove(&n);
            }
            Step::Update(n) => self.update(n),
            Step::Done(n) => {
                self.rig.log.done(id(n));
                if let Some(message) = self.messages.get_mut(&n) {
                    message.over = true;
                }
            }
            Step::Flush => self.flush(),
            Step::Take => self.take(),
            Step::Restart => self.restart(),
        }
    }

    fn committed(&mut self, n: u64, bytes: usize, put: Result<Ticket, SpoolError>) {
        if let Ok(ticket) = put {
            self.tickets.insert(ticket, n);
            self.messages.insert(n, Message { bytes, ..Message::default() });
        }
    }

    fn append(&mut self, n: u64, bytes: usize) {
        let Some(so_far) = self.drafts.get(&n).copied() else { return };
        let whole = body(n, so_far + bytes);
        match self.rig.log.draft_append(id(n), &whole[so_far..]) {
            Ok(()) => drop(self.drafts.insert(n, so_far + bytes)),
            Err(SpoolError::Busy) => {}
            Err(_) => self.step(Step::DropDraft(n)),
        }
    }

    fn update(&mut self, n: u64) {
        if let Some(message) = self.messages.get_mut(&n).filter(|m| !m.over) {
            message.version += 1;
            self.rig.log.update(id(n), &state(n, message.version));
        }
    }

    /// Takes a batch, as if nothing had happened for an hour.
    fn take(&mut self) {
        if self.taken.is_none()
            && let Some(batch) = self.rig.take_batch()
        {
            let over = self.messages.iter().filter(|(_, m)| m.over).map(|(n, _)| *n).collect();
            let versions = self.messages.iter().map(|(n, m)| (*n, m.version)).collect();
            self.taken = Some((batch, Taken { over, versions }));
        }
    }

    fn finish(&mut self) {
        let Some((batch, taken)) = self.taken.take() else { return };
        let result = batch.run(&self.rig.flash);
        let good = result.is_ok();
        let durable = self.rig.log.batch_finished(result);
        let settled: Vec<(Ticket, u64)> = self.tickets.iter().map(|(t, n)| (*t, *n)).collect();
        for (ticket, n) in settled {
            let failed = durable.failed.as_ref().is_some_and(|f| f.contains(&ticket));
            let Some(message) = self.messages.get_mut(&n) else { continue };
            message.over |= failed;
            message.promised |= !failed && ticket <= durable.up_to;
            if failed || ticket <= durable.up_to {
                self.tickets.remove(&ticket);
            }
        }
        if good {
            for n in taken.over {
                self.messages.get_mut(&n).unwrap().gone = true;
            }
            for (n, version) in taken.versions {
                self.messages.get_mut(&n).unwrap().durable_version = version;
            }
        }
    }

    /// At most a few batches: where each fails, the records would be written again for ever.
    fn flush(&mut self) {
        self.finish();
        for _ in 0..8 {
            self.take();
            if self.taken.is_none() || self.is_dead() {
                return;
            }
            self.finish();
        }
    }

    /// Cuts the power and starts again.
    pub fn power_cycle(&mut self) {
        self.rig.flash.power_cycle();
        self.restart();
    }

    /// Starts again and holds the log to its promises.
    pub fn restart(&mut self) {
        let (log, recovery) =
            DomainLog::recover(&self.rig.flash, Bounds { seed: self.bounds.seed + 1, ..self.bounds });
        self.bounds.seed += 1;
        (self.rig.log, self.rig.recovery) = (log, recovery);
        self.taken = None;
        self.tickets.clear();
        self.drafts.clear();
        if self.is_dead() {
            return;
        }
        self.rig.flash.read_well();
        let found = self.rig.ids();
        for n in &found {
            assert!(self.messages.contains_key(n), "message {n} was never put");
        }
        for (n, message) in &mut self.messages {
            if !found.contains(n) {
                assert!(!message.promised || message.over, "message {n} was promised and is lost");
                (message.over, message.gone) = (true, true);
                continue;
            }
            assert!(!message.gone, "message {n} was over and has come back");
            (message.over, message.promised) = (false, true);
            let stored = self.rig.log.load(&self.rig.flash, id(*n)).unwrap();
            let version = stored.state.attempts;
            assert!((message.durable_version..=message.version).contains(&version), "state {version} of {n}");
            assert_eq!(stored.state, state(*n, version));
            (message.version, message.durable_version) = (version, version);
            assert_whole(&self.rig.log, &self.rig.flash, *n, message.bytes);
        }
    }

    /// Everything that is in the log can be read.
    pub fn check_readable(&self) {
        self.rig.flash.read_well();
        for (n, message) in self.messages.iter().filter(|(_, m)| m.promised && !m.over) {
            assert_whole(&self.rig.log, &self.rig.flash, *n, message.bytes);
            assert_eq!(self.rig.log.load(&self.rig.flash, id(*n)).unwrap().state, state(*n, message.version));
        }
    }

    /// The same promises on another medium, before the start.
    pub fn on(&self, flash: SimFlash) -> Self {
        let (log, recovery) = (DomainLog::recover(&SimFlash::new(0), self.bounds).0, Recovery::default());
        let (drafts, tickets) = Default::default();
        let rig = Rig { flash, log, recovery };
        World { rig, messages: self.messages.clone(), drafts, tickets, taken: None, bounds: self.bounds }
    }

    /// This world as it would be after a cut now.
    pub fn fork_as_cut(&self, seed: u64) -> Self {
        let mut cut = self.on(self.rig.flash.fork(seed));
        cut.power_cycle();
        cut
    }
}
