//! A medium for tests: what was not synced may be lost, torn by sector or reordered at a cut, and any call
//! can be made to fail. Its whole behaviour follows from a seed.
//! Danger: it must be no kinder than real flash; a cut keeps an arbitrary subset of unsynced sectors.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::prng::Prng;
use crate::spool::flash::{FileName, Flash, FlashError, Listed};

const SECTOR: usize = 512;

/// What a call does, for faults and for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    List,
    Create,
    Read,
    Write,
    Sync,
    SyncDir,
    Rename,
    Remove,
    Keep,
}

impl Call {
    /// Whether it changes what the medium will hold.
    pub fn changes(self) -> bool {
        !matches!(self, Call::List | Call::Read)
    }
}

/// How calls go wrong.
#[derive(Clone, Debug, Default)]
pub enum Faults {
    #[default]
    None,
    /// The power is cut at the change with this number, counted from 0: it happens in part or not at all,
    /// and nothing works afterwards.
    CutAt(u64),
    /// The change with this number fails so.
    FailAt(u64, FlashError),
    /// The read with this number fails so, once.
    FailReadAt(u64, FlashError),
    /// Each call of this kind fails so.
    Every(Call, FlashError),
}

/// Contents of a file: what is surely on the medium, and what was written over it since its last sync.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    cached: Vec<u8>,
}

#[derive(Debug)]
struct Medium {
    /// Files by number; names point to them.
    files: BTreeMap<u64, File>,
    next_file: u64,
    names: BTreeMap<FileName, u64>,
    /// Names as they surely are after a cut, and the changes to them since, in order.
    durable_names: BTreeMap<FileName, u64>,
    name_changes: Vec<NameChange>,
    damaged: BTreeMap<String, Vec<u8>>,
    changes: u64,
    reads: u64,
    written: u64,
    dead: bool,
    faults: Faults,
    prng: Prng,
    space: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum NameChange {
    Add(FileName, u64),
    Rename(FileName, FileName),
    Remove(FileName),
}

/// A simulated directory.
#[derive(Debug)]
pub struct SimFlash(Mutex<Medium>);

impl SimFlash {
    pub fn new(seed: u64) -> Self {
        SimFlash(Mutex::new(Medium {
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            damaged: BTreeMap::new(),
            changes: 0,
            reads: 0,
            written: 0,
            dead: false,
            faults: Faults::None,
            prng: Prng::from_seed(seed),
            space: None,
        }))
    }

    fn medium(&self) -> std::sync::MutexGuard<'_, Medium> {
        self.0.lock().unwrap()
    }

    pub fn set_faults(&self, faults: Faults) {
        let mut m = self.medium();
        m.faults = faults;
        (m.changes, m.reads) = (0, 0);
    }

    /// Ends a fault of reading: what follows is a look at the promises.
    pub fn read_well(&self) {
        let m = &mut *self.medium();
        if matches!(m.faults, Faults::FailReadAt(..)) {
            m.faults = Faults::None;
        }
    }

    /// Bytes that files may take together; `None`: no bound.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.medium().space = bytes;
    }

    pub fn changes(&self) -> u64 {
        self.medium().changes
    }

    pub fn reads(&self) -> u64 {
        self.medium().reads
    }

    pub fn written(&self) -> u64 {
        self.medium().written
    }

    pub fn is_dead(&self) -> bool {
        self.medium().dead
    }

    /// Cuts the power, if it is not cut yet, and gives it back: names and sectors that were not synced are
    /// there or not, each as the dice say.
    pub fn power_cycle(&self) {
        let m = &mut *self.medium();
        let keep = m.prng.below(m.name_changes.len() + 1);
        for change in m.name_changes.drain(..).take(keep) {
            apply(&mut m.durable_names, change);
        }
        m.names = m.durable_names.clone();
        // One cut in four loses everything, one in four nothing; the others lose sector by sector.
        let mode = m.prng.below(4);
        for file in m.files.values_mut() {
            match mode {
                0 => {}
                1 => file.durable = file.cached.clone(),
                _ => tear(&mut file.durable, &file.cached, &mut m.prng),
            }
            file.cached = file.durable.clone();
        }
        let used: Vec<u64> = m.names.values().copied().collect();
        m.files.retain(|number, _| used.contains(number));
        m.dead = false;
        m.faults = Faults::None;
        m.changes = 0;
    }

    /// Changes bytes of a file behind the log's back.
    pub fn harm(&self, name: FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let m = &mut *self.medium();
        let file = m.files.get_mut(&m.names[&name]).unwrap();
        change(&mut file.durable);
        file.cached = file.durable.clone();
    }

    /// Takes a file away behind the log's back.
    pub fn lose(&self, name: FileName) {
        let m = &mut *self.medium();
        m.names.remove(&name);
        m.durable_names.remove(&name);
    }

    pub fn kept(&self, label: &str) -> Option<Vec<u8>> {
        self.medium().damaged.get(label).cloned()
    }

    /// An equal medium, as it is now; for running several futures from one past.
    pub fn fork(&self, seed: u64) -> Self {
        let m = self.medium();
        let copy = Medium {
            files: m.files.clone(),
            names: m.names.clone(),
            durable_names: m.durable_names.clone(),
            name_changes: m.name_changes.clone(),
            damaged: m.damaged.clone(),
            faults: Faults::None,
            prng: Prng::from_seed(seed),
            ..*m
        };
        SimFlash(Mutex::new(copy))
    }
}

fn apply(names: &mut BTreeMap<FileName, u64>, change: NameChange) {
    match change {
        NameChange::Add(name, number) => {
            names.insert(name, number);
        }
        NameChange::Rename(from, to) => {
            if let Some(number) = names.remove(&from) {
                names.insert(to, number);
            }
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
    }
}

/// Lets each sector that differs reach the medium or not.
fn tear(durable: &mut [u8], cached: &[u8], prng: &mut Prng) {
    for (old, new) in durable.chunks_mut(SECTOR).zip(cached.chunks(SECTOR)) {
        if old != new && prng.below(2) == 0 {
            old.copy_from_slice(new);
        }
    }
}

impl Medium {
    /// Counts a call and decides whether it happens.
    fn begin(&mut self, call: Call) -> Result<(), FlashError> {
        if self.dead {
            return Err(FlashError::Io(5));
        }
        let number = self.changes;
        self.changes += u64::from(call.changes());
        if call == Call::Read {
            self.reads += 1;
        }
        match self.faults {
            Faults::CutAt(at) if call.changes() && at == number => {
                self.dead = true;
                Err(FlashError::Io(5))
            }
            Faults::FailAt(at, why) if call.changes() && at == number => Err(why),
            Faults::FailReadAt(at, why) if call == Call::Read && at + 1 == self.reads => Err(why),
            Faults::Every(which, why) if which == call => Err(why),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: FileName) -> Result<&mut File, FlashError> {
        let number = self.names.get(&name).ok_or(FlashError::Missing)?;
        self.files.get_mut(number).ok_or(FlashError::Missing)
    }

    fn rename_or_remove(&mut self, change: NameChange) {
        apply(&mut self.names, change);
        self.name_changes.push(change);
    }
}

impl Flash for SimFlash {
    fn list(&self) -> Result<Vec<Listed>, FlashError> {
        let m = &mut *self.medium();
        m.begin(Call::List)?;
        let listed =
            m.names.iter().map(|(name, n)| Listed { name: *name, bytes: m.files[n].cached.len() as u64 });
        Ok(listed.collect())
    }

    fn create(&self, name: FileName, bytes: u32) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        let outcome = m.begin(Call::Create);
        let used: usize = m.names.values().map(|n| m.files[n].cached.len()).sum();
        if outcome.is_ok() && m.space.is_some_and(|space| used as u64 + u64::from(bytes) > space) {
            return Err(FlashError::NoSpace);
        }
        if outcome.is_err() && !m.dead {
            return outcome;
        }
        // A cut may leave the name with any length, and what is there is zeros.
        let size = if outcome.is_err() { m.prng.below(bytes as usize + 1) } else { bytes as usize };
        let number = m.next_file;
        m.next_file += 1;
        m.files.insert(number, File { durable: vec![0; size], cached: vec![0; size] });
        m.rename_or_remove(NameChange::Add(name, number));
        outcome
    }

    fn read(&self, name: FileName, offset: u32, buf: &mut [u8]) -> Result<usize, FlashError> {
        let m = &mut *self.medium();
        m.begin(Call::Read)?;
        let file = m.file(name)?;
        let rest = file.cached.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, name: FileName, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        let outcome = m.begin(Call::Write);
        if outcome.is_err() && !m.dead {
            return outcome;
        }
        // A failing write may have happened in part; the cut itself decides about sectors.
        let offset = offset as usize;
        m.written += bytes.len() as u64;
        let file = m.file(name)?;
        if file.cached.len() < offset + bytes.len() {
            file.cached.resize(offset + bytes.len(), 0);
            file.durable.resize(offset + bytes.len(), 0);
        }
        file.cached[offset..offset + bytes.len()].copy_from_slice(bytes);
        outcome
    }

    fn sync(&self, name: FileName) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        let outcome = m.begin(Call::Sync);
        if outcome.is_err() && !m.dead {
            // Some of it came through; what is read from now on is what the medium has.
            let Medium { prng, names, files, .. } = m;
            if let Some(file) = names.get(&name).and_then(|n| files.get_mut(n)) {
                tear(&mut file.durable, &file.cached, prng);
                file.cached = file.durable.clone();
            }
        }
        outcome?;
        let file = m.file(name)?;
        file.durable = file.cached.clone();
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        m.begin(Call::SyncDir)?;
        for change in m.name_changes.drain(..) {
            apply(&mut m.durable_names, change);
        }
        Ok(())
    }

    fn rename(&self, from: FileName, to: FileName) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        let outcome = m.begin(Call::Rename);
        if outcome.is_err() && !m.dead {
            return outcome;
        }
        m.names.get(&from).ok_or(FlashError::Missing)?;
        m.rename_or_remove(NameChange::Rename(from, to));
        outcome
    }

    fn remove(&self, name: FileName) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        let outcome = m.begin(Call::Remove);
        if outcome.is_err() && !m.dead {
            return outcome;
        }
        m.names.get(&name).ok_or(FlashError::Missing)?;
        m.rename_or_remove(NameChange::Remove(name));
        outcome
    }

    fn keep_damaged(&self, label: &str, bytes: &[u8]) -> Result<(), FlashError> {
        let m = &mut *self.medium();
        m.begin(Call::Keep)?;
        m.damaged.entry(label.to_owned()).or_insert_with(|| bytes.to_vec());
        Ok(())
    }

    fn damaged(&self) -> Result<Vec<String>, FlashError> {
        Ok(self.medium().damaged.keys().cloned().collect())
    }
}
