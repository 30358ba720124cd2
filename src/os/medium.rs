//! The medium under a directory: how many bytes its block device was made to write, and what an eMMC says of its
//! life. Sources: Linux Documentation/ABI `stable/sysfs-block` (stat, field 7, sectors of 512 bytes), and
//! `drivers/mmc/core/mmc.c` (life_time, pre_eol_info). Where sysfs says nothing, nothing is known.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::spool::EmmcLife;

/// The sectors of a `stat` file, whatever the medium's own are.
const SECTOR_BYTES: u64 = 512;
/// The seventh field: sectors written.
const WRITTEN: usize = 6;

/// A directory's medium, as sysfs shows it.
#[derive(Debug)]
pub struct Medium {
    sysfs: PathBuf,
    /// The device's folder in sysfs.
    device: Option<PathBuf>,
}

impl Medium {
    /// The medium of the file system that holds `directory`; `sysfs` is `/sys`.
    pub fn of(directory: &Path, sysfs: &Path) -> Self {
        let device = fs::metadata(directory).ok().and_then(|meta| {
            let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
            let link = sysfs.join("dev/block").join(format!("{major}:{minor}"));
            link.join("stat").exists().then_some(link)
        });
        Medium { sysfs: sysfs.to_owned(), device }
    }

    /// The device's name, as in `mmcblk0p3`.
    pub fn name(&self) -> Option<String> {
        let whole = fs::canonicalize(self.device.as_ref()?).ok()?;
        Some(whole.file_name()?.to_string_lossy().into_owned())
    }

    /// Bytes that the device was given to write since the machine started, file system and all.
    pub fn written_bytes(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.device.as_ref()?.join("stat")).ok()?;
        stat.split_whitespace().nth(WRITTEN)?.parse::<u64>().ok()?.checked_mul(SECTOR_BYTES)
    }

    /// What the first eMMC of the machine says of its life.
    pub fn emmc_life(&self) -> Option<EmmcLife> {
        let disks = fs::read_dir(self.sysfs.join("block")).ok()?;
        let mut names: Vec<PathBuf> = disks.flatten().map(|entry| entry.path()).collect();
        names.sort_unstable();
        names.iter().find_map(|disk| {
            let read = |file: &str| fs::read_to_string(disk.join("device").join(file)).ok();
            EmmcLife::parse(&read("life_time")?, &read("pre_eol_info").unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::EmmcReserve;

    #[test]
    fn a_device_is_found_by_its_number_and_its_life_by_its_name() {
        let root = std::env::temp_dir().join(format!("stagepost-medium-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let dev = fs::metadata(&root).unwrap().dev();
        let number = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
        let device = root.join("devices/mmcblk0p3");
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(root.join("dev/block")).unwrap();
        std::os::unix::fs::symlink(&device, root.join("dev/block").join(number)).unwrap();
        fs::write(device.join("stat"), "  5 0 40 1  77 3 2048 9 0 9 10 0 0 0 0 0 0\n").unwrap();
        fs::create_dir_all(root.join("block/mmcblk0/device")).unwrap();
        fs::create_dir_all(root.join("block/loop0")).unwrap();
        fs::write(root.join("block/mmcblk0/device/life_time"), "0x03 0x04\n").unwrap();
        fs::write(root.join("block/mmcblk0/device/pre_eol_info"), "0x02\n").unwrap();
        let medium = Medium::of(&root, &root);
        assert_eq!(medium.name().as_deref(), Some("mmcblk0p3"));
        assert_eq!(medium.written_bytes(), Some(1 << 20));
        let life = medium.emmc_life().unwrap();
        assert_eq!((life.used_percent, life.reserve), ([Some(30), Some(40)], EmmcReserve::Warning));
        let nothing = Medium::of(&root, &root.join("none"));
        assert_eq!((nothing.name(), nothing.written_bytes(), nothing.emmc_life()), (None, None, None));
        fs::remove_dir_all(&root).unwrap();
    }
}
