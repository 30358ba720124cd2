//! The disk that the machine was started from, found by the root file system and never by a name that the
//! kernel may give to another disk tomorrow. Sources: sysfs `dev/block`, the partition table of `board/`.
//! Danger: writing to a partition of the wrong disk; everything goes through [`Disk::of_root`], and a root that
//! is no slot, such as that of a container on somebody's Linux, has no disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, statfs};

/// Where things are on every board's disk: the number of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// vfat: the boot loader and its environment.
    Boot = 1,
    /// squashfs: kernel and program.
    SlotA = 2,
    SlotB = 3,
    /// ext4: configuration, spool, mail.
    Data = 4,
}

/// What statfs(2) says of the file system of a slot.
const SQUASHFS_MAGIC: u64 = 0x7371_7368;

/// Where a partition lies on its disk, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub start: u64,
    pub sectors: u64,
}

/// A disk by its place in sysfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    sysfs: PathBuf,
    root: u32,
    /// The folder of each of its partitions, by number.
    parts: BTreeMap<u32, PathBuf>,
}

impl Disk {
    /// # Errors
    /// `NotFound` when the root is no slot of a disk, as with an initramfs.
    pub fn of_root() -> io::Result<Self> {
        let is_squashfs = statfs("/")?.f_type as u64 == SQUASHFS_MAGIC;
        let device = fs::metadata("/")?.dev();
        let place = format!("/sys/dev/block/{}:{}", major(device), minor(device));
        let disk = Self::of_partition(&fs::canonicalize(place)?)?;
        if !is_squashfs || disk.running().is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the root is no slot of a disk"));
        }
        Ok(disk)
    }

    /// `place` is a partition's folder in sysfs; its disk's folder is the one around it.
    fn of_partition(place: &Path) -> io::Result<Self> {
        let root = number_of(place).ok_or(io::ErrorKind::NotFound)?;
        let sysfs = place.parent().ok_or(io::ErrorKind::NotFound)?.to_owned();
        let name = sysfs.file_name().ok_or(io::ErrorKind::NotFound)?.as_encoded_bytes();
        let is_part = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(name);
        let parts = fs::read_dir(&sysfs)?.flatten().filter(is_part).map(|entry| entry.path());
        let parts = parts.filter_map(|place| Some((number_of(&place)?, place))).collect();
        Ok(Disk { sysfs, root, parts })
    }

    /// The slot that is running.
    pub fn running(&self) -> Option<Part> {
        [Part::SlotA, Part::SlotB].into_iter().find(|&slot| slot as u32 == self.root)
    }

    /// The device of a partition, such as `/dev/mmcblk0p4`.
    ///
    /// # Errors
    /// `NotFound` when the disk has no such partition.
    pub fn device(&self, part: Part) -> io::Result<PathBuf> {
        device_of(self.place(part)?)
    }

    /// Where a partition lies, as the kernel has it.
    ///
    /// # Errors
    /// As [`Disk::device`].
    pub fn extent(&self, part: Part) -> io::Result<Extent> {
        let place = self.place(part)?;
        Ok(Extent { start: number_in(&place.join("start"))?, sectors: number_in(&place.join("size"))? })
    }

    /// The device of the whole disk.
    ///
    /// # Errors
    /// `NotFound` for a disk without a name.
    pub fn whole(&self) -> io::Result<PathBuf> {
        device_of(&self.sysfs)
    }

    /// How many sectors of 512 bytes the disk has.
    ///
    /// # Errors
    /// Those of reading sysfs.
    pub fn sectors(&self) -> io::Result<u64> {
        number_in(&self.sysfs.join("size"))
    }

    /// A partition's folder in sysfs.
    fn place(&self, part: Part) -> io::Result<&Path> {
        let number = part as u32;
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, format!("the disk has no partition {number}"));
        self.parts.get(&number).map(PathBuf::as_path).ok_or_else(missing)
    }
}

impl Disk {
    /// The partitions, and the disks without any, that do not belong to this disk.
    pub fn others(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir("/sys/class/block") else { return Vec::new() };
        let foreign = |entry: &fs::DirEntry| {
            let place = fs::canonicalize(entry.path()).ok();
            place.is_some_and(|place| !place.starts_with(&self.sysfs))
        };
        let device = |entry: fs::DirEntry| Path::new("/dev").join(entry.file_name());
        entries.flatten().filter(foreign).map(device).collect()
    }
}

fn number_of(place: &Path) -> Option<u32> {
    number_in(&place.join("partition")).ok()?.try_into().ok()
}

fn number_in(file: &Path) -> io::Result<u64> {
    fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)
}

fn device_of(place: &Path) -> io::Result<PathBuf> {
    Ok(Path::new("/dev").join(place.file_name().ok_or(io::ErrorKind::NotFound)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_found_by_number() {
        let dir = std::env::temp_dir().join(format!("stagepost-disk-{}", std::process::id()));
        let disk = dir.join("block/mmcblk0");
        for (name, number) in [("mmcblk0p1", "1\n"), ("mmcblk0p3", "3\n"), ("mmcblk0p4", "4\n")] {
            fs::create_dir_all(disk.join(name)).unwrap();
            fs::write(disk.join(name).join("partition"), number).unwrap();
        }
        fs::create_dir_all(disk.join("queue")).unwrap();
        let found = Disk::of_partition(&disk.join("mmcblk0p3")).unwrap();
        assert_eq!(found.running(), Some(Part::SlotB));
        assert_eq!(found.device(Part::Data).unwrap(), Path::new("/dev/mmcblk0p4"));
        assert_eq!(found.device(Part::SlotA).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(found.whole().unwrap(), Path::new("/dev/mmcblk0"));
        fs::write(disk.join("mmcblk0p4/start"), "59392\n").unwrap();
        fs::write(disk.join("mmcblk0p4/size"), "65536\n").unwrap();
        assert_eq!(found.extent(Part::Data).unwrap(), Extent { start: 59_392, sectors: 65_536 });
        assert!(Disk::of_partition(&disk.join("queue")).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
