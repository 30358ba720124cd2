//! The image brings a small data partition; on the box it grows to the end of its disk at a start, and its file
//! system with it. Sources: the MBR's table at byte 446; the kernel's BLKPG and ext4's EXT4_IOC_RESIZE_FS.
//! Danger: a wrong number here costs everything on the disk. Nothing is written but the length of the last
//! partition, in one sector, and only where the table says what the kernel says.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::libc;

use super::disk::{Disk, Extent, Part};

const SECTOR_BYTES: u64 = 512;
/// Partitions end where erase blocks may: at whole MiB.
const ALIGNED_SECTORS: u64 = 2048;
/// An entry of the MBR's table: 16 bytes, of them the first sector at 8 and the count of sectors at 12.
const TABLE: usize = 446;
const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 4;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// `_IO(0x12, 105)` of `linux/blkpg.h`, and its operation to resize.
const BLKPG: libc::Ioctl = 0x1269;
const BLKPG_RESIZE_PARTITION: libc::c_int = 3;
/// `_IO(0x12, 119)` of `linux/fs.h`.
const BLKDISCARD: libc::Ioctl = 0x1277;
/// `_IOW('f', 16, __u64)` of the kernel's `ext4.h`.
const EXT4_IOC_RESIZE_FS: libc::Ioctl = 0x4008_6610;

/// `struct blkpg_partition` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgPartition {
    start: libc::c_longlong,
    length: libc::c_longlong,
    number: libc::c_int,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgArgument {
    operation: libc::c_int,
    flags: libc::c_int,
    bytes: libc::c_int,
    partition: *mut BlkpgPartition,
}

/// Lets the data partition, whose file system is mounted at `mounted`, take the rest of its disk. A cut of the
/// power on the way leaves what was, or a larger partition whose file system grows at the next start.
///
/// # Errors
/// `InvalidData` for a table that does not say what the kernel says; those of the devices and of ext4.
pub fn data(disk: &Disk, mounted: &Path) -> io::Result<()> {
    let extent = disk.extent(Part::Data)?;
    if let Some(sectors) = room(extent, disk.sectors()?) {
        let whole = OpenOptions::new().read(true).write(true).open(disk.whole()?)?;
        let mut sector = [0; SECTOR_BYTES as usize];
        whole.read_exact_at(&mut sector, 0)?;
        lengthen(&mut sector, extent, sectors)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        whole.write_all_at(&sector, 0)?;
        whole.sync_all()?;
        resize_partition(&whole, Extent { sectors, ..extent })?;
    }
    let device = File::open(disk.device(Part::Data)?)?;
    match wanted_blocks(&device, disk.extent(Part::Data)?)? {
        Some(blocks) => resize_file_system(&File::open(mounted)?, blocks),
        None => Ok(()),
    }
}

/// Tells a device that nothing on it is needed any more. Not every card can forget.
///
/// # Errors
/// Those of the device, `Unsupported` among them.
pub fn forget(device: &File, extent: Extent) -> io::Result<()> {
    let range = [0, extent.sectors * SECTOR_BYTES];
    // SAFETY: the kernel reads two numbers of 64 bits from the pointer, and keeps none.
    done(unsafe { libc::ioctl(device.as_raw_fd(), BLKDISCARD, range.as_ptr()) })
}

/// How many sectors a partition may have on a disk of so many, when that is more than it has.
fn room(extent: Extent, disk_sectors: u64) -> Option<u64> {
    let free = disk_sectors.checked_sub(extent.start)?.min(u64::from(u32::MAX));
    let sectors = free / ALIGNED_SECTORS * ALIGNED_SECTORS;
    (sectors > extent.sectors).then_some(sectors)
}

/// Writes the new length of the data partition into the table, where that is as it should be.
fn lengthen(
    sector: &mut [u8; SECTOR_BYTES as usize],
    extent: Extent,
    sectors: u64,
) -> Result<(), &'static str> {
    if sector[TABLE + ENTRIES * ENTRY_BYTES..] != SIGNATURE {
        return Err("the disk has no partition table");
    }
    let at = |entry: usize| TABLE + entry * ENTRY_BYTES + 8;
    let read = |sector: &[u8], at: usize| {
        u64::from(u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]))
    };
    let own = Part::Data as usize - 1;
    if (read(sector, at(own)), read(sector, at(own) + 4)) != (extent.start, extent.sectors) {
        return Err("the partition table is not what the kernel went by");
    }
    if (0..ENTRIES).any(|entry| read(sector, at(entry)) > extent.start) {
        return Err("the data partition is not the last one");
    }
    let sectors = u32::try_from(sectors).map_err(|_| "the disk is too large for its table")?;
    sector[at(own) + 4..at(own) + 8].copy_from_slice(&sectors.to_le_bytes());
    Ok(())
}

fn resize_partition(whole: &File, extent: Extent) -> io::Result<()> {
    let bytes = |sectors: u64| libc::c_longlong::try_from(sectors * SECTOR_BYTES).map_err(io::Error::other);
    let mut partition = BlkpgPartition {
        start: bytes(extent.start)?,
        length: bytes(extent.sectors)?,
        number: Part::Data as libc::c_int,
        names: [0; 128],
    };
    let argument = BlkpgArgument {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        bytes: size_of::<BlkpgPartition>() as libc::c_int,
        partition: &raw mut partition,
    };
    // SAFETY: both structures are laid out as the kernel's, live for the call, and the kernel keeps neither.
    done(unsafe { libc::ioctl(whole.as_raw_fd(), BLKPG, &raw const argument) })
}

/// The blocks that the file system on `device` could have, when they are more than it has.
fn wanted_blocks(device: &File, extent: Extent) -> io::Result<Option<u64>> {
    const SUPERBLOCK: u64 = 1024;
    const HAS_HIGH_HALF: u32 = 0x80;
    let number = |at: u64| {
        let mut bytes = [0; 4];
        device.read_exact_at(&mut bytes, SUPERBLOCK + at).map(|()| u32::from_le_bytes(bytes))
    };
    let block_bytes = 1024_u64.checked_shl(number(0x18)?).filter(|bytes| *bytes <= 65_536);
    let block_bytes = block_bytes.ok_or(io::ErrorKind::InvalidData)?;
    let high = if number(0x60)? & HAS_HIGH_HALF != 0 { u64::from(number(0x150)?) } else { 0 };
    let blocks = high << 32 | u64::from(number(0x4)?);
    let wanted = extent.sectors * SECTOR_BYTES / block_bytes;
    // A last group that holds less than its own tables is left off by ext4, and asking each time is of no use.
    let group_blocks = u64::from(number(0x20)?);
    Ok((wanted >= blocks + group_blocks / 16).then_some(wanted))
}

fn resize_file_system(mounted: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one number of 64 bits from the pointer.
    done(unsafe { libc::ioctl(mounted.as_raw_fd(), EXT4_IOC_RESIZE_FS, &raw const blocks) })
}

fn done(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: Extent = Extent { start: 59_392, sectors: 65_536 };

    fn table(entries: [(u32, u32); ENTRIES]) -> [u8; 512] {
        let mut sector = [0; 512];
        for (entry, (start, sectors)) in entries.into_iter().enumerate() {
            let at = TABLE + entry * ENTRY_BYTES + 8;
            sector[at..at + 4].copy_from_slice(&start.to_le_bytes());
            sector[at + 4..at + 8].copy_from_slice(&sectors.to_le_bytes());
        }
        sector[510..].copy_from_slice(&SIGNATURE);
        sector
    }

    #[test]
    fn it_takes_whole_mebibytes_to_the_end_of_the_disk() {
        for (caption, disk_sectors, sectors) in [
            ("no room", 59_392 + 65_536, None),
            ("less than a MiB more", 59_392 + 65_536 + 2047, None),
            ("one MiB more", 59_392 + 65_536 + 2048, Some(65_536 + 2048)),
            ("8 GB", 15_523_840, Some(15_464_448)),
            ("more than the table can say", 10_000_000_000, Some(4_294_965_248)),
            ("a disk that ends before it", 100, None),
        ] {
            assert_eq!(room(DATA, disk_sectors), sectors, "{caption}");
        }
    }

    #[test]
    fn only_the_length_of_the_last_partition_changes() {
        let entries = [(2048, 8192), (10_240, 24_576), (34_816, 24_576), (59_392, 65_536)];
        let mut sector = table(entries);
        lengthen(&mut sector, DATA, 131_072).unwrap();
        let [boot, a, b, (start, _)] = entries;
        assert_eq!(sector, table([boot, a, b, (start, 131_072)]));
        for (caption, mut sector, why) in [
            ("no table", [0; 512], "no partition table"),
            ("another length", table([boot, a, b, (start, 65_535)]), "not what the kernel went by"),
            ("one behind it", table([boot, (200_000, 8), b, (start, 65_536)]), "not the last one"),
        ] {
            let before = sector;
            assert!(lengthen(&mut sector, DATA, 131_072).unwrap_err().contains(why), "{caption}");
            assert_eq!(sector, before, "{caption}");
        }
    }
}
