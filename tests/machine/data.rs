//! The data partition is damaged: the box comes up all the same, keeps what can be read, and says what it did.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::lab::{Remote, Reply, XYZ};
use crate::relays::hand_over;
use crate::rig::{Part, Site, slots_on};

/// Where ext4 keeps its first superblock, and how long that is.
const SUPERBLOCK: std::ops::Range<usize> = 1024..2048;

#[test]
fn the_data_partition_takes_all_of_its_card() {
    let Some(site) = Site::new("pc") else { return };
    let disk = site.disk("card.img");
    enlarge(&disk, CARD_BYTES);
    let small = Part::of(&disk, 4);
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&["domain bcd.com retry first 1h max 4h expire 5d"]);
    assert!(hand_over(&site, "kept").starts_with("250"));
    let log = machine.say("show log 1000");
    assert!(!log.contains("does not grow"), "{log}");
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    // It went off in order, which is no failed start.
    assert_eq!(slots_on(&disk).fails, "");
    let large = Part::of(&disk, 4);
    assert_eq!((large.start, large.start + large.bytes), (small.start, CARD_BYTES));
    let told = checked(&site, &disk, large);
    let blocks = large.bytes / 4096;
    assert!(told.contains(&format!("/{blocks} blocks")), "{blocks} blocks: {told}");
    // A larger card: what was kept is there.
    enlarge(&disk, 2 * CARD_BYTES);
    let mut machine = site.power_on(&disk, &[]);
    machine.greeted();
    assert!(machine.say("show queue").contains("x1@xyz.com"));
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    let larger = Part::of(&disk, 4);
    assert_eq!(larger.start + larger.bytes, 2 * CARD_BYTES);
    checked(&site, &disk, larger);
}

const CARD_BYTES: u64 = 1 << 30;

fn enlarge(disk: &Path, bytes: u64) {
    File::options().write(true).open(disk).unwrap().set_len(bytes).unwrap();
}

/// What e2fsck says of a partition, which must be nothing bad.
fn checked(site: &Site, disk: &Path, part: Part) -> String {
    let copy = site.dir().join("data.ext4");
    let (skip, count) = (format!("skip={}", part.start >> 20), format!("count={}", part.bytes >> 20));
    let (from, to) = (format!("if={}", disk.display()), format!("of={}", copy.display()));
    let copied =
        Command::new("dd").args([&from, &to, "bs=1M", &skip, &count, "conv=sparse"]).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let done = Command::new("e2fsck").arg("-fn").arg(&copy).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{told}");
    told
}

#[test]
fn a_data_partition_without_its_superblock_is_made_anew_with_what_it_held() {
    let Some(site) = Site::new("pc") else { return };
    let disk = site.disk("data.img");
    // Large enough for a copy of the superblock.
    enlarge(&disk, CARD_BYTES);
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&["domain bcd.com retry first 1h max 4h expire 5d"]);
    assert!(hand_over(&site, "carried over").starts_with("250"));
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    let part = Part::of(&disk, 4);
    let mut begin = part.read(&disk, 4096);
    begin[SUPERBLOCK].fill(0);
    part.write(&disk, &begin);
    let remote = Remote::start(&site.remote, XYZ, |_| Reply::Usual);
    let mut machine = site.power_on(&disk, &[]);
    machine.greeted();
    machine.takes_mail(&site.pc);
    let log = machine.say("show log 1000");
    assert!(log.contains("was made anew") && log.contains("files were carried over"), "{log}");
    machine.say("queue retry all");
    crate::lab::until_true("the mail that waited arrives", || {
        remote.taken().iter().any(|taken| taken.message.subject() == "carried over")
    });
}

#[test]
fn a_data_partition_of_garbage_is_made_anew() {
    let Some(site) = Site::new("pc") else { return };
    let disk = site.disk("garbage-data.img");
    let part = Part::of(&disk, 4);
    let garbage = (0..part.bytes / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    part.write(&disk, &garbage.collect::<Vec<_>>());
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    let log = machine.say("show log 1000");
    assert!(log.contains("was made anew; nothing of it could be read"), "{log}");
    assert!(hand_over(&site, "after all").starts_with("250"));
    machine.cut();
    // It lasts.
    let mut machine = site.power_on(&disk, &[]);
    machine.greeted();
    machine.takes_mail(&site.pc);
}
