//! The daemon is killed under load, again and again, on a real file system: nothing that it acknowledged is
//! lost or torn, and what is sent twice is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::load::{Door, Load, arrived, missing};
use crate::lab::{ABC, BCD, Disk, PATIENCE, Remote, Reply, Stagepost, XYZ, long, tell, until, until_true};
use crate::world::{BOTH, World, two_domains, world};

/// abc.com's mail is held while its clients wait, bcd.com's is stored at once; both are tried again soon.
fn held_and_stored() -> String {
    let route = |name| format!("domain {name} retry first 1s max 2s expire 5d\n");
    two_domains()
        + &route("abc.com")
        + &route("bcd.com")
        + "domain abc.com spool held 1s\ndomain bcd.com spool always\n"
}

const DOORS: [Door; 2] = [Door { to: ABC, sender: "a1@abc.com" }, Door { to: BCD, sender: "b1@bcd.com" }];

/// A host that is at times slow, or defers, as long as it is told to.
fn moody(world: &World) -> (Remote, Arc<AtomicBool>) {
    let moody = Arc::new(AtomicBool::new(true));
    let mood = Arc::clone(&moody);
    let remote = Remote::start(&world.remote, XYZ, move |line| {
        let dice = fastrand::u32(..100);
        match (mood.load(Ordering::Relaxed), line) {
            (true, line) if line.starts_with("RCPT") && dice < 25 => Reply::Say("450 4.2.0 not yet"),
            (true, ".") if dice < 10 => Reply::Say("451 4.3.0 not yet"),
            (true, ".") if dice < 20 => {
                std::thread::sleep(Duration::from_millis(fastrand::u64(100..2000)));
                Reply::Usual
            }
            _ => Reply::Usual,
        }
    });
    (remote, moody)
}

#[test]
fn killed_under_load_it_loses_nothing_that_it_acknowledged() {
    let Some(world) = world(BOTH) else { return };
    let kills = if long() { 200 } else { 20 };
    let _disk = Disk::ext4(&world.device, "stagepost", 512);
    let (remote, moody) = moody(&world);
    let mut stagepost = Stagepost::start(&world.device, &held_and_stored());
    stagepost.await_up();
    let load = Load::start(&world.pc, &DOORS, 4, Duration::from_millis(20));
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..700)));
        stagepost.kill9();
        stagepost.restart();
    }
    let acknowledged = load.stop();
    moody.store(false, Ordering::Relaxed);
    let lost = || missing(acknowledged.keys(), &remote);
    until("everything acknowledged arrives", 8 * PATIENCE, || lost().is_empty().then_some(()));
    until("the queue is empty", 4 * PATIENCE, || {
        (stagepost.console(&["show", "status"])["queued"] == 0).then_some(())
    });
    let there = remote.survey(arrived);
    let held = acknowledged.values().filter(|a| a.reply.contains(" said: ")).count();
    let again: usize = there.values().map(|count| count - 1).sum();
    let sum = acknowledged.len();
    tell(&format!(
        "{kills} kills: {sum} messages acknowledged ({held} held, {} stored), none lost, none torn; {again} sent again",
        sum - held
    ));
    assert!(held > 10 && sum - held > 10, "both ways were tried: {held} held of {sum}");
    assert!(again < there.len() / 2, "{again} of {} were sent again", there.len());
}

#[test]
fn what_was_delivered_longer_ago_than_the_window_is_never_sent_again() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut stagepost = Stagepost::start(&world.device, &held_and_stored());
    stagepost.await_up();
    let load = Load::start(&world.pc, &DOORS[1..], 1, Duration::from_millis(20));
    until_true("some are acknowledged", || load.acknowledged().len() >= 30);
    let sum = load.stop().len();
    remote.await_taken(sum);
    // The window that `src/spool/mod.rs` states: 5 s and one batch.
    let over = Instant::now() + Duration::from_millis(5_500);
    until("the window is over", PATIENCE, || (Instant::now() > over).then_some(()));
    stagepost.kill9();
    stagepost.restart();
    assert_eq!(stagepost.console(&["show", "status"])["queued"], 0);
    assert_eq!(remote.taken().len(), sum, "sent once each");
}
