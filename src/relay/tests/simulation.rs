//! The whole relay in one thread, by the dice: SMTP sessions with clients and with remote hosts, byte by byte,
//! intake, office, logs on a medium that forgets, hosts that are slow, hang, refuse, defer, garble and vanish,
//! an operator, and cuts at any moment, on a clock of their own. After every step the
//! [`Ledger`](ledger::Ledger) holds what happened against the promises: identity, 250, duplicates, memory.
//! Danger: a seed that fails is a bug; `STAGEPOST_SEED=S` runs it alone, `STAGEPOST_SEEDS=N` the seeds 0..N:
//! `STAGEPOST_SEEDS=100000 cargo test --release --lib in_every_life`.

mod hosts;
mod ledger;
mod mail;
mod remote;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

/// Lives in the usual test run.
const SEEDS: u64 = 2_000;
/// Things that happen in one life.
const STEPS: usize = 140;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What all lives together have seen.
#[derive(Debug, Default)]
struct Tally {
    letters: usize,
    acknowledged: usize,
    deliveries: usize,
    duplicates: usize,
    restarts: usize,
}

fn live(seed: u64) -> Tally {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.check();
    }
    world.come_to_rest();
    world.ledger.check_end();
    Tally {
        letters: world.ledger.letters(),
        acknowledged: world.ledger.acknowledged(),
        deliveries: world.ledger.deliveries(),
        duplicates: world.ledger.duplicates,
        restarts: world.restarts,
    }
}

#[test]
fn the_promises_hold_in_every_life() {
    let seeds = match number("STAGEPOST_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("STAGEPOST_SEEDS").unwrap_or(SEEDS),
    };
    let mut sum = Tally::default();
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| live(seed))) {
            Ok(tally) => {
                sum.letters += tally.letters;
                sum.acknowledged += tally.acknowledged;
                sum.deliveries += tally.deliveries;
                sum.duplicates += tally.duplicates;
                sum.restarts += tally.restarts;
            }
            Err(why) => {
                eprintln!(
                    "the life of seed {seed} failed; again: STAGEPOST_SEED={seed} cargo test in_every_life"
                );
                resume_unwind(why);
            }
        }
    }
    eprintln!("{} lives: {sum:?}", seeds.count());
    assert!(sum.restarts > 0 || number("STAGEPOST_SEED").is_some());
}
