//! The only place that reads a clock. Everything else is handed [`Now`], [`Instant`] or [`WallTime`].
//! Sources: clock_gettime(2). Timers use CLOCK_MONOTONIC, as the event loop's own timers do.
//! Danger: wall time jumps when the clock is set; only the monotonic reading may order events.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::time::{Instant, Now, WallTime};

/// Both readings, taken one after the other.
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// Monotonic time since the machine started; setting the clock does not move it.
pub fn mono() -> Instant {
    Instant::from_nanos(nanos(clock_gettime(ClockId::Monotonic)))
}

/// Wall-clock time; a clock set before 1970 reads as 1970.
pub fn wall() -> WallTime {
    WallTime::from_unix_millis(nanos(clock_gettime(ClockId::Realtime)) / 1_000_000)
}

fn nanos(t: Timespec) -> u64 {
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back() {
        let first = mono();
        assert!(mono() >= first);
    }

    #[test]
    fn wall_time_is_past_the_year_2020() {
        assert!(wall() > WallTime::from_unix_seconds(1_577_836_800));
    }
}
