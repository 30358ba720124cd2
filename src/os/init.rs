//! What a machine's first process does beside its work: mounts, the console, orphans, the end in order.
//! Sources: init in the kernel's admin guide, mount(2), reboot(2); the disk's layout of `board/README.md`.
//! Danger: when the first process dies the kernel panics; here nothing unwraps, what fails is noted and shown.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{WaitOptions, getpid, wait};
use rustix::system::{RebootCommand, reboot};

use crate::limits::FAILED_STARTS_MAX;
use crate::time::Instant;

use super::clock;
use super::disk::{Disk, Part};
use super::slots::{Slot, Slots};
use super::tty;

/// Where the data partition is mounted.
pub const DATA: &str = "/data";
/// Where the boot partition is mounted while it is looked at.
const BOOT: &str = "/run/boot";
/// The file system of a fresh data partition, as the image brings it.
const FRESH_DATA: &str = "/fresh-data.ext4";
/// The loopback interface's flags. While no interface has an address, the kernel lets anybody listen on any.
const LOOPBACK: &str = "/sys/class/net/lo/flags";
const IFF_UP_LOOPBACK: &str = "0x9";
const ENVIRONMENT: &str = "grub/grubenv";

/// The machine as its first process finds it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// When this process began.
    pub began: Instant,
    pub disk: Option<Disk>,
    /// Everything that did not go as it should, for the log and the console.
    pub notes: Vec<String>,
    /// Why the saved configuration is to be left aside, if it is.
    pub failsafe: Option<String>,
}

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Reboot,
    PowerOff,
}

/// Whether this process is the machine's first one.
pub fn is_first() -> bool {
    getpid().is_init()
}

/// Makes a usable machine: the kernel's file systems, the console on descriptors 0, 1 and 2, and `/data`.
/// Whatever the disk is like, this returns, and what is wrong stands in the notes.
pub fn begin() -> Machine {
    let began = clock::mono();
    let mut notes = Vec::new();
    let mut note = |what: &str, done: io::Result<()>| {
        if let Err(e) = done {
            notes.push(format!("{what}: {e}"));
        }
    };
    let closed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    note("/proc", mounted("proc", "/proc", "proc", closed, None));
    note("/sys", mounted("sysfs", "/sys", "sysfs", closed, None));
    note("/dev", mounted("devtmpfs", "/dev", "devtmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, None));
    note("/run", mounted("tmpfs", "/run", "tmpfs", closed, Some(c"mode=0755,size=4m")));
    note("/dev/console", console());
    note("the loopback interface", fs::write(LOOPBACK, IFF_UP_LOOPBACK));
    let disk = Disk::of_root();
    if let Ok(disk) = &disk {
        note("data partition", data(disk));
    } else {
        note(
            "data partition: none, so nothing outlives the power",
            mounted("tmpfs", DATA, "tmpfs", closed, None),
        );
    }
    let disk = disk.ok();
    Machine { began, disk, notes, failsafe: failsafe() }
}

/// Three bad starts in a row, or an `f` typed at the console while the kernel came up.
fn failsafe() -> Option<String> {
    let failed = kernel_word("stagepost.fails").map_or(0, |fails| fails.len());
    if failed >= FAILED_STARTS_MAX {
        return Some(format!("the last {failed} starts did not go well"));
    }
    let mut keys = [0; 64];
    let typed = tty::typed_before(&mut keys).unwrap_or(0);
    keys[..typed].contains(&b'f').then(|| "it was asked for at the console".to_owned())
}

/// The value of `key=value` on the kernel's command line.
fn kernel_word(key: &str) -> Option<String> {
    let line = fs::read_to_string("/proc/cmdline").ok()?;
    let mut words = line.split_ascii_whitespace();
    words.find_map(|word| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}

/// Mounts; what the kernel mounted there before is fine.
fn mounted(from: &str, at: &str, kind: &str, flags: MountFlags, data: Option<&CStr>) -> io::Result<()> {
    match mount(from, at, kind, flags, data) {
        Err(rustix::io::Errno::BUSY) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The kernel may have opened no console, or one of an early root: open it anew.
fn console() -> io::Result<()> {
    let console = tty::machine_console()?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    Ok(())
}

/// Mounts the data partition; one that cannot be mounted is made anew from the image's own copy, with the
/// configuration carried over where it can still be read.
fn data(disk: &Disk) -> io::Result<()> {
    let device = disk.device(Part::Data)?;
    let Err(broken) = mount_data(&device) else { return Ok(()) };
    let saved = rescue(&device);
    make_data(&device)?;
    mount_data(&device)?;
    let kept = match saved {
        Ok(config) => fs::write(Path::new(DATA).join("config"), config).map_or("lost", |()| "kept"),
        Err(_) => "lost",
    };
    Err(io::Error::other(format!("{broken}: made anew, the configuration was {kept}")))
}

fn mount_data(device: &Path) -> io::Result<()> {
    let closed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    // Whatever must last is synced by us. That a file was written to, a commit of the spool tells nobody:
    // noted every five seconds, as is usual, it would cost more than a lone message itself.
    let quiet = closed | MountFlags::LAZYTIME;
    Ok(mount(device, DATA, "ext4", quiet, c"errors=remount-ro,commit=600")?)
}

/// The configuration on a data partition that can only be read, its journal left alone.
fn rescue(device: &Path) -> io::Result<Vec<u8>> {
    mount(device, DATA, "ext4", MountFlags::RDONLY, c"noload")?;
    let config = fs::read(Path::new(DATA).join("config"));
    unmount(DATA, UnmountFlags::DETACH)?;
    config
}

/// Every byte is written, so that nothing of an old journal can be taken for the new one's.
fn make_data(device: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).open(device)?;
    io::copy(&mut File::open(FRESH_DATA)?, &mut target)?;
    target.sync_all()
}

impl Machine {
    /// The slot that is running; `None` when the machine was not started from a slot.
    pub fn running(&self) -> Option<Slot> {
        Slot::in_part(self.disk.as_ref()?.running()?)
    }

    /// What the boot loader goes by.
    ///
    /// # Errors
    /// `NotFound` without a disk; those of mounting the boot partition and of [`Slots::read`].
    pub fn slots(&self) -> io::Result<Slots> {
        self.with_boot(MountFlags::RDONLY, Slots::read)
    }

    /// Tells the boot loader what to go by from now on.
    ///
    /// # Errors
    /// As [`Machine::slots`], and those of writing.
    pub fn set_slots(&self, slots: Slots) -> io::Result<()> {
        self.with_boot(MountFlags::empty(), |environment| slots.write(environment))
    }

    /// The device of a slot that is not running.
    ///
    /// # Errors
    /// `NotFound` without a disk or without the partition; `InvalidInput` for the slot that is running.
    pub fn spare(&self, slot: Slot) -> io::Result<PathBuf> {
        if self.running() == Some(slot) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.disk.as_ref().ok_or(io::ErrorKind::NotFound)?.device(slot.part())
    }

    /// The boot partition is mounted only while `work` looks at it: a power cut finds it at rest.
    fn with_boot<T>(&self, flags: MountFlags, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let device = self.disk.as_ref().ok_or(io::ErrorKind::NotFound)?.device(Part::Boot)?;
        fs::create_dir_all(BOOT)?;
        let closed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(&device, BOOT, "vfat", closed | flags, None)?;
        let done = work(&Path::new(BOOT).join(ENVIRONMENT));
        let left = unmount(BOOT, UnmountFlags::empty());
        let done = done?;
        left?;
        Ok(done)
    }
}

/// Shows that the data partition takes a file, and leaves nothing behind.
///
/// # Errors
/// Those of writing, such as those of a file system that has become read-only.
pub fn prove_data() -> io::Result<()> {
    let path = Path::new(DATA).join("health");
    let mut file = File::create(&path)?;
    file.write_all(b"well\n")?;
    file.sync_all()?;
    fs::remove_file(&path)
}

/// Takes the status of every child that has ended; a first process inherits other people's children.
pub fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Ends the machine: everything written, `/data` unmounted or at least read-only. Returns only where the
/// kernel refuses.
pub fn end(how: End) -> io::Error {
    rustix::fs::sync();
    if unmount(DATA, UnmountFlags::empty()).is_err() {
        let _ = rustix::mount::mount_remount(DATA, MountFlags::RDONLY, c"");
    }
    let _ = io::stdout().flush();
    let command = match how {
        End::Reboot => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
    };
    match reboot(command) {
        Ok(()) => io::Error::other("the kernel returned from reboot"),
        Err(e) => e.into(),
    }
}
