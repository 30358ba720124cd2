//! An update on its way to the slot that is not running: written as it comes, read back, and only then
//! named to the boot loader, for one start on trial.
//! Danger: until the last step the boot loader knows nothing of it, so a power cut anywhere changes nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::disk::Disk;
use super::init::Machine;
use super::slots::{Slot, Slots};
use crate::firmware::parcel::KEY_BYTES;
use crate::firmware::{Head, Unpacker};
use crate::limits::UPDATE_PIECE_BYTES;

/// The name of this box's board, on the image.
const BOARD: &str = "/board";
/// The public half of the key that signs updates, on the image: 32 bytes.
const KEY: &str = "/update.key";

/// Where a stick is mounted while a file on it is opened.
const STICK: &str = "/run/stick";

/// One update.
pub struct Update {
    unpacker: Unpacker,
    slot: Slot,
    device: File,
}

impl Update {
    /// Prepares the slot that is not running: nothing will start it while it is being written.
    ///
    /// # Errors
    /// `NotFound` when the machine was not started from a slot, or its image has no key; `ResourceBusy` while
    /// the running slot is on trial, for the other one is the way back; those of the boot partition.
    pub fn begin(machine: &Machine) -> io::Result<Self> {
        let running = machine.running().ok_or_else(|| not_here("the box was not started from a slot"))?;
        let slots = machine.slots()?;
        if slots.good != running {
            let why = format!("slot {running} is still on trial; update it when it has been confirmed");
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        machine.change_slots(Slots::off_trial)?;
        let board = fs::read_to_string(BOARD)?;
        let key: [u8; KEY_BYTES] =
            fs::read(KEY)?.try_into().map_err(|_| not_here("the image holds no key for updates"))?;
        let slot = running.other();
        let device = OpenOptions::new().read(true).write(true).open(machine.spare(slot)?)?;
        Ok(Update { unpacker: Unpacker::new(key, board.trim()), slot, device })
    }

    /// Takes and writes the next piece; waits for the medium, so that the memory of the box does not fill.
    ///
    /// # Errors
    /// `InvalidData` with the parcel's own words; those of writing.
    pub fn input(&mut self, piece: &[u8]) -> io::Result<()> {
        let image = self.unpacker.input(piece).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        if !image.is_empty() {
            self.device.write_all(image)?;
            self.device.sync_data()?;
        }
        Ok(())
    }

    /// Verifies what was taken and what the slot now holds, and has it started once. Gives the slot.
    ///
    /// # Errors
    /// As [`Update::input`], and `InvalidData` when the slot does not hold what was written.
    pub fn finish(mut self, machine: &Machine) -> io::Result<Slot> {
        let head = self.unpacker.finish().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        read_back(&mut self.device, &head)?;
        machine.change_slots(|slots| slots.on_trial(self.slot))?;
        Ok(self.slot)
    }
}

/// Reads the image from the medium itself, not from memory.
fn read_back(device: &mut File, head: &Head) -> io::Result<()> {
    device.sync_all()?;
    rustix::fs::fadvise(&*device, 0, None, rustix::fs::Advice::DontNeed)?;
    device.seek(SeekFrom::Start(0))?;
    let mut digest = Context::new(&SHA256);
    let mut left = device.take(head.bytes);
    let mut piece = vec![0; UPDATE_PIECE_BYTES];
    loop {
        match left.read(&mut piece)? {
            0 => break,
            n => digest.update(&piece[..n]),
        }
    }
    match digest.finish().as_ref() == head.sha256 {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "the slot does not hold what was written")),
    }
}

/// What sticks and cards are formatted with.
const STICK_KINDS: [&str; 3] = ["vfat", "exfat", "ext4"];

/// The file of an update: on this box where `name` is a whole path, else on a USB stick or card. The stick may
/// be pulled once the file has been read.
///
/// # Errors
/// `NotFound` when no stick has the file.
pub fn open(machine: &Machine, name: &Path) -> io::Result<File> {
    if name.is_absolute() {
        return File::open(name);
    }
    let sticks = machine.disk.as_ref().map(Disk::others).unwrap_or_default();
    let found = sticks.iter().find_map(|stick| open_on(stick, name).ok());
    found.ok_or_else(|| not_here("no stick with a vfat, exfat or ext4 file system has that file"))
}

fn open_on(stick: &Path, name: &Path) -> io::Result<File> {
    fs::create_dir_all(STICK)?;
    let closed = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = STICK_KINDS.iter().any(|kind| mount(stick, STICK, *kind, closed, None).is_ok());
    if !mounted {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let file = File::open(Path::new(STICK).join(name));
    // The open file keeps the file system; nothing else needs the mount.
    unmount(STICK, UnmountFlags::DETACH)?;
    file
}

fn not_here(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, why)
}
