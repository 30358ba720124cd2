//! The power fails while mail comes in: whatever the box has answered 250 for arrives all the same, whichever
//! of the writes that nobody flushed are lost. Source: the promise of `src/spool/mod.rs`.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::power::{Moment, Unflushed};
use crate::lab::{BCD, Dialogue, Remote, Reply, XYZ, stamp};
use crate::relays::message;
use crate::rig::{PATIENCE, Site, is_long};

/// Acknowledged before the power goes.
const WANTED: usize = 40;

/// Each is a start of the box; `--long` makes more of them.
const CUTS: usize = 2;
const CUTS_LONG: usize = 12;

/// A subject, and when its message was acknowledged.
type Taken = (String, u64);

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut() {
    let Some(site) = Site::new("pc") else { return };
    let disk = site.journaled_disk("cut.img");
    let mut machine = site.power_on_with(&disk, &[]);
    machine.configure(&["domain bcd.com retry first 1h max 4h expire 5d"]);
    // xyz.com is not there yet: everything is stored.
    let begin = stamp();
    let taken = send_until_cut(&site, || machine.cut());
    let journal = disk.journal();
    let moments = journal.moments(begin, if is_long() { CUTS_LONG } else { CUTS });
    let remote = Remote::start(&site.remote, XYZ, |_| Reply::Usual);
    for (n, moment) in moments.into_iter().enumerate() {
        let fate = Unflushed::EACH[n % Unflushed::EACH.len()];
        let left = site.dir().join("after-cut.img");
        let doubtful = journal.after_cut(moment, fate, &left);
        let arrived = arrives_after(&site, &remote, &left, &promised(&taken, moment));
        eprintln!("cut {n}: {doubtful} writes in doubt, {fate:?} of them done, {arrived} messages arrived");
    }
}

/// What had been acknowledged when the power went.
fn promised(taken: &[Taken], cut: Moment) -> BTreeSet<String> {
    taken.iter().filter(|(_, at)| *at < cut.at).map(|(subject, _)| subject.clone()).collect()
}

/// Starts the box again and waits until all that was promised has arrived; how many messages did.
fn arrives_after(site: &Site, remote: &Remote, disk: &std::path::Path, promised: &BTreeSet<String>) -> usize {
    let before = remote.taken().len();
    let mut machine = site.power_on(disk, &[]);
    machine.greeted();
    machine.takes_mail(&site.pc);
    machine.say("queue retry all");
    let until = Instant::now() + PATIENCE;
    loop {
        let arrived: BTreeSet<String> =
            remote.taken()[before..].iter().map(|taken| taken.message.subject()).collect();
        let missing: Vec<_> = promised.difference(&arrived).collect();
        if missing.is_empty() {
            return arrived.len();
        }
        assert!(Instant::now() < until, "{missing:?} are lost; {}", machine.say("show status"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Four clients send until enough has been acknowledged and the power is cut under them.
fn send_until_cut(site: &Site, cut: impl FnOnce()) -> Vec<Taken> {
    let (taken, is_cut) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let client = |client: usize| {
        for n in 0.. {
            let subject = format!("cut {client}-{n}");
            // The box goes away in the middle: that ends this client.
            let sent = catch_unwind(|| {
                let mut dialogue = Dialogue::greeted(&site.pc, BCD, "pc.bcd.com");
                dialogue.hand_over("b1@bcd.com", &["x1@xyz.com"], &message(&subject))
            });
            match sent {
                Ok(reply) if reply.starts_with("250") => taken.lock().unwrap().push((subject, stamp())),
                _ if is_cut.load(Ordering::SeqCst) => return,
                Ok(reply) => panic!("{reply}"),
                Err(why) => std::panic::resume_unwind(why),
            }
        }
    };
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || client(n));
        }
        let until = Instant::now() + PATIENCE;
        while taken.lock().unwrap().len() < WANTED {
            assert!(Instant::now() < until, "the box takes no mail");
            std::thread::sleep(Duration::from_millis(5));
        }
        is_cut.store(true, Ordering::SeqCst);
        cut();
    });
    taken.into_inner().unwrap()
}
