//! The spool of a stopped daemon is harmed: a byte flipped, a file cut short, a file gone. The box always
//! starts, delivers what can still be read, keeps what cannot aside, and says where and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::load::{Door, Load, arrived};
use crate::lab::{BCD, PATIENCE, Remote, Reply, Stagepost, XYZ, long, tell, until, until_true};
use crate::world::{BOTH, two_domains, world};

const DOOR: [Door; 1] = [Door { to: BCD, sender: "b1@bcd.com" }];

/// Small segments, so that the mail lies in several.
fn small() -> String {
    two_domains()
        + "domain bcd.com spool always\ndomain bcd.com quota 4M\n"
        + "domain bcd.com retry first 20s max 30s expire 5d\n"
}

/// A record as the page in `src/spool/mod.rs` draws it: read here anew from that page alone.
#[derive(Clone, Debug)]
struct Record {
    at: Range<usize>,
    id: u64,
    kind: u8,
}

/// The records of a whole segment.
fn records(segment: &[u8], nonce: u64) -> Vec<Record> {
    let number = |at: usize, bytes: usize| {
        segment[at..at + bytes].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let (mut at, mut found) = (0, Vec::new());
    while at + 32 <= segment.len() {
        if segment[at + 30..at + 32] != *b"Sp" || number(at + 8, 8) != nonce {
            at = (at + 1).next_multiple_of(4096);
            continue;
        }
        let length = number(at + 4, 4) as usize;
        found.push(Record { at: at..at + 32 + length, id: number(at + 16, 8), kind: segment[at + 28] });
        at += (32 + length).next_multiple_of(8);
    }
    found
}

/// A spool as its daemon left it.
struct Pristine {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    records: BTreeMap<String, Vec<Record>>,
    /// The number of each message, by its id.
    numbers: BTreeMap<u64, u32>,
}

impl Pristine {
    fn read(folder: &Path) -> Pristine {
        let mut pristine = Pristine {
            folder: folder.to_owned(),
            files: BTreeMap::new(),
            records: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for entry in fs::read_dir(folder).unwrap().flatten().filter(|e| e.path().is_file()) {
            let (name, bytes) = (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
            if let Some((_, nonce)) =
                name.trim_end_matches(".log").split_once('-').filter(|n| n.1.len() == 16)
            {
                let nonce = u64::from_str_radix(nonce, 16).unwrap();
                let records = records(&bytes, nonce);
                for record in records.iter().filter(|r| r.kind == 2) {
                    let text = String::from_utf8_lossy(&bytes[record.at.clone()]).into_owned();
                    let subject = text.split("Subject: number ").nth(1).expect("a subject");
                    let digits: String = subject.chars().take_while(char::is_ascii_digit).collect();
                    pristine.numbers.insert(record.id, digits.parse().unwrap());
                }
                pristine.records.insert(name.clone(), records);
            }
            pristine.files.insert(name, bytes);
        }
        pristine
    }

    /// The folder as it was, but for one harm.
    fn restore(&self, harm: &Harm) {
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir(&self.folder).unwrap();
        for (name, bytes) in &self.files {
            let mut bytes = bytes.clone();
            match harm {
                Harm::Flip(file, at) if file == name => bytes[*at] ^= 1 << fastrand::u8(..8),
                Harm::CutShort(file, at) if file == name => bytes.truncate(*at),
                Harm::Gone(file) if file == name => continue,
                _ => {}
            }
            fs::write(self.folder.join(name), bytes).unwrap();
        }
    }

    /// The records that are harmed.
    fn harmed(&self, harm: &Harm) -> Vec<Record> {
        let (file, range) = match harm {
            Harm::Flip(file, at) => (file, *at..at + 1),
            Harm::CutShort(file, at) => (file, *at..usize::MAX),
            Harm::Gone(file) => (file, 0..usize::MAX),
        };
        let touched = |r: &&Record| r.at.start < range.end && range.start < r.at.end;
        self.records[file].iter().filter(touched).cloned().collect()
    }

    fn any_harm(&self, n: usize) -> Harm {
        let segments: Vec<&String> =
            self.records.iter().filter(|(_, r)| !r.is_empty()).map(|(n, _)| n).collect();
        let file = segments[fastrand::usize(..segments.len())].clone();
        let end = self.records[&file].last().expect("a record").at.end;
        match n % 4 {
            0 | 1 => Harm::Flip(file, fastrand::usize(..end)),
            2 => Harm::CutShort(file, fastrand::usize(..end)),
            _ => Harm::Gone(file),
        }
    }
}

#[derive(Clone, Debug)]
enum Harm {
    Flip(String, usize),
    CutShort(String, usize),
    Gone(String),
}

/// What `spool verify` and `show status` say of a flipped byte: which file, and a range with it inside.
#[track_caller]
fn assert_told(told: &str, file: &str, at: usize, caption: &str) {
    let ranges = told.lines().filter(|line| line.contains(file)).filter_map(|line| {
        let numbers = line.split(" at ").nth(1)?;
        let mut numbers =
            numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
        let (start, bytes) = (numbers.next()?, numbers.next()?);
        Some(start..start + bytes)
    });
    assert!(
        ranges.into_iter().any(|range| range.contains(&at)),
        "{caption}: {file} at {at} is not in\n{told}"
    );
}

#[test]
fn whatever_is_harmed_the_rest_is_delivered() {
    let Some(world) = world(BOTH) else { return };
    let full = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&full);
    let remote = Remote::start(&world.remote, XYZ, move |line| {
        let refused = line.starts_with("RCPT") && !mood.load(Ordering::Relaxed);
        if refused { Reply::Say("450 4.2.0 not yet") } else { Reply::Usual }
    });
    let mut stagepost = Stagepost::start(&world.device, &small());
    stagepost.await_up();
    let load = Load::start(&world.pc, &DOOR, 1, Duration::ZERO);
    until_true("mail is stored", || load.acknowledged().len() >= 70);
    let all: BTreeSet<u32> = load.stop().into_keys().collect();
    assert_eq!(stagepost.stop(), Some(0));
    full.store(true, Ordering::Relaxed);
    let folder = world.device.dir().join("stagepost/spool/bcd.com");
    let pristine = Pristine::read(&folder);
    assert!(pristine.records.len() >= 3 && pristine.numbers.len() == all.len(), "{} messages", all.len());

    let trials = if long() { 120 } else { 12 };
    let mut lost_in_all = 0;
    for n in 0..trials {
        let harm = pristine.any_harm(n);
        pristine.restore(&harm);
        let harmed = pristine.harmed(&harm);
        let touched: BTreeSet<u32> = harmed.iter().map(|r| pristine.numbers[&r.id]).collect();
        let verified = stagepost.run(&["spool", "verify"]);
        let before = remote.survey(<[_]>::len);
        stagepost.restart();
        let alarms = stagepost.console(&["show", "status"])["alarms"].clone();
        stagepost.console(&["queue", "retry", "all"]);
        until(&format!("{harm:?}: the queue is empty"), 2 * PATIENCE, || {
            (stagepost.console(&["show", "status"])["queued"] == 0).then_some(())
        });
        let there: BTreeSet<u32> = remote.survey(|taken| arrived(&taken[before..])).into_keys().collect();
        let lost: BTreeSet<u32> = all.difference(&there).copied().collect();
        assert!(lost.is_subset(&touched), "{harm:?}: lost {lost:?}, harmed was {touched:?}");
        lost_in_all += lost.len();
        let alarms: Vec<&str> = alarms.as_array().unwrap().iter().filter_map(|a| a.as_str()).collect();
        match &harm {
            Harm::Flip(file, at) if !harmed.is_empty() => {
                assert_eq!(verified.code, 1, "{harm:?}: {verified:?}");
                assert_told(&verified.out, file, *at, "spool verify");
                assert_told(&alarms.join("\n"), file, *at, "show status");
                let kept = fs::read_dir(folder.join("damaged")).map_or(0, Iterator::count);
                assert!(kept > 0 || lost.is_empty(), "{harm:?}: nothing was kept aside");
            }
            Harm::CutShort(file, _) => {
                assert_eq!(verified.code, 1, "{harm:?}: {verified:?}");
                assert!(verified.out.contains(file.as_str()), "{harm:?}: {verified:?}");
                assert!(alarms.iter().any(|a| a.contains(file.as_str())), "{harm:?}: {alarms:?}");
            }
            Harm::Flip(..) | Harm::Gone(_) => {}
        }
        stagepost.kill9();
    }
    tell(&format!(
        "{trials} times harmed: the box started each time; {lost_in_all} messages lost, all of them harmed"
    ));
}
