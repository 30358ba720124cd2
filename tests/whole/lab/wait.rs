//! Waiting for what other processes do: polled until it is so, with a deadline that only a failure reaches.

use std::time::{Duration, Instant};

/// Long enough for anything a peer does at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_millis(20);

/// Polls `probe` until it gives a value; panics with `what` when it has not within `limit`.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        std::thread::sleep(STEP);
    }
}

/// Polls `probe` until it is true, within [`PATIENCE`].
#[track_caller]
pub fn until_true(what: &str, mut probe: impl FnMut() -> bool) {
    until(what, PATIENCE, || probe().then_some(()));
}

/// Now, in nanoseconds of the clock by which a [`super::power::Power`] stamps its journal.
pub fn stamp() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
