//! A disk in user space (nbdkit) that can be made up again as a power cut at any moment would have left it:
//! what was flushed is there; what was not is lost, kept, or torn. `journal.py` writes down what comes in.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace::command;
use super::{Host, PATIENCE, Running, project, until, until_true};

/// What becomes of writes that no flush has followed. The device may have done any of them, in any order.
#[derive(Clone, Copy, Debug)]
pub enum Unflushed {
    None,
    All,
    /// Each with even chances.
    Half,
    /// Each of their sectors of 512 bytes with even chances.
    Torn,
}

impl Unflushed {
    pub const EACH: [Unflushed; 4] = [Unflushed::None, Unflushed::Half, Unflushed::Torn, Unflushed::All];
}

const SECTOR: usize = 512;
const HEAD_BYTES: usize = 21;

/// Whether this machine can do it; says why not.
pub fn possible() -> bool {
    let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let lacks = ["nbdkit", "nbdfuse"].iter().find(|p| missing(p)).copied();
    let lacks = lacks.or((!Path::new("/dev/fuse").exists()).then_some("/dev/fuse"));
    if let Some(lacks) = lacks {
        eprintln!("skipped: no {lacks}; `scripts/test` installs the packages");
    }
    lacks.is_none()
}

/// The device's server. It ends when dropped.
pub struct Power {
    base: PathBuf,
    journal: PathBuf,
    socket: PathBuf,
    _server: Running,
}

impl Power {
    /// Serves a device that begins as a copy of `image`; its files lie beside it.
    #[track_caller]
    pub fn on(host: &Host, image: &Path) -> Power {
        let (base, live) = (image.to_owned(), image.with_extension("live"));
        let (journal, socket) = (image.with_extension("journal"), image.with_extension("socket"));
        fs::copy(&base, &live).unwrap();
        for old in [&journal, &socket] {
            let _ = fs::remove_file(old);
        }
        let plugin = project().join("tests/whole/lab/journal.py");
        let args = [
            "-f".to_owned(),
            "-U".to_owned(),
            socket.display().to_string(),
            "python".to_owned(),
            plugin.display().to_string(),
            format!("image={}", live.display()),
            format!("journal={}", journal.display()),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = host.start(host.command("nbdkit", &args), "nbdkit.log");
        until_true("nbdkit listens", || socket.exists());
        Power { base, journal, socket, _server: server }
    }

    /// The server's socket, for a virtual machine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What has come in so far.
    pub fn journal(&self) -> Journal {
        Journal { base: self.base.clone(), bytes: fs::read(&self.journal).unwrap() }
    }
}

/// Everything that came in.
pub struct Journal {
    base: PathBuf,
    bytes: Vec<u8>,
}

/// A moment between two records, and when it was.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    records: usize,
    pub at: u64,
}

impl Journal {
    /// Moments after `begin` at which something was written and not flushed: the first half of them at any
    /// write, the others where a flush was to cover several.
    pub fn moments(&self, begin: u64, count: usize) -> Vec<Moment> {
        let records = records(&self.bytes);
        let begin = records.partition_point(|record| record.at < begin);
        let doubtful = |n: &usize| records[n - 1].kind != Kind::Flush;
        let writes: Vec<usize> = (begin + 2..records.len()).filter(doubtful).collect();
        let several: Vec<usize> = writes.iter().copied().filter(|n| doubtful(&(n - 1))).collect();
        let moment = |n| {
            let from = if n < count / 2 || several.is_empty() { &writes } else { &several };
            let records_before = from[fastrand::usize(..from.len())];
            Moment { records: records_before, at: records[records_before - 1].at }
        };
        (0..count).map(moment).collect()
    }

    /// The disk as a cut at `moment` left it, in the file `image`; gives how many writes were in doubt.
    pub fn after_cut(&self, moment: Moment, fate: Unflushed, image: &Path) -> usize {
        fs::copy(&self.base, image).unwrap();
        let disk = File::options().write(true).open(image).unwrap();
        let records = records(&self.bytes);
        let records = &records[..moment.records];
        let flushed = records.iter().rposition(|r| r.kind == Kind::Flush).map_or(0, |at| at + 1);
        let (safe, doubtful) = records.split_at(flushed);
        safe.iter().for_each(|record| record.write(&disk));
        for record in doubtful {
            match fate {
                _ if record.kind == Kind::WriteThrough => record.write(&disk),
                Unflushed::None => {}
                Unflushed::All => record.write(&disk),
                Unflushed::Half if fastrand::bool() => record.write(&disk),
                Unflushed::Half => {}
                Unflushed::Torn => record.tear(&disk),
            }
        }
        doubtful.len()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    WriteThrough,
    Flush,
}

struct Record<'a> {
    kind: Kind,
    /// When it was done; see [`super::stamp`].
    at: u64,
    offset: u64,
    data: &'a [u8],
}

impl Record<'_> {
    fn write(&self, disk: &File) {
        disk.write_all_at(self.data, self.offset).unwrap();
    }

    fn tear(&self, disk: &File) {
        for (n, sector) in self.data.chunks(SECTOR).enumerate() {
            if fastrand::bool() {
                disk.write_all_at(sector, self.offset + (n * SECTOR) as u64).unwrap();
            }
        }
    }
}

/// The whole records of a journal; the last may have been under way.
fn records(mut journal: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    while let Some((head, rest)) = journal.split_at_checked(HEAD_BYTES) {
        let [at, offset] = [1, 9].map(|n| u64::from_le_bytes(head[n..n + 8].try_into().unwrap()));
        let bytes = u32::from_le_bytes(head[17..21].try_into().unwrap());
        let Some((data, rest)) = rest.split_at_checked(bytes as usize) else { break };
        let kind = match head[0] {
            1 => Kind::Write,
            2 => Kind::WriteThrough,
            3 => Kind::Flush,
            other => panic!("a record of kind {other}"),
        };
        records.push(Record { kind, at, offset, data });
        journal = rest;
    }
    records
}

/// The device as a file of this machine, with the file system on it mounted in a folder of the host.
pub struct Mounted {
    at: PathBuf,
    nbd: PathBuf,
    _fuse: Running,
}

impl Mounted {
    /// Mounts the device in `folder` of the host: where the daemon of that name keeps its data.
    #[track_caller]
    pub fn new(host: &Host, folder: &str, power: &Power) -> Mounted {
        let (at, nbd) = (host.dir().join(folder), host.dir().join(format!("{folder}.nbd")));
        fs::create_dir_all(&at).unwrap();
        fs::create_dir_all(&nbd).unwrap();
        let mut fuse = Command::new("nbdfuse");
        fuse.args([&nbd, Path::new("--unix"), power.socket()]);
        let fuse = host.start(fuse, "nbdfuse.log");
        let device = nbd.join("nbd");
        until("nbdfuse shows the device", PATIENCE, || device.exists().then_some(()));
        command("mount", &["-o", "loop", device.to_str().unwrap(), at.to_str().unwrap()]);
        Mounted { at, nbd, _fuse: fuse }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for place in [&self.at, &self.nbd] {
            let _ = Command::new("umount").arg("--lazy").arg(place).output();
        }
    }
}
