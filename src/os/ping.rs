//! A socket for ICMP echoes, from one of our addresses to one host. Sources: icmp(7) (ping sockets, which need
//! no privilege where `ping_group_range` allows them), raw(7).
//! System calls: socket(AF_INET|AF_INET6, DGRAM or RAW, ICMP), bind, connect, send, recv.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket, and the identifier that tells our echoes from others' where the kernel does not.
///
/// # Errors
/// `AddrNotAvailable` when `source` is not on this machine; `PermissionDenied` without CAP_NET_RAW where ping
/// sockets are not allowed.
pub fn open(source: Option<IpAddr>, target: IpAddr) -> io::Result<(UdpSocket, Option<u16>)> {
    let protocol = if target.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let domain = Domain::for_address(SocketAddr::new(target, 0));
    let (socket, identifier) = match Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol)) {
        Ok(socket) => (socket, None),
        Err(_) => {
            let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
            (socket, Some(std::process::id() as u16))
        }
    };
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&SocketAddr::new(target, 0).into())?;
    Ok((socket.into(), identifier))
}
