//! Small whole files and folders of the data directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The bytes of a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Makes a folder and those on the way to it, mode 0700; one that exists is left as it is.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// All the room of the file system that holds `path`, used or not, in bytes.
pub fn room_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
}

/// Removes a file that is of no more use; one that cannot be removed is replaced at the next start.
pub fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        log::warn!("{}: {error}", path.display());
    }
}
