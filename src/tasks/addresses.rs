//! Follows our own addresses: one that appears gets its door and releases the mail that waited for it, one
//! that goes takes both away. What is not there never stops the rest.

use std::rc::Rc;

use crate::config::Config;
use crate::net::AddressState;
use crate::os::clock;
use crate::tasks::station::Station;

/// Arranges doors and posts after every change, as long as the daemon runs.
pub async fn run(station: Rc<Station>) {
    loop {
        let changed = station.nic.changed();
        follow(&station);
        changed.await;
    }
}

/// Brings doors and posts in line with what the NIC has now.
pub fn follow(station: &Rc<Station>) {
    let config = station.config();
    for ip in ours(&config) {
        let state = match station.nic.state(ip) {
            AddressState::Up => Ok(()),
            AddressState::Pending(why) => {
                station.doors.borrow_mut().close(ip);
                Err(why)
            }
        };
        station.office.borrow_mut().set_address(clock::now(), ip, state);
    }
    station.doors.borrow_mut().arrange(station, &config);
    station.wake_senders();
}

/// The addresses of the box and of its domains.
pub fn ours(config: &Config) -> impl Iterator<Item = std::net::IpAddr> {
    let domains = config.domains.iter().flat_map(|d| &d.addresses);
    config.machine.addresses.iter().chain(domains).map(|a| a.ip)
}
