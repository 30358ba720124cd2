//! The plug is pulled everywhere: each scenario is run again, dying at change 0, 1, 2, ... of the medium,
//! and the start that follows dies at each of its own changes too.

use super::model::{Step, World};
use crate::spool::sim::Faults;
use Step::*;

fn accept() -> Vec<Step> {
    vec![Put(1, 2_000), Flush, Put(2, 500), Put(3, 6_000), Flush, Put(4, 10), Take, Put(5, 3_000), Flush]
}

fn big_draft() -> Vec<Step> {
    vec![
        Put(1, 100),
        Draft(2),
        Append(2, 150_000),
        Flush,
        Draft(3),
        Append(3, 300_000),
        Append(2, 150_000),
        Flush,
        CommitDraft(2),
        Put(4, 100_000),
        Flush,
        DropDraft(3),
        Flush,
    ]
}

fn deliver_and_defer() -> Vec<Step> {
    vec![
        Put(1, 2_000),
        Put(2, 2_000),
        Flush,
        Update(1),
        Flush,
        Update(1),
        Update(2),
        Put(3, 100),
        Flush,
        Done(2),
        Take,
        Update(1),
        Update(3),
        Flush,
        Done(1),
        Done(3),
        Flush,
    ]
}

fn expire() -> Vec<Step> {
    vec![
        Put(1, 3_000),
        Flush,
        Update(1),
        Flush,
        Report(2, 1_000),
        Flush,
        Done(1),
        Flush,
        Update(2),
        Done(2),
        Flush,
    ]
}

fn restart() -> Vec<Step> {
    vec![
        Put(1, 900),
        Flush,
        Restart,
        Update(1),
        Put(2, 900),
        Flush,
        Done(1),
        Restart,
        Put(3, 900),
        Flush,
        Restart,
        Flush,
    ]
}

/// Segments fill up, are left by all their messages and are used again.
fn rotate_and_reclaim() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..12 {
        let messages = (0..3).map(|k| round * 3 + k + 1);
        steps.extend(messages.clone().map(|n| Put(n, 55_000)));
        steps.push(Flush);
        steps.extend(messages.map(Done));
    }
    steps.push(Flush);
    steps
}

/// One old message in each of the first segments holds them open until they are emptied.
fn compact() -> Vec<Step> {
    let mut steps = vec![Put(1, 3_000), Update(1), Flush];
    for round in 1..=10u64 {
        let old = round * 10 + 1;
        steps.extend([
            Put(old, 4_000),
            Put(old + 1, 60_000),
            Put(old + 2, 60_000),
            Put(old + 3, 60_000),
            Update(old),
        ]);
        steps.push(Flush);
        steps.extend([Done(old + 1), Done(old + 2), Done(old + 3), Update(1)]);
    }
    steps.extend([Flush, Done(1), Done(11), Flush, Flush]);
    steps
}

/// Runs the steps until they are over or the medium is dead.
fn run(world: &mut World, steps: &[Step]) {
    for step in steps {
        if world.is_dead() {
            return;
        }
        world.step(*step);
    }
}

/// The changes that an undisturbed run makes to the medium.
fn changes(steps: &[Step]) -> u64 {
    let mut world = World::new(1);
    world.rig.flash.set_faults(Faults::None);
    run(&mut world, steps);
    world.check_readable();
    world.rig.flash.changes()
}

fn dies_everywhere(steps: &[Step], seeds: u64) {
    let total = changes(steps);
    assert!(total > 5, "the scenario writes");
    for seed in 0..seeds {
        for cut in 0..total {
            let mut world = World::new(seed);
            world.rig.flash.set_faults(Faults::CutAt(cut));
            run(&mut world, steps);
            assert!(world.is_dead(), "cut {cut} of {total} did not happen");
            dies_while_starting(&world, seed);
            world.power_cycle();
            goes_on(&mut world);
        }
    }
}

/// The start after a cut, and the first mail after it, die at each of their own changes.
fn dies_while_starting(world: &World, seed: u64) {
    for cut in 0.. {
        let again = world.rig.flash.fork(seed ^ cut);
        again.power_cycle();
        again.set_faults(Faults::CutAt(cut));
        let mut world = world.on(again);
        world.restart();
        run(&mut world, &[Put(900, 2_000), Flush, Done(900), Put(901, 60_000), Flush]);
        if !world.is_dead() {
            return;
        }
        world.power_cycle();
        goes_on(&mut world);
    }
}

/// A log that has been through a cut is as good as any other.
fn goes_on(world: &mut World) {
    run(world, &[Put(910, 2_000), Flush, Update(910), Flush, Restart]);
    assert!(world.live().contains(&910));
    world.check_readable();
}

#[test]
fn an_accepted_message_survives_a_cut_at_any_write() {
    dies_everywhere(&accept(), 6);
}

#[test]
fn a_big_draft_survives_a_cut_once_it_is_committed() {
    dies_everywhere(&big_draft(), 3);
}

#[test]
fn what_was_delivered_or_deferred_survives_a_cut_at_any_write() {
    dies_everywhere(&deliver_and_defer(), 6);
}

#[test]
fn an_expired_message_and_its_report_survive_a_cut_at_any_write() {
    dies_everywhere(&expire(), 6);
}

#[test]
fn restarts_survive_cuts() {
    dies_everywhere(&restart(), 6);
}

#[test]
fn reclaiming_survives_a_cut_at_any_write() {
    dies_everywhere(&rotate_and_reclaim(), 2);
}

#[test]
fn compaction_survives_a_cut_at_any_write() {
    let mut world = World::new(1);
    run(&mut world, &compact());
    assert!(world.rig.log.wear().bytes_moved > 0, "the scenario compacts");
    dies_everywhere(&compact(), 2);
}

/// Every scenario.
fn all() -> [Vec<Step>; 7] {
    [accept(), big_draft(), deliver_and_defer(), expire(), restart(), rotate_and_reclaim(), compact()]
}

/// After a failure the log goes on, and what it could not write is refused and does not come back.
fn fails_everywhere(steps: &[Step], why: crate::spool::FlashError) {
    let total = changes(steps);
    for fault in 0..total {
        let mut world = World::new(fault);
        world.rig.flash.set_faults(Faults::FailAt(fault, why));
        run(&mut world, steps);
        world.check_readable();
        run(&mut world, &[Flush]);
        let mut cut = world.fork_as_cut(fault);
        goes_on(&mut cut);
        world.step(Restart);
        goes_on(&mut world);
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_that_was_acknowledged() {
    for steps in all() {
        fails_everywhere(&steps, crate::spool::FlashError::Io(5));
    }
}

#[test]
fn a_full_medium_at_any_call_loses_nothing_that_was_acknowledged() {
    for steps in all() {
        fails_everywhere(&steps, crate::spool::FlashError::NoSpace);
    }
}

#[test]
fn a_read_that_fails_once_loses_nothing() {
    let mut failed = 0;
    for steps in all() {
        for fault in 0.. {
            let mut world = World::new(fault);
            world.rig.flash.set_faults(Faults::FailReadAt(fault, crate::spool::FlashError::Io(5)));
            run(&mut world, &steps);
            if world.rig.flash.reads() <= fault {
                break;
            }
            failed += 1;
            world.check_readable();
            let mut cut = world.fork_as_cut(fault);
            goes_on(&mut cut);
            goes_on(&mut world);
        }
    }
    assert!(failed > 20, "{failed} reads");
}
