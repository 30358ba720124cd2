//! The two firmware slots as the boot loader sees them: its environment block, read and written here.
//! Sources: GRUB manual, "environment block" (exactly 1024 bytes, overwritten in place); `board/grub.cfg`.
//! Danger: the block must keep its size and its place on the disk, or the boot loader cannot read it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::Part;

/// The size that GRUB demands.
pub const BLOCK_BYTES: usize = 1024;
const HEAD: &str = "# GRUB Environment Block\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    A,
    B,
}

impl Slot {
    pub fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    pub fn part(self) -> Part {
        match self {
            Slot::A => Part::SlotA,
            Slot::B => Part::SlotB,
        }
    }

    /// The slot in a partition; `None` for one that is no slot.
    pub fn in_part(part: Part) -> Option<Self> {
        [Slot::A, Slot::B].into_iter().find(|slot| slot.part() == part)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::A => "A",
            Slot::B => "B",
        })
    }
}

/// What the boot loader goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Started whenever nothing else is asked for.
    pub good: Slot,
    /// Started once, on trial; the boot loader clears it before it starts the slot.
    pub next: Option<Slot>,
    /// Starts of `good` in a row that nobody called healthy.
    pub failed: usize,
}

impl Slots {
    /// Reads the block in `file`.
    ///
    /// # Errors
    /// `InvalidData` for anything that the boot loader would not read; those of the file system.
    pub fn read(file: &Path) -> io::Result<Self> {
        let mut block = [0; BLOCK_BYTES];
        let opened = File::open(file)?;
        if opened.metadata()?.len() != BLOCK_BYTES as u64 {
            return Err(invalid("the boot loader's environment has a wrong size"));
        }
        opened.read_exact_at(&mut block, 0)?;
        Self::parse(&block)
    }

    /// Overwrites the block in `file`, in place, and syncs it.
    ///
    /// # Errors
    /// `NotFound` when the file is not there: it is made with the image, never here.
    pub fn write(self, file: &Path) -> io::Result<()> {
        let opened = OpenOptions::new().write(true).open(file)?;
        opened.write_all_at(&self.to_block(), 0)?;
        opened.sync_all()
    }

    /// The slot that was started is healthy: from now on it is the good one.
    pub fn confirmed(self, running: Slot) -> Self {
        Slots { good: running, next: None, failed: 0 }
    }

    /// An end in order: a start of the good slot was no failed one, one on trial proves nothing by it.
    pub fn ended(self, running: Slot) -> Self {
        if running == self.good { Slots { failed: 0, ..self } } else { self }
    }

    /// `slot` is to be started once, on trial.
    pub fn on_trial(self, slot: Slot) -> Self {
        Slots { next: Some(slot), ..self }
    }

    /// Nothing is to be started on trial.
    pub fn off_trial(self) -> Self {
        Slots { next: None, ..self }
    }

    pub fn parse(block: &[u8; BLOCK_BYTES]) -> io::Result<Self> {
        let text =
            std::str::from_utf8(block).map_err(|_| invalid("the boot loader's environment is no text"))?;
        let lines =
            text.strip_prefix(HEAD).ok_or_else(|| invalid("the boot loader's environment has no head"))?;
        let value = |key: &str| {
            let find = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
            lines.lines().find(find).map(|line| &line[key.len() + 1..])
        };
        let good = value("good").and_then(slot_named).ok_or_else(|| invalid("no good slot is named"))?;
        let next = value("next").and_then(slot_named);
        Ok(Slots { good, next, failed: value("fails").map_or(0, str::len) })
    }

    pub fn to_block(self) -> [u8; BLOCK_BYTES] {
        let next = self.next.map(|slot| slot.to_string()).unwrap_or_default();
        let fails = "x".repeat(self.failed.min(FAILS_MAX));
        let text = format!("{HEAD}good={}\nnext={next}\nfails={fails}\n", self.good);
        let mut block = [b'#'; BLOCK_BYTES];
        block[..text.len()].copy_from_slice(text.as_bytes());
        block
    }
}

/// Beyond this the boot loader counts no further.
const FAILS_MAX: usize = 8;

fn slot_named(name: &str) -> Option<Slot> {
    match name {
        "A" => Some(Slot::A),
        "B" => Some(Slot::B),
        _ => None,
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> [u8; BLOCK_BYTES] {
        let mut block = [b'#'; BLOCK_BYTES];
        block[..text.len()].copy_from_slice(text.as_bytes());
        block
    }

    #[test]
    fn what_the_boot_loader_writes_is_read() {
        let a = Slots { good: Slot::A, next: None, failed: 0 };
        for (caption, text, slots) in [
            ("as made", "# GRUB Environment Block\ngood=A\nnext=\nfails=\n", a),
            ("another order", "# GRUB Environment Block\nnext=B\ngood=A\n", a.on_trial(Slot::B)),
            ("failed starts", "# GRUB Environment Block\ngood=A\nfails=xx\n", Slots { failed: 2, ..a }),
            ("something else beside", "# GRUB Environment Block\ngoods=B\ngood=A\nq=1\n", a),
        ] {
            assert_eq!(Slots::parse(&block(text)).unwrap(), slots, "{caption}");
        }
    }

    #[test]
    fn a_broken_block_is_refused() {
        for text in ["", "good=A\n", "# GRUB Environment Block\n", "# GRUB Environment Block\ngood=C\n"] {
            assert_eq!(
                Slots::parse(&block(text)).unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "{text:?}"
            );
        }
        assert!(Slots::parse(&[0xff; BLOCK_BYTES]).is_err());
    }

    #[test]
    fn an_end_in_order_speaks_for_the_good_slot_only() {
        let slots = Slots { good: Slot::A, next: Some(Slot::B), failed: 2 };
        assert_eq!(slots.ended(Slot::A), Slots { failed: 0, ..slots });
        assert_eq!(slots.ended(Slot::B), slots);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let path = std::env::temp_dir().join(format!("stagepost-grubenv-{}", std::process::id()));
        let trial = Slots { good: Slot::A, next: None, failed: 1 }.on_trial(Slot::B);
        assert_eq!(trial.write(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, trial.to_block()).unwrap();
        assert_eq!(Slots::read(&path).unwrap(), trial);
        trial.confirmed(Slot::B).write(&path).unwrap();
        assert_eq!(Slots::read(&path).unwrap(), Slots { good: Slot::B, next: None, failed: 0 });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1024);
        std::fs::write(&path, b"short").unwrap();
        assert!(Slots::read(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
