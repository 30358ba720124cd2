//! Sockets for DHCP, which speaks before there is an address: whole IP packets to and from one interface.
//! Sources: packet(7), RFC 2131 §4.1, bpf (classic filters). System calls: socket(AF_PACKET, DGRAM, IP),
//! setsockopt(SO_ATTACH_FILTER), bind, sendto, recv; socket(AF_INET, DGRAM); CAP_NET_RAW, CAP_NET_BIND_SERVICE.
//! Danger: without its filter the socket would see every packet of the link.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use nix::libc;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::net::dhcp::message::{CLIENT_PORT, SERVER_PORT};
use crate::os::nic::link_address;

const IP_PROTOCOL: u16 = (libc::ETH_P_IP as u16).to_be();

/// UDP to the client's port, no later fragment. Each row: code, jumps if true and if false, operand.
///
/// ```text
/// A = protocol; A == 17?   A = fragment; A & 0x1fff?   X = header length   A = port; A == 68?   take / drop
/// ```
const FILTER: [SockFilter; 9] = [
    SockFilter::new(0x30, 0, 0, 9),
    SockFilter::new(0x15, 0, 5, 17),
    SockFilter::new(0x28, 0, 0, 6),
    SockFilter::new(0x45, 3, 0, 0x1fff),
    SockFilter::new(0xb1, 0, 0, 0),
    SockFilter::new(0x48, 0, 0, 2),
    SockFilter::new(0x15, 1, 0, CLIENT_PORT as u32),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, 0xffff),
];

/// An ear for servers on interface number `index`, which [`broadcast`] speaks through as well.
///
/// # Errors
/// `PermissionDenied` without CAP_NET_RAW.
pub fn listen(index: u32) -> io::Result<UdpSocket> {
    // Nothing is heard before the filter is in place and the socket is bound.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(Protocol::from(0)))?;
    socket.attach_filter(&FILTER)?;
    socket.bind(&link_address(index, IP_PROTOCOL)?)?;
    Ok(socket.into())
}

/// Sends a whole IP packet to everyone on the link.
///
/// # Errors
/// Those of sendto(2).
pub fn broadcast(ear: &UdpSocket, index: u32, packet: &[u8]) -> io::Result<()> {
    SockRef::from(ear).send_to(packet, &link_address(index, IP_PROTOCOL)?).map(|_| ())
}

/// Sends a message from our own address to a server; the socket is to be kept until the answer is heard, or
/// the kernel would refuse it.
///
/// # Errors
/// `AddrNotAvailable` when `from` is not on this machine any more.
pub fn unicast(from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddrV4::new(from, CLIENT_PORT))?;
    socket.send_to(message, SocketAddrV4::new(to, SERVER_PORT))?;
    Ok(socket)
}
