//! The toolbox: a site of hosts on one bridge, and boxes in QEMU on it, each with its serial line.
//! Danger: everything runs under emulation on a busy machine, so nothing here is in a hurry.

mod appliance;
mod disk;
mod gdb;
mod parcel;
mod site;

use std::time::Duration;

pub use appliance::Appliance;
pub use disk::{Part, slots_on};
pub use gdb::Debugger;
pub use parcel::{flipped, parcel_of, serve_http};
pub use site::{Site, firmware};

/// Under emulation, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Whether the tests that take minutes were asked for.
pub fn is_long() -> bool {
    let asked = std::env::var_os("STAGEPOST_LONG").is_some();
    if !asked {
        eprintln!("skipped: takes minutes in QEMU; scripts/test --long runs it");
    }
    asked
}
