//! Follows our own addresses: one that appears gets its door and releases the mail that waited for it, one
//! that goes takes both away. What is not there never stops the rest.

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::Config;
use crate::net::AddressState;
use crate::os::clock;
use crate::tasks::listen::Doors;
use crate::tasks::station::Station;

/// Arranges doors and posts after every change, as long as the daemon runs.
pub async fn run(station: Rc<Station>, doors: Rc<RefCell<Doors>>) {
    loop {
        let changed = station.nic.changed();
        follow(&station, &doors);
        changed.await;
    }
}

/// Brings doors and posts in line with what the NIC has now.
pub fn follow(station: &Rc<Station>, doors: &RefCell<Doors>) {
    let config = station.config();
    for ip in ours(&config) {
        let state = match station.nic.state(ip) {
            AddressState::Up => Ok(()),
            AddressState::Pending(why) => {
                doors.borrow_mut().close(ip);
                Err(why)
            }
        };
        station.office.borrow_mut().set_address(clock::now(), ip, state);
    }
    doors.borrow_mut().arrange(station, &config);
    station.wake_senders();
}

fn ours(config: &Config) -> impl Iterator<Item = std::net::IpAddr> {
    let domains = config.domains.iter().flat_map(|d| &d.addresses);
    config.machine.addresses.iter().chain(domains).map(|a| a.ip)
}
