//! What can still be read of a data partition that has to be made anew: gathered in memory while the partition
//! is only looked at, put back into the new one. The configuration goes first, then the keys, then the mail
//! that waits.
//! Danger: the medium is broken, so what cannot be read is passed over, and memory has its bound.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::{RESCUE_BYTES_MAX, RESCUE_DEPTH_MAX};

/// Files of an old partition.
#[derive(Debug, Default)]
pub struct Rescued {
    /// By their place below the top.
    files: Vec<(PathBuf, Vec<u8>)>,
    bytes: u64,
    /// Files that could not be read, or did not fit.
    pub lost: usize,
}

/// What is looked for first; the rest follows.
const FIRST: &[&str] =
    &["config", "console.password", "config.history", "authority.pem", "certificates", "dkim", "spool"];

impl Rescued {
    /// Everything below `top` that can be read, within the bound.
    pub fn gather(top: &Path) -> Self {
        let mut rescued = Rescued::default();
        for name in FIRST {
            rescued.take(top, Path::new(name), RESCUE_DEPTH_MAX);
        }
        for name in names(top).into_iter().filter(|name| !FIRST.iter().any(|first| name == Path::new(first)))
        {
            rescued.take(top, &name, RESCUE_DEPTH_MAX);
        }
        rescued
    }

    fn take(&mut self, top: &Path, place: &Path, depth: usize) {
        let path = top.join(place);
        let Ok(found) = fs::symlink_metadata(&path) else { return };
        if found.is_dir() && depth > 0 {
            names(&path).into_iter().for_each(|name| self.take(top, &place.join(name), depth - 1));
        } else if found.is_file() && self.bytes + found.len() <= RESCUE_BYTES_MAX {
            match super::files::read_bounded(&path, found.len()) {
                Ok(bytes) => {
                    self.bytes += bytes.len() as u64;
                    self.files.push((place.to_owned(), bytes));
                }
                Err(_) => self.lost += 1,
            }
        } else if found.is_file() {
            self.lost += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Puts all of it below `top`, as far as there is room; gives how many files found theirs.
    ///
    /// # Errors
    /// The first one of writing; what was written stays.
    pub fn put_back(&self, top: &Path) -> io::Result<usize> {
        for (at, (place, bytes)) in self.files.iter().enumerate() {
            let path = top.join(place);
            let written = path
                .parent()
                .map_or(Ok(()), super::files::make_private_dir)
                .and_then(|()| super::files::replace(&path, bytes));
            if let Err(error) = written {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{at} of {} files, then: {error}", self.len()),
                ));
            }
        }
        Ok(self.len())
    }
}

/// What is in a folder, as far as that can be read; sorted.
fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| PathBuf::from(entry.file_name())).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_put_back() {
        let top = std::env::temp_dir().join(format!("stagepost-rescue-{}", std::process::id()));
        let (old, new) = (top.join("old"), top.join("new"));
        fs::create_dir_all(old.join("spool/bcd.com")).unwrap();
        fs::create_dir_all(old.join("mail/bcd.com/b1/new")).unwrap();
        fs::write(old.join("config"), "box name abc.com\n").unwrap();
        fs::write(old.join("spool/bcd.com/00000001"), [7; 5000]).unwrap();
        fs::write(old.join("mail/bcd.com/b1/new/1"), "mail").unwrap();
        let huge = fs::File::create(old.join("mail/huge")).unwrap();
        huge.set_len(RESCUE_BYTES_MAX).unwrap();
        std::os::unix::fs::symlink("/etc", old.join("link")).unwrap();
        fs::create_dir_all(&new).unwrap();
        let rescued = Rescued::gather(&old);
        assert_eq!((rescued.len(), rescued.lost), (3, 1), "the huge one does not fit");
        assert_eq!(rescued.put_back(&new).unwrap(), 3);
        assert_eq!(fs::read(new.join("config")).unwrap(), b"box name abc.com\n");
        assert_eq!(fs::read(new.join("spool/bcd.com/00000001")).unwrap(), [7; 5000]);
        assert_eq!(fs::read(new.join("mail/bcd.com/b1/new/1")).unwrap(), b"mail");
        assert!(!new.join("link").exists() && !rescued.is_empty());
        assert!(Rescued::gather(&top.join("nowhere")).is_empty());
        fs::remove_dir_all(&top).unwrap();
    }
}
