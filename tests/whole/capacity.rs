//! Long queues: found again quickly, small in memory, and left in the order in which their mail is due.
//! `scripts/queues` measures the same with the release binary and many more messages.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::lab::load::{Door, Load, arrived};
use crate::lab::{BCD, Disk, PATIENCE, Stagepost, long, tell, until, until_true};
use crate::world::{BOTH, deferring, two_domains, world};

const DOOR: [Door; 1] = [Door { to: BCD, sender: "b1@bcd.com" }];

fn queued(stagepost: &Stagepost) -> u64 {
    stagepost.console(&["show", "status"])["queued"].as_u64().unwrap()
}

#[test]
fn a_long_queue_is_found_again_at_once_and_takes_little_memory() {
    let Some(world) = world(BOTH) else { return };
    let count = if long() { 20_000 } else { 1_000 };
    let _disk = Disk::ext4(&world.device, "stagepost", 256);
    let (remote, open) = deferring(&world);
    let config =
        two_domains() + "domain bcd.com spool always\ndomain bcd.com retry first 1h max 1h expire 5d\n";
    let mut stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    let empty = stagepost.resident_bytes();
    let load = Load::start_short(&world.pc, &DOOR, 20, Duration::ZERO);
    until("all are stored", 40 * PATIENCE, || (load.acknowledged().len() >= count).then_some(()));
    let sum = load.stop().len();
    assert_eq!(stagepost.stop(), Some(0));
    let before = Instant::now();
    stagepost.restart();
    stagepost.await_up();
    let started = before.elapsed();
    assert_eq!(queued(&stagepost), sum as u64);
    let each = stagepost.resident_bytes().saturating_sub(empty) / sum as u64;
    tell(&format!(
        "{sum} messages wait: up after {started:?} with its tests' own waiting, {each} bytes each"
    ));
    // What the start itself needs for a while, and what a young process has not touched yet, counts too.
    assert!(each <= 200 + (2 << 20) / sum as u64, "{each} bytes for each of {sum}");
    assert!(started < Duration::from_secs(5), "{started:?}");
    open.store(true, Ordering::Relaxed);
    stagepost.console(&["queue", "retry", "all"]);
    until("all of it leaves", 20 * PATIENCE, || (queued(&stagepost) == 0).then_some(()));
    assert_eq!(remote.survey(arrived).len(), sum, "each once");
}

#[test]
fn mail_leaves_in_the_order_in_which_it_is_due() {
    let Some(world) = world(BOTH) else { return };
    let (remote, open) = deferring(&world);
    let config = two_domains()
        + "domain bcd.com spool always\ndomain bcd.com limit connections 1\n"
        + "domain bcd.com retry first 10s max 12s expire 5d\n";
    let mut stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    let load = Load::start_short(&world.pc, &DOOR, 1, Duration::from_millis(100));
    until_true("some are stored", || load.acknowledged().len() >= 15);
    let sum = load.stop().len();
    let queue = || stagepost.console(&["show", "queue"])["queue"].as_array().unwrap().clone();
    until_true("each was tried once", || queue().iter().all(|m| m["attempts"].as_u64() >= Some(1)));
    // The second try of the first ones makes them due after the last ones.
    let first: Vec<String> = queue()[..5].iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    for id in first.iter().rev() {
        stagepost.console(&["queue", "retry", id]);
    }
    until_true("five were tried twice", || {
        queue().iter().filter(|m| m["attempts"].as_u64() >= Some(2)).count() >= first.len()
    });
    let due: BTreeMap<String, u64> = queue()
        .iter()
        .map(|m| (m["id"].as_str().unwrap().to_owned(), m["next_attempt_s"].as_u64().unwrap()))
        .collect();
    stagepost.stop();
    open.store(true, Ordering::Relaxed);
    stagepost.restart();
    remote.await_taken(sum);
    let taken = remote.taken();
    let order: Vec<u64> = taken.iter().map(|t| due[&id_of(&t.message.received())]).collect();
    assert!(order.is_sorted(), "in the order of their seconds: {order:?}");
    let last: Vec<String> = taken[sum - first.len()..].iter().map(|t| id_of(&t.message.received())).collect();
    assert!(last.iter().all(|id| first.contains(id)), "{last:?} came last, {first:?} were due last");
}

/// The id that our own `Received:` field gives a message.
fn id_of(received: &str) -> String {
    received.split(" id ").nth(1).and_then(|rest| rest.split([';', ' ']).next()).expect("an id").to_owned()
}
