//! Delivery into a Maildir under `DIR/mail/DOMAIN/USER`: written to `tmp/`, synced, moved to `new/`, synced.
//! Source: the maildir convention (unique names, 36 hours, tmp/new/cur). Lines end in LF on disk.
//! Danger: success means that a power cut does not lose the message; every error means it is not there.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use memchr::memchr;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::limits::{MAILDIR_LEFTOVER_AGE_S, MAILDIR_NAME_TRIES_MAX, MAILDIR_WRITE_BYTES};
use crate::mail::{Domain, LocalPart};
use crate::time::{Instant, Now, WallTime};

/// All mailboxes of the box. It waits for the disk: it belongs on the flusher's thread.
pub struct Maildirs {
    root: PathBuf,
    host: String,
    /// When each mailbox was last made sure of and swept, in this life of the process.
    prepared: HashMap<PathBuf, Instant>,
    deliveries: u64,
}

impl Maildirs {
    /// `root` is `DIR/mail`; `host` is the box's name, part of every file name.
    pub fn new(root: PathBuf, host: &str) -> Self {
        Maildirs { root, host: file_name(host), prepared: HashMap::new(), deliveries: 0 }
    }

    /// Delivers the bytes of `parts`, one after the other, CRLF written as LF. When this returns, the
    /// message and the folders on the way to it are on the disk. Folders are made with mode 0700, the file
    /// with 0600.
    ///
    /// # Errors
    /// Any error of the file system, `StorageFull` among them; the message is then not in `new/`, or, when
    /// only the last sync failed, may be delivered once more by the next try.
    pub fn deliver(
        &mut self,
        now: Now,
        domain: &Domain,
        user: &LocalPart,
        parts: &[&[u8]],
    ) -> io::Result<PathBuf> {
        let mailbox = self.mailbox(domain, user);
        self.prepare(now, &mailbox)?;
        let (tmp, name) = self.write_tmp(now.wall, &mailbox, parts)?;
        let moved = self.move_to_new(&mailbox, &tmp, name);
        if moved.is_err() {
            // What cannot be removed now is swept when it is 36 hours old.
            let _ = fs::remove_file(&tmp);
        }
        let delivered = moved?;
        sync_dir(&mailbox.join("new"))?;
        Ok(delivered)
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

    fn write_tmp(
        &mut self,
        wall: WallTime,
        mailbox: &Path,
        parts: &[&[u8]],
    ) -> io::Result<(PathBuf, String)> {
        for _ in 0..MAILDIR_NAME_TRIES_MAX {
            let name = self.unique_name(wall)?;
            let tmp = mailbox.join("tmp").join(&name);
            let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&tmp) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            if let Err(e) = write_synced(file, parts) {
                let _ = fs::remove_file(&tmp);
                return Err(e);
            }
            return Ok((tmp, name));
        }
        Err(no_name_left())
    }

    /// Never over a message that is there.
    fn move_to_new(&mut self, mailbox: &Path, tmp: &Path, name: String) -> io::Result<PathBuf> {
        let mut target = mailbox.join("new").join(name);
        for n in 0..MAILDIR_NAME_TRIES_MAX {
            match renameat_with(CWD, tmp, CWD, &target, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(target),
                Err(rustix::io::Errno::EXIST) => target.as_mut_os_string().push(format!("-{n}")),
                Err(e) => return Err(e.into()),
            }
        }
        Err(no_name_left())
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

fn no_name_left() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "no free name in the mailbox")
}

fn write_synced(file: File, parts: &[&[u8]]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(MAILDIR_WRITE_BYTES, file);
    // Whether a CR ended the bytes before, and waits to see what follows it.
    let mut held_cr = false;
    for part in parts {
        write_lf(&mut out, part, &mut held_cr)?;
    }
    if held_cr {
        out.write_all(b"\r")?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
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

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes what a cut-off delivery left in `tmp/` more than 36 hours ago.
fn sweep(tmp: &Path, now: WallTime) -> io::Result<()> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.unix_millis());
    for entry in fs::read_dir(tmp)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| now.duration_since(t).ok());
        if age.is_some_and(|age| age.as_secs() > MAILDIR_LEFTOVER_AGE_S) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
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
    use std::os::unix::fs::PermissionsExt;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("stagepost-maildir-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Scratch(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bcd() -> Domain {
        Domain::parse("bcd.com").unwrap()
    }

    fn user(text: &str) -> LocalPart {
        LocalPart::parse(text).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_message_lands_in_new_with_private_modes_and_lf_lines() {
        let dir = Scratch::new("lands");
        let mut mail = Maildirs::new(dir.0.join("mail"), "abc.com");
        let parts: [&[u8]; 3] = [b"Return-Path: <b1@bcd.com>\r\n", b"Subject: x\r", b"\n\r\nbody\r\n"];
        let file = mail.deliver(clock::now(), &bcd(), &user("x1"), &parts).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"Return-Path: <b1@bcd.com>\nSubject: x\n\nbody\n");
        let mailbox = dir.0.join("mail/bcd.com/x1");
        assert_eq!(file.parent().unwrap(), mailbox.join("new"));
        assert_eq!((mode(&file), mode(&mailbox), mode(&mailbox.join("tmp"))), (0o600, 0o700, 0o700));
        assert_eq!(fs::read_dir(mailbox.join("tmp")).unwrap().count(), 0);
        assert!(file.file_name().unwrap().to_str().unwrap().ends_with(".abc.com"));
    }

    #[test]
    fn two_messages_of_one_moment_do_not_meet() {
        let dir = Scratch::new("moment");
        let now = clock::now();
        let mut first = Maildirs::new(dir.0.clone(), "abc.com");
        let mut second = Maildirs::new(dir.0.clone(), "abc.com");
        for mail in [&mut first, &mut second, &mut Maildirs::new(dir.0.clone(), "abc.com")] {
            mail.deliver(now, &bcd(), &user("X1"), &[b"a\r\n"]).unwrap();
        }
        let new = first.mailbox(&bcd(), &user("x1")).join("new");
        assert_eq!(fs::read_dir(new).unwrap().count(), 3);
    }

    #[test]
    fn a_name_that_is_taken_is_not_overwritten() {
        let dir = Scratch::new("taken");
        let mut mail = Maildirs::new(dir.0.clone(), "abc.com");
        let mailbox = mail.mailbox(&bcd(), &user("x1"));
        mail.prepare(clock::now(), &mailbox).unwrap();
        fs::write(mailbox.join("new/n"), b"old").unwrap();
        fs::write(mailbox.join("tmp/n"), b"new").unwrap();
        let moved = mail.move_to_new(&mailbox, &mailbox.join("tmp/n"), "n".into()).unwrap();
        assert_eq!(fs::read(mailbox.join("new/n")).unwrap(), b"old");
        assert_eq!(fs::read(moved).unwrap(), b"new");
    }

    #[test]
    fn leftovers_go_after_36_hours() {
        let dir = Scratch::new("leftovers");
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
        let dir = Scratch::new("failed");
        let mut mail = Maildirs::new(dir.0.clone(), "abc.com");
        let mailbox = mail.mailbox(&bcd(), &user("x1"));
        mail.prepare(clock::now(), &mailbox).unwrap();
        fs::remove_dir(mailbox.join("new")).unwrap();
        assert!(mail.deliver(clock::now(), &bcd(), &user("x1"), &[b"a\r\n"]).is_err());
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
