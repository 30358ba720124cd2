//! What a machine's first process does beside its work: mounts, the console, orphans, the end in order.
//! Sources: init in the kernel's admin guide, mount(2), reboot(2); the disk's layout of `board/README.md`.
//! Danger: when the first process dies the kernel panics; here nothing unwraps, what fails is noted and shown.

use std::ffi::{CStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{WaitOptions, getpid, wait};
use rustix::system::{RebootCommand, reboot};

use crate::limits::FAILED_STARTS_MAX;
use crate::time::Instant;

use super::clock;
use super::disk::{Disk, Part};
use super::grow;
use super::rescue::Rescued;
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
    pub failsafe: Option<Failsafe>,
}

/// Why a machine starts without its saved configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failsafe {
    /// A key at the console, while the kernel came up.
    Asked,
    /// So many starts in a row were not called good.
    FailedStarts(usize),
}

impl fmt::Display for Failsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failsafe::Asked => f.write_str("it was asked for at the console"),
            Failsafe::FailedStarts(starts) => write!(f, "the last {starts} starts did not go well"),
        }
    }
}

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Reboot,
    PowerOff,
    /// Everything on the data partition goes, then the machine starts anew.
    Reset,
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
    let disk = Disk::of_root().ok();
    match &disk {
        _ if is_mounted(Path::new(DATA)) => {}
        Some(disk) => {
            note("data partition", data(disk));
            note("the data partition does not grow", grow::data(disk, Path::new(DATA)));
        }
        None => {
            let done = mounted("tmpfs", DATA, "tmpfs", closed, None);
            note("data partition", done);
            note("data partition", Err(io::Error::other("none, so nothing outlives the power")));
        }
    }
    set_misfits_aside(Path::new(DATA), &mut notes);
    Machine { began, disk, notes, failsafe: failsafe() }
}

/// Three bad starts in a row, or an `f` typed at the console while the kernel came up.
fn failsafe() -> Option<Failsafe> {
    let mut keys = [0; 64];
    let typed = tty::typed_before(&mut keys).unwrap_or(0);
    if tty::is_failsafe(&keys[..typed]) {
        return Some(Failsafe::Asked);
    }
    let failed = kernel_word("stagepost.fails").map_or(0, |fails| fails.len());
    (failed >= FAILED_STARTS_MAX).then_some(Failsafe::FailedStarts(failed))
}

/// The value of `key=value` on the kernel's command line.
fn kernel_word(key: &str) -> Option<String> {
    let line = fs::read_to_string("/proc/cmdline").ok()?;
    let mut words = line.split_ascii_whitespace();
    words.find_map(|word| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}

/// Mounts, unless something was mounted there before.
fn mounted(from: &str, at: &str, kind: &str, flags: MountFlags, data: Option<&CStr>) -> io::Result<()> {
    if is_mounted(Path::new(at)) {
        return Ok(());
    }
    match mount(from, at, kind, flags, data) {
        Err(rustix::io::Errno::BUSY) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Whether something is mounted there already, such as a container's volume.
fn is_mounted(folder: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    matches!((device(folder), folder.parent().map(device)), (Ok(own), Some(Ok(around))) if own != around)
}

/// What is a folder where a file should be, or the other way round, is put aside under another name.
fn set_misfits_aside(data: &Path, notes: &mut Vec<String>) {
    let files = ["config", "config.history", "console.password", "crash", "secret", "authority.pem"];
    let files = files.map(|name| (name, false));
    let folders = ["spool", "mail", "certificates", "dkim"].map(|name| (name, true));
    for (name, is_folder) in files.into_iter().chain(folders) {
        let path = data.join(name);
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() == is_folder && !found.is_symlink() {
            continue;
        }
        let aside = path.with_added_extension("misfit");
        let moved = super::files::erase(&aside).and_then(|()| fs::rename(&path, &aside));
        let wanted = if is_folder { "folder" } else { "file" };
        notes.push(match moved {
            Ok(()) => format!("{}: it was no {wanted}, and is {} now", path.display(), aside.display()),
            Err(e) => format!("{}: it is no {wanted}, and stays: {e}", path.display()),
        });
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

/// Mounts the data partition; one that cannot be mounted is made anew from the image's own copy, with what can
/// still be read of the old one.
fn data(disk: &Disk) -> io::Result<()> {
    let device = disk.device(Part::Data)?;
    let Err(broken) = mount_data(&device) else { return Ok(()) };
    let saved = rescue(&device);
    make_data(disk, &device)?;
    mount_data(&device)?;
    let kept = match saved.put_back(Path::new(DATA)) {
        Ok(0) => "nothing of it could be read".to_owned(),
        Ok(files) => format!("{files} files were carried over, {} were lost", saved.lost),
        Err(e) => format!("carried over: {e}"),
    };
    Err(io::Error::other(format!("it could not be mounted ({broken}) and was made anew; {kept}")))
}

fn mount_data(device: &Path) -> io::Result<()> {
    let closed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    // Whatever must last is synced by us. That a file was written to, a commit of the spool tells nobody:
    // noted every five seconds, as is usual, it would cost more than a lone message itself. Nor are inode tables
    // that nobody uses yet filled with zeros.
    let quiet = closed | MountFlags::LAZYTIME;
    Ok(mount(device, DATA, "ext4", quiet, c"errors=remount-ro,commit=600,noinit_itable")?)
}

/// What is on a data partition that can only be read: its journal left alone, by its first superblock or one
/// of the copies of it (ext4(5) `sb=`, for blocks of 1 and of 4 KiB).
fn rescue(device: &Path) -> Rescued {
    for how in [c"noload", c"noload,sb=8193", c"noload,sb=131072"] {
        if mount(device, DATA, "ext4", MountFlags::RDONLY, how).is_err() {
            continue;
        }
        let saved = Rescued::gather(Path::new(DATA));
        let left = unmount(DATA, UnmountFlags::empty());
        if left.is_ok() && !saved.is_empty() {
            return saved;
        }
    }
    Rescued::default()
}

/// Every byte of the small file system is written, so that nothing of an old journal can be taken for the new
/// one's; what lies behind it is given back to the card, where that can forget.
fn make_data(disk: &Disk, device: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).open(device)?;
    let _ = grow::forget(&target, disk.extent(Part::Data)?);
    io::copy(&mut File::open(FRESH_DATA)?, &mut target)?;
    target.sync_all()
}

/// Makes the data partition as new; where there is none, empties the folder.
fn erase() {
    let made = Disk::of_root().and_then(|disk| {
        let device = disk.device(Part::Data)?;
        unmount(DATA, UnmountFlags::DETACH)?;
        make_data(&disk, &device)
    });
    if made.is_err() {
        let entries = fs::read_dir(DATA).into_iter().flatten().flatten();
        entries.for_each(|entry| drop(super::files::erase(&entry.path())));
    }
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

    /// Tells the boot loader that this start has come to an end in order.
    ///
    /// # Errors
    /// As [`Machine::slots`], and those of writing.
    pub fn ended(&self) -> io::Result<()> {
        let Some(running) = self.running() else { return Ok(()) };
        self.change_slots(|slots| slots.ended(running))
    }

    /// Tells the boot loader what to go by, where that is news.
    ///
    /// # Errors
    /// As [`Machine::slots`], and those of writing.
    pub fn change_slots(&self, change: impl FnOnce(Slots) -> Slots) -> io::Result<()> {
        let slots = self.slots()?;
        let changed = change(slots);
        if changed == slots {
            return Ok(());
        }
        self.with_boot(MountFlags::empty(), |environment| changed.write(environment))
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

/// Closes the files of `/data`, and the sockets, of which one has its name there: what is open keeps the file
/// system from being unmounted. Whoever had them open never runs again, or only to hear that they are closed.
fn close_data() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<(PathBuf, OsString)> =
        entries.filter_map(|entry| Some((fs::read_link(entry.path()).ok()?, entry.file_name()))).collect();
    for (target, name) in open {
        let is_data =
            target.starts_with(DATA) || target.as_os_str().as_encoded_bytes().starts_with(b"socket:");
        if let (true, Some(number)) = (is_data, name.to_str().and_then(|name| name.parse::<i32>().ok())) {
            let _ = nix::unistd::close(number);
        }
    }
}

/// Ends the machine: everything written, `/data` unmounted or at least read-only. Returns only where the
/// kernel refuses.
pub fn end(how: End) -> io::Error {
    close_data();
    if how == End::Reset {
        erase();
    }
    rustix::fs::sync();
    if unmount(DATA, UnmountFlags::empty()).is_err() {
        let _ = rustix::mount::mount_remount(DATA, MountFlags::RDONLY, c"");
    }
    let command = match how {
        End::Reboot | End::Reset => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
    };
    match reboot(command) {
        Ok(()) => io::Error::other("the kernel returned from reboot"),
        Err(e) => e.into(),
    }
}
