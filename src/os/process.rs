//! The process itself: signals as something a task can wait for, memory in use, the bound on descriptors.
//! Sources: signal(7), proc(5) `statm`, getrlimit(2).
//! Danger: too few descriptors refuse mail at the session bound that `limits` promises; raise them first.

use std::fs;
use std::io;

use async_signal::{Signal, Signals};
use futures_lite::{Stream, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the outside asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: finish what is being answered, then end.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP from now on, as a stream that never ends. SIGHUP and the others lose their
/// default effect at once.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn requests() -> io::Result<impl Stream<Item = Request> + Unpin> {
    let signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])?;
    Ok(signals.filter_map(|signal| match signal.ok()? {
        Signal::Hup => Some(Request::Reload),
        _ => Some(Request::Stop),
    }))
}

/// Resident memory of this process in bytes; `None` without a mounted /proc.
pub fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// All the memory of the machine and what of it can be had without swapping, in bytes; `None` without a mounted
/// /proc. Source: proc(5), `meminfo`.
pub fn machine_memory() -> Option<(u64, u64)> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((bytes("MemTotal")?, bytes("MemAvailable")?))
}

/// Raises the bound on open descriptors to at least `wanted` where the kernel lets it, and gives the bound
/// that now holds.
pub fn raise_descriptors(wanted: u64) -> u64 {
    let held = getrlimit(Resource::Nofile);
    let current = held.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let maximum = held.maximum.unwrap_or(u64::MAX);
    let privileged = Rlimit { current: Some(wanted), maximum: Some(maximum.max(wanted)) };
    let allowed = Rlimit { current: Some(wanted.min(maximum)), maximum: held.maximum };
    for limit in [privileged, allowed] {
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_known() {
        let bytes = resident_bytes().unwrap();
        assert!((100 * 1024..1 << 40).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_machine_has_more_memory_than_can_be_had() {
        let (all, left) = machine_memory().unwrap();
        assert!(left <= all && all > 1 << 20, "{left} of {all}");
    }

    #[test]
    fn descriptors_are_never_lowered() {
        let before = raise_descriptors(0);
        assert!(raise_descriptors(before) >= before);
    }

    #[test]
    fn a_hangup_asks_for_the_configuration_to_be_read_again() {
        let mut requests = requests().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        assert_eq!(futures_lite::future::block_on(requests.next()), Some(Request::Reload));
    }
}
