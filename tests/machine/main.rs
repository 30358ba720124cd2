//! The whole appliance in QEMU, from power-on: driven through its serial line and the network only, as its
//! owner would. `rig/` is the toolbox; the other modules tell what happens, one story a test. They need the
//! image of `scripts/image`, QEMU, and root for network namespaces; without them a test says `skipped:` and
//! why. Those that take minutes belong to `scripts/test --long`.

// Whoever watches a machine from outside must read clocks and wait.
#![allow(clippy::disallowed_methods)]

#[path = "../whole/lab/mod.rs"]
#[allow(unused, reason = "the toolbox of tests/whole; these stories need a part of it")]
mod lab;

mod boards;
mod clock;
mod data;
mod flash;
mod owner;
mod power_cut;
mod relays;
mod rig;
mod settings;
mod sizes;
mod trials;
mod updates;
mod vlan;
mod watchdog;
