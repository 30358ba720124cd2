//! DHCP for the box's own address (RFC 2131, RFC 2132): `message` is what goes over the wire, `client` the
//! states of one interface. Sans-I/O like every session of the house. A crate was weighed: the light ones know
//! either the codec or the socket; two hundred lines of codec are less than what they bring along.

mod client;
pub mod message;

pub use client::{Client, Held, Road, State};
pub use message::{Lease, Message};

use std::net::{IpAddr, SocketAddr};

use crate::config::{BoxConfig, Config, Destination, HostPort, IpLen};
use crate::limits::NAMESERVERS_MAX;

const DNS_PORT: u16 = 53;
const NTP_PORT: u16 = 123;

/// The configuration with what a lease adds to it: the address, and the gateway and the servers where none are
/// configured. This is what runs; what is saved stays without it.
pub fn complete(config: &Config, lease: Option<&Lease>) -> Config {
    let mut config = config.clone();
    let Some(lease) = lease.filter(|_| config.machine.dhcp) else { return config };
    let BoxConfig { addresses, gateways, nameservers, timeservers, .. } = &mut config.machine;
    addresses.insert(0, IpLen { ip: lease.address.into(), len: Some(lease.len) });
    if !gateways.iter().any(IpAddr::is_ipv4) {
        gateways.extend(lease.routers.first().map(|ip| IpAddr::V4(*ip)));
    }
    if nameservers.is_empty() {
        let servers = lease.nameservers.iter().take(NAMESERVERS_MAX);
        nameservers.extend(servers.map(|ip| SocketAddr::new((*ip).into(), DNS_PORT)));
    }
    if timeservers.is_empty() {
        let host = |ip: &std::net::Ipv4Addr| HostPort { host: Destination::Ip((*ip).into()), port: NTP_PORT };
        timeservers.extend(lease.timeservers.iter().map(host));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_adds_only_what_is_not_configured() {
        let ip = |n| std::net::Ipv4Addr::new(192, 0, 2, n);
        let lease = Lease {
            address: ip(9),
            len: 24,
            server: ip(1),
            routers: vec![ip(1), ip(2)],
            nameservers: (50..60).map(ip).collect(),
            timeservers: vec![ip(7)],
            duration: std::time::Duration::from_secs(600),
            renew: std::time::Duration::from_secs(300),
            rebind: std::time::Duration::from_secs(500),
        };
        let parsed = |text: &str| crate::config::parse(text.as_bytes()).unwrap();
        let bare = parsed("box interface eth0\nbox address dhcp");
        let full = parsed(
            "box interface eth0\nbox address dhcp\nbox address 2001:db8::9/64\nbox gateway 192.0.2.254\n\
             box nameserver 192.0.2.8\nbox timeserver ntp.abc.com",
        );
        let machine = complete(&bare, Some(&lease)).machine;
        assert_eq!(machine.addresses, [IpLen { ip: ip(9).into(), len: Some(24) }]);
        assert_eq!((machine.gateways.len(), machine.nameservers.len(), machine.timeservers.len()), (1, 3, 1));
        let machine = complete(&full, Some(&lease)).machine;
        assert_eq!(machine.addresses.len(), 2);
        assert_eq!(
            (&machine.gateways, &machine.nameservers),
            (&full.machine.gateways, &full.machine.nameservers)
        );
        assert_eq!(machine.timeservers, full.machine.timeservers);
        assert_eq!(complete(&bare, None), bare);
        let fixed = parsed("box interface eth0\nbox address 192.0.2.1/24");
        assert_eq!(complete(&fixed, Some(&lease)), fixed, "a lease that came too late");
    }
}
