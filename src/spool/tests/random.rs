//! Random mail on a random medium: thousands of steps with cuts, failing calls and a full medium, each
//! followed by a look at the promises. A failure prints the seed; `SPOOL_SEEDS=FROM..TO` runs others.

use super::model::{Step, World};
use crate::prng::Prng;
use crate::spool::FlashError;
use crate::spool::sim::{Call, Faults};

/// One random life of a log.
fn live(seed: u64, steps: usize) {
    let mut dice = Prng::from_seed(seed);
    let mut world = World::new(seed);
    let mut next = 1;
    for _ in 0..steps {
        if world.is_dead() {
            die_again(&mut world, &mut dice);
        }
        let step = draw(&mut dice, &world, &mut next);
        world.step(step);
        if dice.below(40) == 0 && !world.is_dead() {
            world.rig.flash.set_faults(faults(&mut dice));
            world.rig.flash.set_space((dice.below(4) == 0).then_some(900_000));
        }
        if dice.below(50) == 0 && !world.is_dead() {
            world.rig.flash.set_faults(Faults::None);
            world.check_readable();
        }
    }
    world.power_cycle();
    world.rig.flash.set_space(None);
    heals(&mut world, next);
}

/// When all mail is gone, all space is free again.
fn heals(world: &mut World, next: u64) {
    for n in world.live() {
        world.step(Step::Done(n));
    }
    world.step(Step::Flush);
    assert_eq!((world.rig.log.len(), world.rig.log.bytes_used()), (0, 0));
    for n in next..next + 20 {
        world.step(Step::Put(n, 50_000));
    }
    world.step(Step::Flush);
    assert_eq!(world.live().len(), 20, "the log takes mail again");
    world.step(Step::Restart);
}

/// The power comes back, and may go again while the log is opened.
fn die_again(world: &mut World, dice: &mut Prng) {
    world.rig.flash.power_cycle();
    if dice.below(3) == 0 {
        world.rig.flash.set_faults(Faults::CutAt(dice.below(4) as u64));
    }
    world.restart();
    if world.is_dead() {
        world.power_cycle();
    }
}

fn faults(dice: &mut Prng) -> Faults {
    let soon = dice.below(60) as u64;
    let why = if dice.below(2) == 0 { FlashError::Io(5) } else { FlashError::NoSpace };
    match dice.below(6) {
        0 | 1 => Faults::CutAt(soon),
        2 => Faults::FailAt(soon, why),
        3 => Faults::Every(Call::Sync, why),
        4 => Faults::Every(Call::Create, FlashError::NoSpace),
        _ => Faults::None,
    }
}

fn draw(dice: &mut Prng, world: &World, next: &mut u64) -> Step {
    let live = world.live();
    let drafts = world.drafts();
    let any = |dice: &mut Prng| (!live.is_empty()).then(|| live[dice.below(live.len())]);
    let draft = |dice: &mut Prng| (!drafts.is_empty()).then(|| drafts[dice.below(drafts.len())]);
    let size = match dice.below(10) {
        0 => dice.below(250_000),
        1 => dice.below(70_000),
        _ => dice.below(5_000),
    };
    let mut new = || {
        *next += 1;
        *next - 1
    };
    let step = match dice.below(20) {
        0..4 => Some(Step::Put(new(), size)),
        4 => Some(Step::Report(new(), size % 5_000)),
        5 => Some(Step::Draft(new())),
        6 | 7 => draft(dice).map(|n| Step::Append(n, size)),
        8 => draft(dice).map(Step::CommitDraft),
        9 if dice.below(4) == 0 => draft(dice).map(Step::DropDraft),
        10 | 11 => any(dice).map(Step::Update),
        12..15 => any(dice).map(Step::Done),
        15 => Some(Step::Take),
        16 if dice.below(8) == 0 => Some(Step::Restart),
        _ => Some(Step::Flush),
    };
    step.unwrap_or(Step::Flush)
}

#[test]
fn random_lives_keep_every_promise() {
    let range = std::env::var("SPOOL_SEEDS").unwrap_or_else(|_| "0..60".to_owned());
    let (from, to) = range.split_once("..").expect("SPOOL_SEEDS=FROM..TO");
    for seed in from.parse::<u64>().unwrap()..to.parse::<u64>().unwrap() {
        let outcome = std::panic::catch_unwind(|| live(seed, 300));
        assert!(outcome.is_ok(), "seed {seed}: run it alone with SPOOL_SEEDS={seed}..{}", seed + 1);
    }
}
