//! The real [`Flash`]: one directory of files, read and written at offsets, made durable by fdatasync.
//! Sources: pread(2), pwrite(2), fallocate(2), fdatasync(2), rename(2).
//! Danger: a segment is zero-filled before use, so that a commit changes no metadata; fallocate alone would
//! leave unwritten extents, and every first write to one costs the file system a journal entry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, fdatasync};

use crate::limits::OPEN_SEGMENTS_MAX;
use crate::spool::{FileName, Flash, FlashError, Listed};

/// A piece of the zero-fill.
const ZEROS_BYTES: usize = 64 * 1024;

/// One domain's directory, `DIR/spool/DOMAIN`.
#[derive(Debug)]
pub struct FlashFiles {
    directory: PathBuf,
    /// The files used last, most recent first.
    open: Mutex<Vec<(FileName, Arc<File>)>>,
    /// Whether the directory's own name is known to be on flash.
    rooted: AtomicBool,
}

impl FlashFiles {
    /// Opens `directory`, and makes it and its parents where they are missing. Its name is on flash before
    /// that of any file in it is; a start of a thousand domains need not wait for it a thousand times.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let rooted = AtomicBool::new(false);
        Ok(FlashFiles { directory: directory.to_owned(), open: Mutex::new(Vec::new()), rooted })
    }

    /// Has the names in the directory on flash, and before them its own.
    fn sync_names(&self) -> io::Result<()> {
        if !self.rooted.load(Ordering::Relaxed) {
            self.directory.parent().map_or(Ok(()), sync_directory)?;
            self.rooted.store(true, Ordering::Relaxed);
        }
        sync_directory(&self.directory)
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    fn damaged_directory(&self) -> PathBuf {
        self.directory.join("damaged")
    }

    fn file(&self, name: FileName) -> Result<Arc<File>, FlashError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(known, _)| *known == name) {
            open[..=at].rotate_right(1);
            return Ok(open[0].1.clone());
        }
        let file = OpenOptions::new().read(true).write(true).open(self.path(name)).map_err(told)?;
        let file = Arc::new(file);
        open.truncate(OPEN_SEGMENTS_MAX - 1);
        open.insert(0, (name, file.clone()));
        Ok(file)
    }

    fn close(&self, name: FileName) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != name);
    }

    fn fill(&self, name: FileName, bytes: u32) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(name))?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes.into()) {
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            other => other?,
        }
        let zeros = vec![0; ZEROS_BYTES];
        let mut filled = 0;
        while filled < bytes as usize {
            let piece = zeros.len().min(bytes as usize - filled);
            file.write_all_at(&zeros[..piece], filled as u64)?;
            filled += piece;
        }
        file.sync_all()
    }
}

impl Flash for FlashFiles {
    fn list(&self) -> Result<Vec<Listed>, FlashError> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(told)? {
            let entry = entry.map_err(told)?;
            let Some(name) = entry.file_name().to_str().and_then(FileName::parse) else { continue };
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                listed.push(Listed { name, bytes: metadata.len() });
            }
        }
        Ok(listed)
    }

    fn create(&self, name: FileName, bytes: u32) -> Result<(), FlashError> {
        self.fill(name, bytes).map_err(|why| {
            if why.kind() != ErrorKind::AlreadyExists
                && let Err(left) = fs::remove_file(self.path(name))
            {
                log::warn!("{name} could not be removed after {why}: {left}");
            }
            told(why)
        })
    }

    fn read(&self, name: FileName, offset: u32, buf: &mut [u8]) -> Result<usize, FlashError> {
        let file = self.file(name)?;
        let mut filled = 0;
        while filled < buf.len() {
            match file.read_at(&mut buf[filled..], u64::from(offset) + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(told(why)),
            }
        }
        Ok(filled)
    }

    fn write(&self, name: FileName, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.file(name)?.write_all_at(bytes, offset.into()).map_err(told)
    }

    fn sync(&self, name: FileName) -> Result<(), FlashError> {
        let file = self.file(name)?;
        fdatasync(&*file).map_err(|errno| {
            // What could not be written is still in the system's memory, and passes for written.
            if let Err(why) = fadvise(&*file, 0, None, Advice::DontNeed) {
                log::error!("{name} is still read from memory after a failed sync: {why}");
            }
            told(errno.into())
        })
    }

    fn sync_dir(&self) -> Result<(), FlashError> {
        self.sync_names().map_err(told)
    }

    fn rename(&self, from: FileName, to: FileName) -> Result<(), FlashError> {
        self.close(from);
        fs::rename(self.path(from), self.path(to)).map_err(told)
    }

    fn remove(&self, name: FileName) -> Result<(), FlashError> {
        self.close(name);
        fs::remove_file(self.path(name)).map_err(told)
    }

    fn keep_damaged(&self, label: &str, bytes: &[u8]) -> Result<(), FlashError> {
        let directory = self.damaged_directory();
        let keep = || -> io::Result<()> {
            fs::create_dir_all(&directory)?;
            let mut file = match OpenOptions::new().write(true).create_new(true).open(directory.join(label)) {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => return Ok(()),
                other => other?,
            };
            file.write_all(bytes)?;
            file.sync_all()?;
            sync_directory(&directory)?;
            self.sync_names()
        };
        keep().map_err(told)
    }

    fn damaged(&self) -> Result<Vec<String>, FlashError> {
        let entries = match fs::read_dir(self.damaged_directory()) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(told)?,
        };
        let names = entries.map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()));
        let mut labels = names.collect::<io::Result<Vec<_>>>().map_err(told)?;
        labels.sort_unstable();
        Ok(labels)
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn told(why: io::Error) -> FlashError {
    match why.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FlashError::NoSpace,
        ErrorKind::NotFound => FlashError::Missing,
        _ => FlashError::Io(why.raw_os_error().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scratch::Scratch;

    #[test]
    fn a_file_is_zeros_until_it_is_written_and_keeps_its_size() {
        let scratch = Scratch::new("flash-write");
        let flash = FlashFiles::open(&scratch.0.join("spool/bcd.com")).unwrap();
        let name = FileName::Segment { sequence: 1, nonce: 7 };
        flash.create(name, 262_144).unwrap();
        flash.write(name, 4096, b"hello").unwrap();
        flash.sync(name).unwrap();
        flash.sync_dir().unwrap();
        let mut page = [1; 8];
        assert_eq!(flash.read(name, 4094, &mut page), Ok(8));
        assert_eq!(&page, b"\0\0hello\0");
        assert_eq!(flash.read(name, 262_140, &mut page), Ok(4));
        assert_eq!(flash.list(), Ok(vec![Listed { name, bytes: 262_144 }]));
    }

    #[test]
    fn a_renamed_file_is_not_found_under_its_old_name() {
        let scratch = Scratch::new("flash-rename");
        let flash = FlashFiles::open(&scratch.0).unwrap();
        let (old, new) = (FileName::Segment { sequence: 1, nonce: 7 }, FileName::Spare { sequence: 1 });
        flash.create(old, 65_536).unwrap();
        flash.write(old, 0, b"x").unwrap();
        flash.rename(old, new).unwrap();
        assert_eq!(flash.write(old, 0, b"y"), Err(FlashError::Missing));
        assert_eq!(flash.rename(old, new), Err(FlashError::Missing));
        assert_eq!(flash.create(new, 65_536), Err(FlashError::Io(17)), "what exists is not overwritten");
        flash.remove(new).unwrap();
        assert_eq!(flash.list(), Ok(vec![]));
    }

    #[test]
    fn damaged_ranges_are_kept_once() {
        let scratch = Scratch::new("flash-damaged");
        let flash = FlashFiles::open(&scratch.0).unwrap();
        assert_eq!(flash.damaged(), Ok(vec![]));
        flash.keep_damaged("b", b"first").unwrap();
        flash.keep_damaged("b", b"second").unwrap();
        flash.keep_damaged("a", b"").unwrap();
        assert_eq!(flash.damaged(), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(fs::read(scratch.0.join("damaged/b")).unwrap(), b"first");
    }
}
