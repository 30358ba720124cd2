//! A spool that is full refuses mail for a while, and breaks nothing: neither what it holds, nor its
//! neighbours, nor what comes when there is room again.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::lab::load::{Door, Load, missing};
use crate::lab::{ABC, BCD, Dialogue, Disk, Host, PATIENCE, Stagepost, long, tell, until, until_true};
use crate::world::{BOTH, deferring, note, two_domains, world};

/// Hands over a message of 100 KB; the last reply, whichever command it is to.
fn large(from: &Host, to: &str, sender: &str) -> String {
    let mut dialogue = Dialogue::greeted(from, to, "pc.example");
    for (line, wanted) in [
        (format!("MAIL FROM:<{sender}>"), "250"),
        ("RCPT TO:<x1@xyz.com>".into(), "250"),
        ("DATA".into(), "354"),
    ] {
        dialogue.say(&line);
        let reply = dialogue.reply();
        if !reply.starts_with(wanted) {
            return reply;
        }
    }
    let line = "x".repeat(99) + "\n";
    dialogue.text(&(note(sender, "x1@xyz.com", "Large") + &line.repeat(1000)));
    dialogue.reply()
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().flatten();
    files.map(|entry| entry.metadata().unwrap()).filter(fs::Metadata::is_file).map(|m| m.len()).sum()
}

#[test]
fn past_its_quota_a_domain_says_452_and_its_neighbour_goes_on() {
    let Some(world) = world(BOTH) else { return };
    let (remote, open) = deferring(&world);
    let config =
        two_domains() + "domain bcd.com quota 4M\ndomain bcd.com spool always\ndomain abc.com spool always\n";
    let stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    let fill = || {
        let taken = (0..60).take_while(|_| large(&world.pc, BCD, "b1@bcd.com").starts_with("250")).count();
        (taken, large(&world.pc, BCD, "b1@bcd.com"))
    };
    let (first, refusal) = fill();
    assert!((15..42).contains(&first), "{first} messages of 100 KB in 4 MiB");
    assert!(refusal.starts_with("452 4.3.1") && refusal.contains("quota"), "{refusal}");
    let spool = world.device.dir().join("stagepost/spool/bcd.com");
    assert!(bytes_in(&spool) <= 4 << 20, "{} bytes", bytes_in(&spool));
    let neighbour = large(&world.pc, ABC, "a1@abc.com");
    assert!(neighbour.starts_with("250"), "{neighbour}");

    open.store(true, Ordering::Relaxed);
    stagepost.console(&["queue", "retry", "all"]);
    remote.await_taken(first + 1);
    until_true("the queue is empty", || stagepost.console(&["show", "status"])["queued"] == 0);
    open.store(false, Ordering::Relaxed);
    // Not before its done-records are on flash, which wait a few seconds for company.
    until_true("there is room again", || large(&world.pc, BCD, "b1@bcd.com").starts_with("250"));
    let (again, refusal) = fill();
    tell(&format!(
        "a quota of 4 MiB held {first} messages of 100 KB, and {again} when those had been delivered"
    ));
    assert!(again + 3 >= first, "{again} messages fit where {first} did before: {refusal}");
    assert!(bytes_in(&spool) <= 4 << 20, "{} bytes", bytes_in(&spool));
}

/// Fills the file system to its last block.
fn fill(disk: &Path) {
    let mut filler = File::create(disk.join("filler")).unwrap();
    for size in [1 << 20, 64 << 10, 4 << 10, 512] {
        while filler.write_all(&vec![b'f'; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(world) = world(BOTH) else { return };
    let disk = Disk::ext4(&world.device, "stagepost", 64);
    let (remote, open) = deferring(&world);
    let config = two_domains()
        + "domain abc.com quota 64M\ndomain bcd.com quota 64M\ndomain abc.com spool always\n"
        + "domain bcd.com spool always\ndomain bcd.com retry first 20s max 30s expire 5d\n";
    let stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    let doors = [Door { to: ABC, sender: "a1@abc.com" }, Door { to: BCD, sender: "b1@bcd.com" }];
    let load = Load::start(&world.pc, &doors, 2, Duration::from_millis(10));
    for _ in 0..if long() { 20 } else { 3 } {
        std::thread::sleep(Duration::from_millis(fastrand::u64(100..500)));
        let refused = load.refused().len();
        fill(disk.folder());
        until("mail is refused", PATIENCE, || (load.refused().len() > refused).then_some(()));
        // Some of what was stored leaves, and so makes room within the segments that are there.
        open.store(true, Ordering::Relaxed);
        stagepost.console(&["queue", "retry", "all"]);
        std::thread::sleep(Duration::from_millis(500));
        open.store(false, Ordering::Relaxed);
        fs::remove_file(disk.folder().join("filler")).unwrap();
        let acknowledged = load.acknowledged().len();
        until("mail is taken again", PATIENCE, || {
            (load.acknowledged().len() > acknowledged + 20).then_some(())
        });
    }
    let refused = load.refused();
    let acknowledged = load.stop();
    open.store(true, Ordering::Relaxed);
    stagepost.console(&["queue", "retry", "all"]);
    until("everything acknowledged arrives", 4 * PATIENCE, || {
        missing(acknowledged.keys(), &remote).is_empty().then_some(())
    });
    for reply in &refused {
        assert!(reply.starts_with("452 4.3.1") || reply.starts_with("451 4.3."), "{reply}");
    }
    tell(&format!(
        "a full disk: {} messages refused, {} acknowledged, none lost",
        refused.len(),
        acknowledged.len()
    ));
}
