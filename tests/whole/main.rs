//! Whole-binary tests: the real `stagepost` meets real Sendmail, Postfix, Exim and NSD in network namespaces.
//! `lab/` makes the hosts; the other modules tell what happens there, one story a test. A test that needs
//! root says `skipped:` without it.

// The house reads no clock and never sleeps; whoever watches it from outside must.
#![allow(clippy::disallowed_methods)]

mod addresses;
mod appliance;
mod attacks;
mod auth;
mod capacity;
mod carried;
mod clock;
mod command_line;
mod confined;
mod console;
mod crowd;
mod damaged;
mod devices;
mod dhcp;
mod dns;
mod door;
mod figures;
mod fluent;
mod full;
mod killed;
mod lab;
mod mailboxes;
mod mx;
mod nic;
mod pasted;
mod power_cut;
mod queue;
mod requiretls;
mod rfc5321;
mod scanned;
mod signing;
mod smarthost;
mod syslog;
mod tls;
mod trusted;
mod wear;
mod world;
