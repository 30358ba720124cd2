//! The power is cut under load, on a real file system over a device that forgets what was not flushed: each
//! message acknowledged before the cut is delivered whole after it, and the box always starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::load::{Acknowledged, Door, Load, arrived};
use crate::lab::power::{Moment, Mounted, Power, Unflushed, possible};
use crate::lab::{
    ABC, BCD, Disk, PATIENCE, Remote, Reply, Stagepost, Taken, XYZ, long, make_ext4, stamp, tell, until,
    until_true,
};
use crate::world::{BOTH, World, two_domains, world};

const DOORS: [Door; 2] = [Door { to: ABC, sender: "a1@abc.com" }, Door { to: BCD, sender: "b1@bcd.com" }];
const DISK_MEGABYTES: u32 = 96;

/// Mail waits long for its next attempt, so that much of it is in the spool when the power goes.
fn patient() -> String {
    let route = |name| format!("domain {name} retry first 20s max 30s expire 5d\n");
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

/// One load on one device, and as many moments of it.
#[track_caller]
fn cut_under_load(world: &World, cuts: usize) {
    let image = world.device.dir().join("power.image");
    make_ext4(&image, DISK_MEGABYTES);
    let power = Power::on(&world.device, &image);
    let (remote, mood) = reluctant(world);
    let (begin, acknowledged) = {
        let _disk = Mounted::new(&world.device, "live", &power);
        let stagepost = Stagepost::start_as(&world.device, "live", &patient());
        stagepost.await_up();
        let load = Load::start(&world.pc, &DOORS, 6, Duration::from_millis(5));
        until_true("mail is stored", || load.acknowledged().len() > 50);
        let begin = stamp();
        std::thread::sleep(Duration::from_secs(5));
        (begin, load.stop())
    };
    let journal = power.journal();
    let taken = remote.taken();
    mood.store(false, Ordering::Relaxed);
    for (n, moment) in journal.moments(begin, cuts).into_iter().enumerate() {
        let fate = Unflushed::EACH[n % Unflushed::EACH.len()];
        let left = world.device.dir().join("cut.image");
        let doubtful = journal.after_cut(moment, fate, &left);
        let owed = owed(&acknowledged, &taken, moment);
        let before = remote.survey(<[_]>::len);
        {
            let _disk = Disk::mount(&world.device, "cut", &left);
            let stagepost = Stagepost::start_as(&world.device, "cut", &patient());
            stagepost.console(&["queue", "retry", "all"]);
            until("the queue is empty", 3 * PATIENCE, || {
                (stagepost.console(&["show", "status"])["queued"] == 0).then_some(())
            });
        }
        std::fs::remove_file(&left).unwrap();
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

#[test]
fn the_power_is_cut_on_ext4() {
    let Some(world) = possible().then(|| world(BOTH)).flatten() else { return };
    let loads = if long() { 7 } else { 1 };
    for _ in 0..loads {
        cut_under_load(&world, 8);
    }
}
