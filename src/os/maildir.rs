//! Delivery into a Maildir under `DIR/mail/DOMAIN/USER`: written piece by piece to `tmp/`, synced, moved to
//! `new/`, synced. Source: the maildir convention (unique names, 36 hours, tmp/new/cur); lines end in LF on disk.
//! Danger: success means that a power cut does not lose the message; every error means it is not there.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use memchr::memchr;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::limits::{
    MAILDIR_LEFTOVER_AGE_S, MAILDIR_NAME_TRIES_MAX, MAILDIR_SYNC_BYTES, MAILDIR_WRITE_BYTES,
};
use crate::mail::{Domain, LocalPart};
use crate::os::letters::{Letter, Numbers, measure};
use crate::relay::Stock;
use crate::time::{Instant, Now, WallTime};

/// All mailboxes of the box. It waits for the disk: it belongs on the flusher's thread.
pub struct Maildirs {
    root: PathBuf,
    host: String,
    /// When each mailbox was last made sure of and swept, in this life of the process.
    prepared: HashMap<PathBuf, Instant>,
    deliveries: u64,
    numbers: Numbers,
}

impl Maildirs {
    /// `root` is `DIR/mail`; `host` is the box's name, part of every file name.
    pub fn new(root: PathBuf, host: &str) -> Self {
        Maildirs {
            root,
            host: file_name(host),
            prepared: HashMap::new(),
            deliveries: 0,
            numbers: Numbers::default(),
        }
    }

    /// Begins a delivery: makes sure of the folders, which are on the disk then, with mode 0700, and of a file of
    /// its own in `tmp/`, with mode 0600.
    ///
    /// # Errors
    /// Any error of the file system, `StorageFull` among them.
    pub fn begin(&mut self, now: Now, domain: &Domain, user: &LocalPart) -> io::Result<Delivery> {
        let mailbox = self.mailbox(domain, user);
        self.prepare(now, &mailbox)?;
        for _ in 0..MAILDIR_NAME_TRIES_MAX {
            let name = self.unique_name(now.wall)?;
            let tmp = mailbox.join("tmp").join(&name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&tmp) {
                Ok(file) => return Ok(Delivery::new(mailbox, name, tmp, file)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(no_name_left())
    }

    /// Removes what a crash or a power cut left of our own deliveries, in every mailbox; how many there were. To
    /// be called before the first delivery of a life: none is under way then.
    ///
    /// # Errors
    /// The first that the file system gave; what could be removed is removed.
    pub fn clean(&self) -> io::Result<usize> {
        let (mut removed, mut failed) = (0, None);
        for domain in folders(&self.root)? {
            for mailbox in folders(&domain)? {
                for entry in listed(&mailbox.join("tmp"))? {
                    if entry.file_name().to_str().is_some_and(is_our_name) {
                        match fs::remove_file(entry.path()) {
                            Ok(()) => removed += 1,
                            Err(error) => failed = failed.or(Some(error)),
                        }
                    }
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// How much lies in a user's mailbox.
    ///
    /// # Errors
    /// Those of listing its folders.
    pub fn measure(&self, domain: &Domain, user: &LocalPart) -> io::Result<Stock> {
        measure(&self.mailbox(domain, user))
    }

    /// The newest messages of a user's mailbox, see [`Numbers::list`].
    ///
    /// # Errors
    /// Those of listing its folders.
    pub fn list(&mut self, domain: &Domain, user: &LocalPart) -> io::Result<Vec<Letter>> {
        let mailbox = self.mailbox(domain, user);
        self.numbers.list(&mailbox)
    }

    /// The folder of `user`: one for all spellings of a user, and never outside `root`.
    pub fn mailbox(&self, domain: &Domain, user: &LocalPart) -> PathBuf {
        let user = file_name(&user.as_str().to_ascii_lowercase());
        self.root.join(file_name(domain.as_str())).join(user)
    }

    /// Makes the folders and syncs them, and sweeps `tmp/`: once in the life of the process, and again
    /// when leftovers may have come of age.
    fn prepare(&mut self, now: Now, mailbox: &Path) -> io::Result<()> {
        let age = Duration::from_secs(MAILDIR_LEFTOVER_AGE_S);
        if self.prepared.get(mailbox).is_some_and(|&at| now.mono.since(at) < age) {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true);
        for folder in ["tmp", "new", "cur"] {
            builder.create(mailbox.join(folder))?;
        }
        // From the innermost folder outwards, up to the one that holds `root`.
        let above_root = self.root.parent().unwrap_or(&self.root);
        for dir in mailbox.ancestors().take_while(|dir| dir.starts_with(above_root)) {
            sync_dir(dir)?;
        }
        sweep(&mailbox.join("tmp"), now.wall)?;
        self.prepared.insert(mailbox.to_owned(), now.mono);
        Ok(())
    }

    /// `SECONDS.M<microseconds>P<pid>Q<count>R<random>.HOST`: unique even when the clock starts over and
    /// the process is always number one.
    fn unique_name(&mut self, wall: WallTime) -> io::Result<String> {
        self.deliveries += 1;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let (seconds, micros) = (wall.unix_seconds(), wall.unix_millis() % 1000 * 1000);
        let (pid, count, host) = (std::process::id(), self.deliveries, &self.host);
        Ok(format!("{seconds}.M{micros}P{pid}Q{count}R{random:016x}.{host}"))
    }
}

/// A message on its way into a mailbox. Until [`Delivery::finish`] it lies in `tmp/`, and nothing is left of it
/// when this is dropped before.
pub struct Delivery {
    mailbox: PathBuf,
    name: String,
    tmp: PathBuf,
    out: BufWriter<File>,
    /// A CR ended the bytes before, and waits to see what follows it.
    held_cr: bool,
    /// Bytes since the last sync.
    unsynced: usize,
    moved: bool,
}

/// A message in a mailbox.
#[derive(Debug)]
pub struct Kept {
    pub file: PathBuf,
    pub bytes: u64,
}

impl Delivery {
    fn new(mailbox: PathBuf, name: String, tmp: PathBuf, file: File) -> Self {
        let out = BufWriter::with_capacity(MAILDIR_WRITE_BYTES, file);
        Delivery { mailbox, name, tmp, out, held_cr: false, unsynced: 0, moved: false }
    }

    /// Writes the next bytes of the message, CRLF as LF. Every now and then they are brought to the disk, so that
    /// the last sync is as short as the others.
    ///
    /// # Errors
    /// Any error of the file system; the delivery can only be dropped then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_lf(&mut self.out, bytes, &mut self.held_cr)?;
        self.unsynced += bytes.len();
        if self.unsynced >= MAILDIR_SYNC_BYTES {
            self.out.flush()?;
            self.out.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Moves the message to `new/`. When this returns, it and the folders on the way to it are on the disk.
    ///
    /// # Errors
    /// Any error of the file system; the message is then not in `new/`, or, when only the last sync failed, may
    /// be delivered once more by the next try.
    pub fn finish(mut self) -> io::Result<Kept> {
        if self.held_cr {
            self.out.write_all(b"\r")?;
        }
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let bytes = self.out.get_ref().metadata()?.len();
        let file = self.move_to_new()?;
        self.moved = true;
        sync_dir(&self.mailbox.join("new"))?;
        Ok(Kept { file, bytes })
    }

    /// Never over a message that is there.
    fn move_to_new(&self) -> io::Result<PathBuf> {
        let mut target = self.mailbox.join("new").join(&self.name);
        for n in 0..MAILDIR_NAME_TRIES_MAX {
            match renameat_with(CWD, &self.tmp, CWD, &target, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(target),
                Err(rustix::io::Errno::EXIST) => target.as_mut_os_string().push(format!("-{n}")),
                Err(e) => return Err(e.into()),
            }
        }
        Err(no_name_left())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.moved {
            // What cannot be removed now is removed at the next start.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

fn no_name_left() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "no free name in the mailbox")
}

/// Writes `bytes` with each CRLF as LF; a CR on its own stays.
fn write_lf(out: &mut impl Write, mut bytes: &[u8], held_cr: &mut bool) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    if std::mem::take(held_cr) && bytes[0] != b'\n' {
        out.write_all(b"\r")?;
    }
    while let Some(at) = memchr(b'\r', bytes) {
        match bytes.get(at + 1) {
            Some(b'\n') => out.write_all(&bytes[..at])?,
            Some(_) => out.write_all(&bytes[..=at])?,
            None => {
                *held_cr = true;
                return out.write_all(&bytes[..at]);
            }
        }
        bytes = &bytes[at + 1..];
    }
    out.write_all(bytes)
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes what somebody else's cut-off delivery left in `tmp/` more than 36 hours ago.
fn sweep(tmp: &Path, now: WallTime) -> io::Result<()> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.unix_millis());
    for entry in listed(tmp)? {
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| now.duration_since(t).ok());
        if age.is_some_and(|age| age.as_secs() > MAILDIR_LEFTOVER_AGE_S) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What is in a folder; nothing where there is no such folder.
pub(super) fn listed(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = listed(folder)?.into_iter();
    Ok(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect())
}

/// Whether [`Maildirs::unique_name`] made this name: other programs may deliver here too.
fn is_our_name(name: &str) -> bool {
    let middle = name.split('.').nth(1).filter(|part| part.starts_with('M'));
    let random = middle.and_then(|part| part.rsplit_once('R')).map_or("", |(_, random)| random);
    random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `text` as one file name: what could lead out of a folder, hide a file or confuse a mail reader is
/// written as `%XX`.
fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || b"-_+=@~!#$&'".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;
    use crate::os::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    fn bcd() -> Domain {
        Domain::parse("bcd.com").unwrap()
    }

    fn user(text: &str) -> LocalPart {
        LocalPart::parse(text).unwrap()
    }

    /// The parts of a message, one after the other.
    fn deliver(mail: &mut Maildirs, who: &str, parts: &[&[u8]]) -> io::Result<PathBuf> {
        let mut delivery = mail.begin(clock::now(), &bcd(), &user(who))?;
        parts.iter().try_for_each(|part| delivery.write(part))?;
        delivery.finish().map(|kept| kept.file)
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_message_lands_in_new_with_private_modes_and_lf_lines() {
        let dir = Scratch::new("maildir-lands");
        let mut mail = Maildirs::new(dir.0.join("mail"), "abc.com");
        let parts: [&[u8]; 3] = [b"Return-Path: <b1@bcd.com>\r\n", b"Subject: x\r", b"\n\r\nbody\r\n"];
        let file = deliver(&mut mail, "x1", &parts).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"Return-Path: <b1@bcd.com>\nSubject: x\n\nbody\n");
        let mailbox = dir.0.join("mail/bcd.com/x1");
        assert_eq!(file.parent().unwrap(), mailbox.join("new"));
        assert_eq!((mode(&file), mode(&mailbox), mode(&mailbox.join("tmp"))), (0o600, 0o700, 0o700));
        assert_eq!(fs::read_dir(mailbox.join("tmp")).unwrap().count(), 0);
        assert!(file.file_name().unwrap().to_str().unwrap().ends_with(".abc.com"));
    }

    #[test]
    fn two_messages_of_one_moment_do_not_meet() {
        let dir = Scratch::new("maildir-moment");
        let mut first = Maildirs::new(dir.0.clone(), "abc.com");
        let mut second = Maildirs::new(dir.0.clone(), "abc.com");
        for mail in [&mut first, &mut second, &mut Maildirs::new(dir.0.clone(), "abc.com")] {
            deliver(mail, "X1", &[b"a\r\n"]).unwrap();
        }
        let new = first.mailbox(&bcd(), &user("x1")).join("new");
        assert_eq!(fs::read_dir(new).unwrap().count(), 3);
    }

    #[test]
    fn a_name_that_is_taken_is_not_overwritten() {
        let dir = Scratch::new("maildir-taken");
        let mut mail = Maildirs::new(dir.0.join("mail"), "abc.com");
        let mut delivery = mail.begin(clock::now(), &bcd(), &user("x1")).unwrap();
        let taken = mail.mailbox(&bcd(), &user("x1")).join("new").join(&delivery.name);
        fs::write(&taken, b"old").unwrap();
        delivery.write(b"new").unwrap();
        let kept = delivery.finish().unwrap();
        assert_eq!(fs::read(taken).unwrap(), b"old");
        assert_eq!((fs::read(kept.file).unwrap(), kept.bytes), (b"new".to_vec(), 3));
    }

    #[test]
    fn a_long_message_comes_in_pieces_wherever_they_are_cut() {
        let dir = Scratch::new("maildir-pieces");
        let mut mail = Maildirs::new(dir.0.join("mail"), "abc.com");
        let line = b"a line of 32 bytes with its CRLF\r\n";
        let message = line.repeat(3 * MAILDIR_SYNC_BYTES / line.len());
        for cut in [1000, line.len() - 1, MAILDIR_WRITE_BYTES, message.len()] {
            let file = deliver(&mut mail, "x1", &message.chunks(cut).collect::<Vec<_>>()).unwrap();
            let wanted: Vec<u8> = message.iter().copied().filter(|b| *b != b'\r').collect();
            assert!(fs::read(file).unwrap() == wanted, "in pieces of {cut}");
        }
    }

    #[test]
    fn a_delivery_that_is_given_up_or_cut_off_leaves_nothing() {
        let dir = Scratch::new("maildir-cut-off");
        let mut mail = Maildirs::new(dir.0.join("mail"), "abc.com");
        assert_eq!(mail.clean().unwrap(), 0, "there is no mailbox yet");
        let mut given_up = mail.begin(clock::now(), &bcd(), &user("x1")).unwrap();
        given_up.write(b"half of it").unwrap();
        let tmp = mail.mailbox(&bcd(), &user("x1")).join("tmp");
        assert_eq!(names(&tmp).len(), 1);
        drop(given_up);
        assert!(names(&tmp).is_empty());
        // The process dies in the middle; another program's delivery is not ours to touch.
        let cut_off = mail.begin(clock::now(), &bcd(), &user("x1")).unwrap();
        std::mem::forget(cut_off);
        fs::write(tmp.join("1764.M5P1V00R1.abc.com"), b"its own").unwrap();
        let next_life = Maildirs::new(dir.0.join("mail"), "cde.com");
        assert_eq!(next_life.clean().unwrap(), 1);
        assert_eq!(names(&tmp), ["1764.M5P1V00R1.abc.com"]);
        assert!(names(&mail.mailbox(&bcd(), &user("x1")).join("new")).is_empty());
    }

    #[test]
    fn leftovers_go_after_36_hours() {
        let dir = Scratch::new("maildir-leftovers");
        let mut mail = Maildirs::new(dir.0.clone(), "abc.com");
        let now = clock::now();
        let mailbox = mail.mailbox(&bcd(), &user("x1"));
        mail.prepare(now, &mailbox).unwrap();
        let leftover = mailbox.join("tmp/1.M0P1Q1.abc.com");
        fs::write(&leftover, b"half").unwrap();
        let hours = |h: u64| Duration::from_secs(h * 3600);
        let later = |h| Now { mono: now.mono + hours(h), wall: now.wall + hours(h) };
        mail.prepare(later(35), &mailbox).unwrap();
        assert!(leftover.exists());
        mail.prepare(later(37), &mailbox).unwrap();
        assert!(!leftover.exists());
    }

    #[test]
    fn a_failed_delivery_leaves_nothing_behind() {
        let dir = Scratch::new("maildir-failed");
        let mut mail = Maildirs::new(dir.0.clone(), "abc.com");
        let mailbox = mail.mailbox(&bcd(), &user("x1"));
        mail.prepare(clock::now(), &mailbox).unwrap();
        fs::remove_dir(mailbox.join("new")).unwrap();
        assert!(deliver(&mut mail, "x1", &[b"a\r\n"]).is_err());
        assert_eq!(fs::read_dir(mailbox.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn no_user_leads_out_of_the_mail_folder() {
        for (text, name) in [
            ("..", "%2E."),
            ("a/b", "a%2Fb"),
            ("\"../..\"", "%22..%2F..%22"),
            (".hidden", "%2Ehidden"),
            ("b1", "b1"),
            ("b.1+tag", "b.1+tag"),
            ("x:2", "x%3A2"),
            ("%2E", "%252E"),
        ] {
            assert_eq!(file_name(text), name, "{text}");
        }
    }
}
