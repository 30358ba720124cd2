//! The power is cut under load, on a real file system over a device that forgets what was not flushed: each
//! message acknowledged before the cut is delivered whole after it, and the box always starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::guest::{self, Guest, make_f2fs};
use crate::lab::load::{Acknowledged, Door, Load, arrived};
use crate::lab::power::{Journal, Moment, Mounted, Power, Unflushed, possible};
use crate::lab::{
    ABC, BCD, Disk, PATIENCE, Remote, Reply, Stagepost, Taken, XYZ, long, make_ext4, stamp, tell, until,
};
use crate::world::{BOTH, World, two_domains, world};

const DOORS: [Door; 2] = [Door { to: ABC, sender: "a1@abc.com" }, Door { to: BCD, sender: "b1@bcd.com" }];
const DISK_MEGABYTES: u32 = 96;
const F2FS_MEGABYTES: u32 = 128;
const F2FS_CUTS: usize = 52;

/// Mail waits so long for its next attempts that much of it is in the spool when the power goes.
fn waiting(first: &str, max: &str) -> String {
    let route = |name| format!("domain {name} retry first {first} max {max} expire 5d\n");
    two_domains()
        + &route("abc.com")
        + &route("bcd.com")
        + "domain abc.com spool held 1s\ndomain bcd.com spool always\n"
}

/// A host that takes a third of what it is offered until it is told to take all.
fn reluctant(world: &World) -> (Remote, Arc<AtomicBool>) {
    let reluctant = Arc::new(AtomicBool::new(true));
    let mood = Arc::clone(&reluctant);
    let remote = Remote::start(&world.remote, XYZ, move |line| {
        let refused = line.starts_with("RCPT") && mood.load(Ordering::Relaxed) && fastrand::u32(..3) > 0;
        if refused { Reply::Say("450 4.2.0 not yet") } else { Reply::Usual }
    });
    (remote, reluctant)
}

/// What the box had acknowledged and not delivered at `moment`.
fn owed(acknowledged: &BTreeMap<u32, Acknowledged>, taken: &[Taken], moment: Moment) -> BTreeSet<u32> {
    let before: Vec<Taken> = taken.iter().filter(|t| t.at <= moment.at).cloned().collect();
    let delivered = arrived(&before);
    let owed = acknowledged.iter().filter(|(n, a)| a.at <= moment.at && !delivered.contains_key(n));
    owed.map(|(number, _)| *number).collect()
}

/// One load on one device, all that was heard of it.
struct Run {
    journal: Journal,
    begin: u64,
    acknowledged: BTreeMap<u32, Acknowledged>,
    taken: Vec<Taken>,
}

/// Loads the box that is up for a while; when it began, and what was acknowledged.
#[track_caller]
fn load(world: &World) -> (u64, BTreeMap<u32, Acknowledged>) {
    let load = Load::start(&world.pc, &DOORS, 6, Duration::from_millis(5));
    until("mail is stored", 4 * PATIENCE, || (load.acknowledged().len() > 50).then_some(()));
    let begin = stamp();
    std::thread::sleep(Duration::from_secs(5));
    (begin, load.stop())
}

/// Makes up the disk at `cuts` moments, and has `deliver` start a box from it: what was owed must arrive,
/// after the messages that the host has taken before.
#[track_caller]
fn assert_survived(
    run: &Run,
    cuts: usize,
    remote: &Remote,
    left: &Path,
    deliver: impl Fn(&Path, &BTreeSet<u32>, usize),
) {
    for (n, moment) in run.journal.moments(run.begin, cuts).into_iter().enumerate() {
        let fate = Unflushed::EACH[n % Unflushed::EACH.len()];
        let doubtful = run.journal.after_cut(moment, fate, left);
        let owed = owed(&run.acknowledged, &run.taken, moment);
        let before = remote.survey(<[_]>::len);
        deliver(left, &owed, before);
        std::fs::remove_file(left).unwrap();
        let there = remote.survey(|taken| arrived(&taken[before..]));
        let lost: Vec<u32> = owed.iter().filter(|n| !there.contains_key(n)).copied().collect();
        tell(&format!(
            "cut {n}: {doubtful} writes in doubt, {fate:?} of them done; {} messages owed, {} found, {} lost",
            owed.len(),
            there.len(),
            lost.len(),
        ));
        assert!(lost.is_empty(), "cut {n} ({fate:?}): {} of {} owed are lost", lost.len(), owed.len());
    }
}

#[track_caller]
fn cut_ext4_under_load(world: &World, cuts: usize) {
    let dir = world.device.dir();
    let image = dir.join("power.image");
    make_ext4(&image, DISK_MEGABYTES);
    let power = Power::on(&world.device, &image);
    let (remote, mood) = reluctant(world);
    let (begin, acknowledged) = {
        let _disk = Mounted::new(&world.device, "live", &power);
        let stagepost = Stagepost::start_as(&world.device, "live", &waiting("20s", "30s"));
        stagepost.await_up();
        load(world)
    };
    let run = Run { journal: power.journal(), begin, acknowledged, taken: remote.taken() };
    mood.store(false, Ordering::Relaxed);
    assert_survived(&run, cuts, &remote, &dir.join("cut.image"), |left, _, _| {
        let _disk = Disk::mount(&world.device, "cut", left);
        let stagepost = Stagepost::start_as(&world.device, "cut", &waiting("20s", "30s"));
        stagepost.console(&["queue", "retry", "all"]);
        until("the queue is empty", 3 * PATIENCE, || {
            (stagepost.console(&["show", "status"])["queued"] == 0).then_some(())
        });
    });
}

#[test]
fn the_power_is_cut_on_ext4() {
    let loads = if long() { 7 } else { 1 };
    for _ in 0..loads {
        // A world for each: its hosts live as long as it does.
        let Some(world) = possible().then(|| world(BOTH)).flatten() else { return };
        cut_ext4_under_load(&world, 8);
    }
}

#[test]
fn the_power_is_cut_on_f2fs() {
    if !long() {
        eprintln!("skipped: starts a virtual machine for each cut; `scripts/test --long` does it");
        return;
    }
    let can = possible() && guest::possible();
    let Some(world) = can.then(|| world(&[])).flatten() else { return };
    let image = world.device.dir().join("power.image");
    make_f2fs(&image, F2FS_MEGABYTES);
    let power = Power::on(&world.device, &image);
    let (remote, mood) = reluctant(&world);
    let guest = Guest::new(&world.device, world.lab.tap(), BOTH, &waiting("5s", "10s"));
    let (begin, acknowledged) = {
        let _on = guest.power_on(&format!("nbd:unix:{}", power.socket().display()));
        guest.await_up(&world.pc, &[ABC, BCD]);
        load(&world)
    };
    let run = Run { journal: power.journal(), begin, acknowledged, taken: remote.taken() };
    mood.store(false, Ordering::Relaxed);
    assert_survived(&run, F2FS_CUTS, &remote, &world.device.dir().join("cut.image"), |left, owed, before| {
        let _on = guest.power_on(left.to_str().unwrap());
        guest.await_up(&world.pc, &[ABC, BCD]);
        until("what is owed arrives", 10 * PATIENCE, || {
            let there = remote.survey(|taken| arrived(&taken[before..]));
            owed.iter().all(|number| there.contains_key(number)).then_some(())
        });
    });
}
