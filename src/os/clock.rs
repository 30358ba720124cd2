//! The only place that reads a clock. Everything else is handed [`Now`], [`Instant`] or [`WallTime`].
//! Sources: clock_gettime(2). Timers use CLOCK_MONOTONIC, as the event loop's own timers do.
//! Danger: wall time jumps when the clock is set; only the monotonic reading may order events.
//! System calls beside the readings: clock_settime, adjtime and adjtimex, which need CAP_SYS_TIME and are made
//! only where this program keeps the machine's clock.

use std::io;

use nix::libc;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

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

/// Wall-clock time in nanoseconds since 1970, for comparing it with a better one's.
pub fn wall_nanos() -> i64 {
    i64::try_from(nanos(clock_gettime(ClockId::Realtime))).unwrap_or(i64::MAX)
}

/// Sets the machine's clock, in nanoseconds since 1970.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_TIME; `InvalidInput` for a time before 1970.
pub fn set(goal: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: goal.div_euclid(NANOS), tv_nsec: goal.rem_euclid(NANOS) };
    clock_settime(ClockId::Realtime, time)?;
    call_synchronised()
}

/// Has the kernel make up a small difference, half a millisecond a second; one that is still being made up is
/// forgotten.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_TIME; `InvalidInput` past half an hour.
pub fn slew(offset: i64) -> io::Result<()> {
    let micros = offset / 1000;
    let delta = libc::timeval { tv_sec: micros.div_euclid(1_000_000), tv_usec: micros.rem_euclid(1_000_000) };
    // SAFETY: `delta` lives for the call, and the kernel takes a null pointer for not wanting the rest back.
    if unsafe { libc::adjtime(&raw const delta, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    call_synchronised()
}

/// Tells the kernel that its clock is right: it then keeps the battery's clock right too.
fn call_synchronised() -> io::Result<()> {
    // SAFETY: `timex` is plain data that is valid for any bytes; the kernel reads and writes only it.
    let done = unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        state.modes = libc::ADJ_STATUS | libc::ADJ_MAXERROR | libc::ADJ_ESTERROR;
        libc::adjtimex(&raw mut state)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const NANOS: i64 = 1_000_000_000;

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
