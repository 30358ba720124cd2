//! The world of the figures: the device with abc.com's address and bcd.com's alias, the remote host xyz.com,
//! a mail program's PC, and DNS that knows them all. Danger: records with long lives would outlast a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lab::peers::{Nsd, Zones};
use crate::lab::{ABC, BCD, DNS, Host, Lab, PC, Remote, Reply, XYZ};

/// Figure 2A, as a mail program hands it over.
pub const MESSAGE_2A: &str = "Date: Mon, 27 Nov 2000 10:18:52 -0800\n\
    From: \"Bob Smith\" <b1@bcd.com>\nTo: x1@xyz.com, b2\nSubject: Test Message 2\n\n\
    This message is a test. The end.\n";

/// The second addresses, for tests of IPv6.
pub const ABC6: &str = "2001:db8::1";
pub const BCD6: &str = "2001:db8::70";
pub const XYZ6: &str = "2001:db8::25";

/// The hosts; the lab goes last.
pub struct World {
    /// The computing device 100.
    pub device: Host,
    /// The remote computing device 130.
    pub remote: Host,
    /// Where mail programs run.
    pub pc: Host,
    pub dns: Host,
    pub nsd: Nsd,
    /// Torn down with this.
    pub lab: Lab,
}

/// The names and addresses of the figures. xyz.com takes its mail itself.
pub fn zones() -> Zones {
    Zones::default()
        .host("abc.com", ABC)
        .host("bcd.com", BCD)
        .host("xyz.com", XYZ)
        .records("xyz.com", "@ MX 10 xyz.com.")
}

/// The world, with these addresses on the device; `None` where labs cannot be made.
pub fn world(device: &[&str]) -> Option<World> {
    world_of(device, &zones())
}

pub fn world_of(device: &[&str], zones: &Zones) -> Option<World> {
    let lab = Lab::new()?;
    let device = lab.host("device", device);
    let remote = lab.host("remote", &[&format!("{XYZ}/24"), &format!("{XYZ6}/64")]);
    let pc = lab.host("pc", &[&format!("{PC}/24")]);
    let dns = lab.host("dns", &[&format!("{DNS}/24")]);
    let nsd = Nsd::start(&dns, &[DNS], zones);
    Some(World { device, remote, pc, dns, nsd, lab })
}

/// The device with both addresses on it already.
pub const BOTH: &[&str] = &["203.0.113.1/24", "203.0.113.70/24"];

/// A box that hosts abc.com on its own address and bcd.com on the alias; the PC may send for both.
pub fn two_domains() -> String {
    format!(
        "box name abc.com\nbox nameserver {DNS}\nbox postmaster a1@abc.com\n\
         domain abc.com address {ABC}\ndomain abc.com client {PC}\ndomain abc.com mailbox a1\n\
         domain bcd.com address {BCD}\ndomain bcd.com client {PC}\n\
         domain bcd.com mailbox b1\ndomain bcd.com mailbox b2\n"
    )
}

/// A short message with this subject.
pub fn note(from: &str, to: &str, subject: &str) -> String {
    format!("From: <{from}>\nTo: <{to}>\nSubject: {subject}\n\nA note.\n")
}

/// A host that defers everything until it is told to take everything.
pub fn deferring(world: &World) -> (Remote, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&open);
    let remote = Remote::start(&world.remote, XYZ, move |line| {
        let refused = line.starts_with("RCPT") && !mood.load(Ordering::Relaxed);
        if refused { Reply::Say("450 4.2.0 not yet") } else { Reply::Usual }
    });
    (remote, open)
}
