//! A box's disk as a file, looked at from outside: its partitions, and what its boot loader goes by.
//! Sources: the MBR's table at byte 446; GRUB's environment block, `board/README.md`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where a partition lies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub start: u64,
    pub bytes: u64,
}

impl Part {
    /// The partition of this number, from 1.
    pub fn of(disk: &Path, number: u64) -> Part {
        let mut entry = [0; 16];
        File::open(disk).unwrap().read_exact_at(&mut entry, 446 + (number - 1) * 16).unwrap();
        let sectors = |at: usize| u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
        Part { start: sectors(8) * 512, bytes: sectors(12) * 512 }
    }

    /// Its first bytes.
    pub fn read(self, disk: &Path, bytes: u64) -> Vec<u8> {
        assert!(bytes <= self.bytes);
        let mut content = vec![0; bytes as usize];
        File::open(disk).unwrap().read_exact_at(&mut content, self.start).unwrap();
        content
    }

    /// Puts `content` at its beginning.
    pub fn write(self, disk: &Path, content: &[u8]) {
        assert!(content.len() as u64 <= self.bytes);
        File::options().write(true).open(disk).unwrap().write_all_at(content, self.start).unwrap();
    }
}

/// The boot loader's variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    pub good: String,
    pub next: String,
    pub fails: String,
}

/// What the boot loader of `disk` goes by; panics where it could not read it.
#[track_caller]
pub fn slots_on(disk: &Path) -> Slots {
    let part = Part::of(disk, 1);
    let boot = part.read(disk, part.bytes);
    let head = b"# GRUB Environment Block\n";
    let block = boot.chunks(512).find(|sector| sector.starts_with(head)).expect("an environment block");
    let text = String::from_utf8_lossy(block).into_owned();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
    };
    Slots { good: value("good"), next: value("next"), fails: value("fails") }
}
