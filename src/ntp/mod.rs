//! The time of day from servers on the net (SNTP), as far as they deserve it. Sources: RFC 5905, RFC 4330.
//!
//! A box without a battery starts in 1970. It then takes the last time it knew, or the time at which the
//! program was built, whichever is later: a clock that is behind, which judges no certificate. `keeper` asks
//! the servers, `packet` says what each reply is worth, `agree` looks for a majority among them, and `keeper`
//! decides: to wait, to slew, to step. Mail waits for none of this. Only a majority moves the clock; one
//! server that lies, is silent or has lost its own time changes nothing.
//!
//! Timers run on monotonic time and know of no step. What is on flash has wall time, and some of it from
//! before a step: `steps` remembers those, so that mail taken at a wrong time neither expires nor stays.

pub mod agree;
pub mod keeper;
pub mod packet;
pub mod steps;

pub use agree::{Agreement, agree};
pub use keeper::{ClockKeeper, Order, Trust};
pub use packet::Sample;
pub use steps::{Step, Steps};

/// Nanoseconds since 1970-01-01T00:00:00Z, or between two such moments.
pub type Nanos = i64;

/// A difference in words: `3.2 ms`, `-2.5 s`, `4 days`.
pub fn told(offset: Nanos) -> String {
    let seconds = offset as f64 / 1e9;
    match seconds.abs() {
        less if less < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        less if less < 7200.0 => format!("{seconds:.1} s"),
        less if less < 2.0 * 86_400.0 => format!("{:.1} hours", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}
