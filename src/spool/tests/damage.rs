//! Damage is contained: whatever happens to the files, the log opens, tells, keeps the harmed range aside,
//! and gives out every message that was not hit, byte for byte.

use std::collections::BTreeMap;

use super::support::*;
use crate::prng::Prng;
use crate::spool::flash::{FileName, Flash, FlashError};
use crate::spool::record::{Found, Walk};
use crate::spool::sim::{Call, Faults, SimFlash};

/// Messages of the rig below: number and bytes.
const MESSAGES: [(u64, usize); 9] = [
    (1, 0),
    (2, 300),
    (3, 2_000),
    (4, 2_000),
    (6, 20_000),
    (7, 90_000),
    (8, 2_000),
    (9, 70_000),
    (10, 1_000),
];

/// A log with messages, states, done-records and several segments, all durable.
fn rig() -> Rig {
    let mut rig = Rig::new(1);
    for (n, bytes) in MESSAGES {
        rig.put(n, bytes);
        if n % 3 == 0 {
            rig.flush();
        }
    }
    rig.put(5, 400);
    rig.flush();
    rig.log.done(id(5));
    rig.log.update(id(3), &super::model::state(3, 2));
    rig.flush();
    rig
}

fn segments(flash: &SimFlash) -> Vec<(FileName, Vec<u8>)> {
    let read = |name| {
        let mut bytes = vec![0; 1 << 20];
        let count = flash.read(name, 0, &mut bytes).unwrap();
        bytes.truncate(count);
        (name, bytes)
    };
    flash.list().unwrap().into_iter().map(|file| read(file.name)).collect()
}

/// Opens the harmed log: all messages but those of `hit` are there and whole, those of `hit` are whole or
/// gone, and new mail is taken.
fn opens(flash: SimFlash, hit: &[u64], caption: &str) -> Rig {
    let rig = Rig::open(flash);
    let sizes: BTreeMap<u64, usize> = MESSAGES.into_iter().chain([(5, 400)]).collect();
    let found = rig.ids();
    for n in &found {
        assert_whole(&rig.log, &rig.flash, *n, sizes[n]);
    }
    for (n, _) in MESSAGES {
        assert!(found.contains(&n) || hit.contains(&n), "{caption}: message {n} is gone");
    }
    let mut rig = rig;
    rig.put(50, 2_000);
    rig.flush();
    let rig = rig.reopen();
    assert!(rig.ids().contains(&50), "{caption}: the log goes on");
    rig
}

/// The records of a segment: range of header and payload, and the message.
fn records(name: FileName, bytes: &[u8]) -> Vec<(std::ops::Range<usize>, u64)> {
    let FileName::Segment { nonce, .. } = name else { return Vec::new() };
    let walk = Walk::new(bytes, nonce);
    walk.map(|found| match found {
        Found::Record { offset, record } => (offset..offset + 32 + record.payload.len(), record.id.as_u64()),
        Found::Damage { range, why, .. } => panic!("{range:?}: {why}"),
    })
    .collect()
}

#[test]
fn a_flipped_byte_costs_at_most_its_own_message() {
    let base = rig().flash;
    let mut dice = Prng::from_seed(3);
    for (name, bytes) in segments(&base) {
        for (range, n) in records(name, &bytes) {
            let header = range.start..range.start + 32;
            let body: Vec<usize> = (0..6).map(|_| range.start + dice.below(range.len())).collect();
            for at in header.chain(body).chain([range.end - 1]) {
                let flash = base.fork(1);
                let flip = 1 + dice.below(255) as u8;
                flash.harm(name, |bytes| bytes[at] ^= flip);
                let caption = format!("{name} byte {at} ^ {flip:#x}");
                let (log, recovery) = crate::spool::DomainLog::recover(&flash, small_bounds());
                assert!(!recovery.damage.is_empty(), "{caption} is not told");
                let told = &recovery.damage[0];
                assert_eq!((&told.file, told.offset), (&name.to_string(), range.start as u64), "{caption}");
                let outside_header = at >= range.start + 32;
                let named = told.why.ends_with(&format!("record of message {}", id(n)));
                assert!(named || !outside_header, "{caption}: {}", told.why);
                drop(log);
                let mended = (range.start + 8..range.start + 16).contains(&at);
                assert_eq!(flash.damaged().unwrap().is_empty(), mended, "{caption}: kept aside");
                opens(flash, if mended { &[] } else { std::slice::from_ref(&n) }, &caption);
            }
        }
    }
}

#[test]
fn a_harmed_page_is_kept_aside_as_it_was_found() {
    let base = rig().flash;
    let (name, bytes) = segments(&base).remove(0);
    let (range, n) = records(name, &bytes)[2].clone();
    base.harm(name, |bytes| bytes[range.start + 40..range.start + 60].fill(0xAA));
    let rig = opens(base, &[n], "a run of bytes");
    let label = rig.flash.damaged().unwrap().remove(0);
    assert!(label.starts_with("00000001-") && label.ends_with(&format!("-{:08x}", range.start)), "{label}");
    let kept = rig.flash.kept(&label).unwrap();
    assert_eq!(kept[..40], bytes[range.start..range.start + 40]);
    assert_eq!(kept[40..60], [0xAA; 20]);
}

#[test]
fn a_truncated_segment_gives_what_lies_before_the_cut() {
    let base = rig().flash;
    for (name, bytes) in segments(&base) {
        for length in (0..bytes.len()).step_by(9_973).chain([1, 31, 32, 4096, bytes.len() - 1]) {
            let flash = base.fork(1);
            flash.harm(name, |bytes| bytes.truncate(length));
            let behind = records(name, &bytes).into_iter().filter(|(range, _)| range.end > length);
            let hit: Vec<u64> = behind.map(|(_, n)| n).collect();
            opens(flash, &hit, &format!("{name} cut at {length}"));
        }
    }
}

#[test]
fn a_deleted_segment_takes_only_its_own_messages() {
    let base = rig().flash;
    for (name, bytes) in segments(&base) {
        let flash = base.fork(1);
        flash.lose(name);
        let hit: Vec<u64> = records(name, &bytes).into_iter().map(|(_, n)| n).collect();
        opens(flash, &hit, &format!("{name} deleted"));
    }
}

#[test]
fn a_message_that_lacks_a_part_is_told_by_its_name() {
    let base = rig().flash;
    let (name, _) = segments(&base).remove(0);
    base.lose(name);
    let rig = Rig::open(base);
    assert!(rig.recovery.damage.iter().all(|d| d.why.contains("a part of a message is missing")));
}

#[test]
fn a_medium_that_cannot_be_read_still_opens() {
    for call in [Call::Read, Call::List, Call::Sync, Call::Keep, Call::Remove] {
        let flash = rig().flash;
        flash.set_faults(Faults::Every(call, FlashError::Io(5)));
        let rig = Rig::open(flash);
        let blind = matches!(call, Call::Read | Call::List);
        assert_eq!(rig.recovery.damage.is_empty(), !blind, "{call:?}");
    }
}

#[test]
fn files_of_any_length_and_content_under_a_segments_name_are_survived() {
    let mut dice = Prng::from_seed(9);
    for length in [0, 1, 31, 32, 4096, 262_143, 262_144, 524_288, 3_000_000] {
        let flash = rig().flash;
        let name = FileName::Segment { sequence: 77, nonce: 0 };
        flash.create(name, length).unwrap();
        flash.harm(name, |bytes| bytes.iter_mut().step_by(5).for_each(|b| *b = dice.u64() as u8));
        opens(flash, &[], &format!("{length} bytes"));
    }
}

#[test]
fn a_file_of_zeros_with_the_nonce_zero_is_survived() {
    let flash = rig().flash;
    flash.create(FileName::Segment { sequence: 70, nonce: 0 }, 262_144).unwrap();
    opens(flash, &[], "zeros");
}

#[test]
fn random_harm_never_gives_a_torn_message() {
    let base = rig().flash;
    let names: Vec<FileName> = base.list().unwrap().into_iter().map(|f| f.name).collect();
    for seed in 0..150 {
        let mut dice = Prng::from_seed(seed);
        let flash = base.fork(seed);
        for _ in 0..=dice.below(20) {
            let name = names[dice.below(names.len())];
            flash.harm(name, |bytes| {
                let (from, to) = (dice.below(bytes.len()), dice.below(bytes.len()));
                let count = dice.below(6_000).min(bytes.len() - from.max(to));
                match dice.below(3) {
                    0 => bytes.copy_within(from..from + count, to),
                    1 => bytes[from..from + count].fill(dice.u64() as u8),
                    _ => bytes[from] ^= 1,
                }
            });
        }
        let all: Vec<u64> = MESSAGES.iter().map(|(n, _)| *n).collect();
        opens(flash, &all, &format!("seed {seed}"));
    }
}
