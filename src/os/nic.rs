//! What the NIC needs beside netlink: announcements to the neighbours, an ear for theirs, and the kernel's rule
//! for secondary addresses. System calls: socket(AF_PACKET, DGRAM, ARP), bind, sendto, recv; CAP_NET_RAW. Sources: packet(7), icmp6, ip-sysctl `promote_secondaries`.
//! Danger: without that rule, removing one address takes all others of its network with it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6, UdpSocket};

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockRef, Socket, Type};

use crate::net::announce::{Mac, arp_announcement, neighbour_advertisement};

/// `ff02::1`, all nodes on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// ARP's number among the Ethernet protocols, in network order as packet(7) wants it.
const ARP_PROTOCOL: u16 = (libc::ETH_P_ARP as u16).to_be();

/// The NICs of this machine, those of real hardware first; the loopback is none.
pub fn names() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut found: Vec<(bool, String)> = entries
        .filter_map(|entry| {
            Some((!entry.path().join("device").exists(), entry.file_name().into_string().ok()?))
        })
        .filter(|(_, name)| name != "lo")
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

/// Tells the link behind interface number `index` that `mac` holds `ip`.
///
/// # Errors
/// `PermissionDenied` without CAP_NET_RAW; the address works without the announcement, once the
/// neighbours have forgotten its holder before.
pub fn announce(index: u32, mac: Mac, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(ip) => {
            let arp = Protocol::from(i32::from(ARP_PROTOCOL));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(arp))?;
            socket.send_to(&arp_announcement(mac, ip), &link_broadcast(index)?)?;
        }
        IpAddr::V6(ip) => {
            let socket = Socket::new(Domain::IPV6, Type::RAW.nonblocking(), Some(Protocol::ICMPV6))?;
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(255)?;
            socket.bind(&SocketAddrV6::new(ip, 0, 0, 0).into())?;
            let all = SocketAddrV6::new(ALL_NODES, 0, 0, index);
            socket.send_to(&neighbour_advertisement(mac, ip), &all.into())?;
        }
    }
    Ok(())
}

/// An ear for ARP on interface number `index`, which [`send_arp`] speaks through as well.
///
/// # Errors
/// `PermissionDenied` without CAP_NET_RAW.
pub fn listen_arp(index: u32) -> io::Result<UdpSocket> {
    let arp = Protocol::from(i32::from(ARP_PROTOCOL));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(arp))?;
    socket.bind(&link_broadcast(index)?)?;
    Ok(socket.into())
}

/// Sends an ARP packet to everyone on the link.
///
/// # Errors
/// Those of sendto(2): a link that is down.
pub fn send_arp(ear: &UdpSocket, index: u32, packet: &[u8]) -> io::Result<()> {
    SockRef::from(ear).send_to(packet, &link_broadcast(index)?).map(|_| ())
}

/// When a network's primary IPv4 address goes from `interface`, one of the others takes its place.
///
/// # Errors
/// `InvalidInput` for a name that is no interface name; those of writing below /proc/sys.
pub fn keep_secondaries(interface: &str) -> io::Result<()> {
    if interface.contains('/') || interface.starts_with('.') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries"), "1\n")
}

/// The address of everyone on the Ethernet behind interface number `index`, for ARP.
fn link_broadcast(index: u32) -> io::Result<SockAddr> {
    link_address(index, ARP_PROTOCOL)
}

/// The same for another protocol, in network order.
pub(super) fn link_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    let ifindex = i32::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: ifindex,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the platform's address types, smaller than the storage, plain data
    // that is valid for any bytes, and the length given is its own.
    Ok(unsafe {
        *storage.view_as::<libc::sockaddr_ll>() = address;
        SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    })
}
